"""Layers as functions, with PyTorch's names and arguments.

A fused op stands below its definition, the plain composition that a reader reads; property tests
hold the two equal in value, gradient and second gradient.
"""

from typing import TYPE_CHECKING, Any

from tinygrad_norm.autograd.errors import guarded as _guarded
from tinygrad_norm.nn.functional import activation, classification, conv, dropout, embedding, loss, norm, pool
from tinygrad_norm.ops import indexing, joining, linalg

_functions = {
    activation: "elu gelu leaky_relu log_softmax logsigmoid relu relu_ selu sigmoid silu softmax softplus tanh",
    conv: "conv1d conv2d unfold",
    classification: "cross_entropy nll_loss",
    dropout: "alpha_dropout dropout dropout1d dropout2d dropout3d",
    embedding: "embedding",
    loss: "binary_cross_entropy binary_cross_entropy_with_logits huber_loss l1_loss mse_loss smooth_l1_loss",
    norm: "batch_norm group_norm instance_norm layer_norm",
    pool: "adaptive_avg_pool2d avg_pool2d max_pool2d",
    indexing: "one_hot",
    joining: "pad",
    linalg: "linear",
}
__all__ = sorted(name for names in _functions.values() for name in names.split())
for _module, _names in _functions.items():
    globals().update({_name: _guarded(getattr(_module, _name)) for _name in _names.split()})

if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...
