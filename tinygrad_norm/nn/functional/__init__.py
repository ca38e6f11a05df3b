"""Layers as functions, with PyTorch's names and arguments.

A fused op stands below its definition, the plain composition that a reader reads; property tests
hold the two equal in value, gradient and second gradient.
"""

from tinygrad_norm.nn.functional.activation import (
    elu,
    gelu,
    leaky_relu,
    log_softmax,
    relu,
    relu_,
    sigmoid,
    silu,
    softmax,
    softplus,
    tanh,
)
from tinygrad_norm.nn.functional.conv import conv2d, unfold
from tinygrad_norm.nn.functional.dropout import dropout, dropout2d
from tinygrad_norm.nn.functional.loss import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    l1_loss,
    mse_loss,
    nll_loss,
    smooth_l1_loss,
)
from tinygrad_norm.nn.functional.norm import batch_norm, group_norm, instance_norm, layer_norm
from tinygrad_norm.nn.functional.pool import avg_pool2d, max_pool2d
from tinygrad_norm.ops.indexing import one_hot
from tinygrad_norm.ops.linalg import linear
from tinygrad_norm.ops.shape import pad

__all__ = [
    "avg_pool2d",
    "batch_norm",
    "binary_cross_entropy_with_logits",
    "conv2d",
    "cross_entropy",
    "dropout",
    "dropout2d",
    "elu",
    "gelu",
    "group_norm",
    "instance_norm",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_softmax",
    "max_pool2d",
    "mse_loss",
    "nll_loss",
    "one_hot",
    "pad",
    "relu",
    "relu_",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "softmax",
    "softplus",
    "tanh",
    "unfold",
]
