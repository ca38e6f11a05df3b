"""Neural network modules, with PyTorch's names, arguments, defaults and state_dict keys."""

from tinygrad_norm.checks.notes import note_all
from tinygrad_norm.missing import listed, missing_in
from tinygrad_norm.nn import functional, init, parallel, utils
from tinygrad_norm.nn.containers import ModuleDict, ModuleList, Sequential
from tinygrad_norm.nn.conv import AdaptiveAvgPool2d, AvgPool2d, Conv1d, Conv2d, MaxPool2d
from tinygrad_norm.nn.dropout import AlphaDropout, Dropout, Dropout1d, Dropout2d, Dropout3d
from tinygrad_norm.nn.layers import (
    ELU,
    GELU,
    SELU,
    Embedding,
    Flatten,
    Identity,
    LeakyReLU,
    Linear,
    LogSigmoid,
    LogSoftmax,
    PReLU,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
    Unflatten,
)
from tinygrad_norm.nn.lazy import LazyBatchNorm1d, LazyBatchNorm2d, LazyBatchNorm3d, LazyConv1d, LazyConv2d, LazyLinear
from tinygrad_norm.nn.loss import (
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    HuberLoss,
    L1Loss,
    MSELoss,
    NLLLoss,
    SmoothL1Loss,
)
from tinygrad_norm.nn.module import Module
from tinygrad_norm.nn.norm import (
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    GroupNorm,
    InstanceNorm1d,
    InstanceNorm2d,
    InstanceNorm3d,
    LayerNorm,
)
from tinygrad_norm.nn.padding import ReflectionPad2d, ReplicationPad2d, ZeroPad2d
from tinygrad_norm.nn.parameter import Parameter, UninitializedParameter
from tinygrad_norm.nn.summary import summary
from tinygrad_norm.nn.sync_norm import SyncBatchNorm

__all__ = ["ELU", "GELU", "SELU", "AdaptiveAvgPool2d", "AlphaDropout", "AvgPool2d", "BCELoss", "BCEWithLogitsLoss"]
__all__ += ["BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "Conv1d", "Conv2d", "CrossEntropyLoss", "Dropout", "Dropout1d"]
__all__ += ["Dropout2d", "Dropout3d", "Embedding", "Flatten", "GroupNorm", "HuberLoss", "Identity", "InstanceNorm1d"]
__all__ += ["InstanceNorm2d", "InstanceNorm3d", "L1Loss", "LayerNorm", "LazyBatchNorm1d", "LazyBatchNorm2d"]
__all__ += ["LazyBatchNorm3d", "LazyConv1d", "LazyConv2d", "LazyLinear", "LeakyReLU", "Linear", "LogSigmoid"]
__all__ += ["LogSoftmax", "MSELoss", "MaxPool2d", "Module", "ModuleDict", "ModuleList", "NLLLoss", "PReLU", "Parameter"]
__all__ += ["ReLU", "ReflectionPad2d", "ReplicationPad2d", "Sequential", "SiLU", "Sigmoid", "SmoothL1Loss", "Softmax"]
__all__ += ["Softplus", "SyncBatchNorm", "Tanh", "Unflatten", "UninitializedParameter", "ZeroPad2d", "functional"]
__all__ += ["init", "parallel", "summary", "utils"]

note_all(globals(), __all__)

__getattr__ = missing_in("tinygrad_norm.nn", globals())
__dir__ = listed(globals())
