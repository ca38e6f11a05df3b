"""What programs ask PyTorch's libraries for, and set: none of them is here, and each says so.

`import tinygrad_norm.backends.cudnn` works as well.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


def _absent(name: str, **settings: Any) -> ModuleType:
    """A module of a library that is not here; its settings may be set, and change nothing."""
    module = ModuleType(f"{__name__}.{name}", f"{name} is not used here.")
    vars(module).update(is_available=lambda: False, is_built=lambda: False, version=lambda: None, **settings)
    sys.modules[module.__name__] = module
    return module


cudnn = _absent("cudnn", enabled=False, benchmark=False, deterministic=False, allow_tf32=False)
cuda = _absent("cuda", matmul=_absent("cuda.matmul", allow_tf32=False))
mps, mkl, mkldnn, openmp = map(_absent, ("mps", "mkl", "mkldnn", "openmp"))
