"""tinygrad_norm: a reverse-mode Tensor engine on NumPy (or CuPy), to train with and to read.

    import tinygrad_norm as tn
    from tinygrad_norm import nn, optim

Reading order: `engine` (how computation leaves a trace, and how gradients walk it back), `ops` (each
forward beside its derivatives), `nn.functional` (layers as functions), `nn` (modules), `optim` (update
rules), `data` (loading), `saving`; then `gradcheck` and `testing`: how all of it is known to be right.
`autograd` is what PyTorch has beyond an engine, `backend` the switch between NumPy and CuPy.
"""

import sys
from math import inf, nan, pi

from tinygrad_norm import accelerator, autograd, backends, cuda, data, drawing, dtypes, examples, nn, optim, utils
from tinygrad_norm.autograd import (
    Size,
    Tensor,
    elementwise,
    enable_grad,
    grad,
    inference_mode,
    is_grad_enabled,
    no_grad,
    op,
    set_grad_enabled,
)
from tinygrad_norm.autograd.anomaly import is_anomaly_check_nan_enabled, is_anomaly_enabled
from tinygrad_norm.backend import Device as device
from tinygrad_norm.backend import backend, get_backend, set_backend, set_default_device
from tinygrad_norm.drawing import draw
from tinygrad_norm.explorer import explore
from tinygrad_norm.fast.memory import keep_freed_memory
from tinygrad_norm.fast.threads import get_num_threads, set_num_threads
from tinygrad_norm.generator import Generator, default_generator, manual_seed
from tinygrad_norm.gradcheck import gradcheck, gradgradcheck
from tinygrad_norm.missing import listed, missing_in
from tinygrad_norm.ops import created as _created
from tinygrad_norm.ops import functions as _functions
from tinygrad_norm.saving import load, save

__version__ = "0.1.0"
__all__ = ["Generator", "Size", "Tensor", "accelerator", "autograd", "backend", "backends", "channels_last"]
__all__ += ["contiguous_format", "cuda", "data", "default_generator", "device", "draw", "elementwise", "enable_grad", "explore"]
__all__ += ["get_backend", "get_num_threads", "grad", "gradcheck", "gradgradcheck", "inf", "inference_mode"]
__all__ += ["is_anomaly_check_nan_enabled", "is_anomaly_enabled", "is_grad_enabled", "keep_freed_memory", "load"]
__all__ += ["manual_seed", "nan", "nn", "no_grad", "op", "optim", "pi", "preserve_format", "save", "set_backend"]
__all__ += ["set_default_device", "set_grad_enabled", "set_num_threads", "utils", *_functions, *_created, *dtypes.NAMES]

globals().update(_functions | _created | {name: getattr(dtypes, name) for name in dtypes.NAMES})
trace = drawing.trace  # of a matrix too
preserve_format, contiguous_format, channels_last = "preserve_format", "contiguous_format", "channels_last"  # for memory_format
autograd.gradcheck, autograd.gradgradcheck = gradcheck, gradgradcheck  # PyTorch's path

examples.attach(sys.modules[__name__])
__getattr__ = missing_in("tinygrad_norm", globals())
__dir__ = listed(globals())
