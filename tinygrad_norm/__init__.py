"""tinygrad_norm: a reverse-mode Tensor engine on NumPy (or CuPy), to train with and to read.

Reading order: backend.py (the switch), autograd/ (how computation leaves a trace, and how
gradients walk it back), ops/ (each forward beside its derivatives), nn/functional/ (layers as
functions), nn/ (modules), optim/ (update rules), data/ (loading), gradcheck.py and testing.py
(how all of it is known to be right).
"""
from tinygrad_norm.autograd import *
from tinygrad_norm.ops import functions, created
globals().update(functions); globals().update(created)
