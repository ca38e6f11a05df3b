"""tinygrad_norm.tensorboard, under the path that it has in PyTorch."""

from tinygrad_norm.tensorboard import SummaryWriter

__all__ = ["SummaryWriter"]
