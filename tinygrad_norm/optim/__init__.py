"""Optimizers and learning rate schedulers."""

from tinygrad_norm.checks.notes import note_all
from tinygrad_norm.missing import listed, missing_in
from tinygrad_norm.optim import lr_scheduler
from tinygrad_norm.optim.adam import Adam, AdamW
from tinygrad_norm.optim.optimizer import Optimizer
from tinygrad_norm.optim.rmsprop import RMSprop
from tinygrad_norm.optim.sgd import SGD

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "RMSprop", "lr_scheduler"]

note_all(globals(), __all__)

__getattr__ = missing_in("tinygrad_norm.optim", globals())
__dir__ = listed(globals())
