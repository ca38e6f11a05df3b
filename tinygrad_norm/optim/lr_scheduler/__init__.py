"""Learning rates that change while training: call `scheduler.step()` after each epoch."""

from tinygrad_norm.checks.notes import note_all
from tinygrad_norm.missing import listed, missing_in
from tinygrad_norm.optim.lr_scheduler.base import LRScheduler
from tinygrad_norm.optim.lr_scheduler.cycles import CosineAnnealingWarmRestarts, OneCycleLR, SequentialLR
from tinygrad_norm.optim.lr_scheduler.plateau import ReduceLROnPlateau
from tinygrad_norm.optim.lr_scheduler.rules import (
    ConstantLR,
    CosineAnnealingLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiplicativeLR,
    MultiStepLR,
    StepLR,
)

_LRScheduler = LRScheduler
__all__ = ["ConstantLR", "CosineAnnealingLR", "CosineAnnealingWarmRestarts", "ExponentialLR", "LRScheduler", "LambdaLR"]
__all__ += ["LinearLR", "MultiStepLR", "MultiplicativeLR", "OneCycleLR", "ReduceLROnPlateau", "SequentialLR", "StepLR"]

note_all(globals(), __all__)

__getattr__ = missing_in("tinygrad_norm.optim.lr_scheduler", globals())
__dir__ = listed(globals())
