"""tinygrad_norm.data, under the path that it has in PyTorch; so are its `dataloader`, `dataset` and `sampler`."""

import sys

from tinygrad_norm.data import *  # noqa: F403
from tinygrad_norm.data import __all__, dataset, sampler  # noqa: F401
from tinygrad_norm.data import loader as dataloader

for _name, _module in (("dataloader", dataloader), ("dataset", dataset), ("sampler", sampler)):
    sys.modules[f"{__name__}.{_name}"] = _module
