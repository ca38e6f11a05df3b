"""Layers as functions, with PyTorch's names and arguments.

A fused op stands below its definition, the plain composition that a reader reads; property tests
hold the two equal in value, gradient and second gradient.
"""

from tinygrad_norm.checks.arguments import checked
from tinygrad_norm.missing import listed, missing_in
from tinygrad_norm.nn.functional.activation import (
    elu,
    gelu,
    leaky_relu,
    log_softmax,
    logsigmoid,
    prelu,
    relu,
    selu,
    silu,
    softmax,
    softplus,
)
from tinygrad_norm.nn.functional.adaptive import adaptive_avg_pool2d
from tinygrad_norm.nn.functional.classification import cross_entropy, nll_loss
from tinygrad_norm.nn.functional.conv import conv2d
from tinygrad_norm.nn.functional.distance import cosine_similarity, kl_div, normalize
from tinygrad_norm.nn.functional.dropout import alpha_dropout, dropout, dropout1d, dropout2d, dropout3d
from tinygrad_norm.nn.functional.embedding import embedding
from tinygrad_norm.nn.functional.loss import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    huber_loss,
    l1_loss,
    mse_loss,
    smooth_l1_loss,
)
from tinygrad_norm.nn.functional.norm import batch_norm, group_norm, instance_norm, layer_norm
from tinygrad_norm.nn.functional.pool import avg_pool1d, avg_pool2d, max_pool2d
from tinygrad_norm.nn.functional.unfold import conv1d, unfold
from tinygrad_norm.ops import gathering, inplace, linalg, padding, unary

linear, one_hot, pad = checked(linalg.linear), checked(gathering.one_hot), checked(padding.pad)
relu_, sigmoid, tanh = checked(inplace.relu_), checked(unary.sigmoid), checked(unary.tanh)

__all__ = ["adaptive_avg_pool2d", "alpha_dropout", "avg_pool1d", "avg_pool2d", "batch_norm", "binary_cross_entropy"]
__all__ += ["binary_cross_entropy_with_logits", "conv1d", "conv2d", "cosine_similarity", "cross_entropy", "dropout"]
__all__ += ["dropout1d", "dropout2d", "dropout3d", "elu", "embedding", "gelu", "group_norm", "huber_loss"]
__all__ += ["instance_norm", "kl_div", "l1_loss", "layer_norm", "leaky_relu", "linear", "log_softmax", "logsigmoid"]
__all__ += ["max_pool2d", "mse_loss", "nll_loss", "normalize", "one_hot", "pad", "prelu", "relu", "relu_", "selu"]
__all__ += ["sigmoid", "silu", "smooth_l1_loss", "softmax", "softplus", "tanh", "unfold"]

__getattr__ = missing_in("tinygrad_norm.nn.functional", globals())
__dir__ = listed(globals())
