"""tinygrad_norm.data, under the path that it has in PyTorch."""

from tinygrad_norm.data import *  # noqa: F403
from tinygrad_norm.data import __all__  # noqa: F401
