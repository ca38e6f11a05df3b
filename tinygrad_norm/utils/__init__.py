"""The paths that PyTorch has: utils.data is tinygrad_norm.data, utils.tensorboard is tinygrad_norm.tensorboard."""

from tinygrad_norm.utils import data

__all__ = ["data"]
