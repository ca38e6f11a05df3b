"""What is said of a name that is not there: the nearest one that is, or that it is outside of what this package is for."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Iterable

# names of PyTorch's that nothing here stands for, and why
_REASONS = {
    "LSTM GRU RNN LSTMCell GRUCell RNNCell Transformer TransformerEncoderLayer TransformerDecoderLayer MultiheadAttention "
    "scaled_dot_product_attention": "recurrent and attention layers are not part of this package",
    "complex64 complex128 complex polar view_as_real view_as_complex fft": "there are no complex numbers",
    "compile jit export fx _dynamo": "there is no compiler of graphs: TINYGRAD_NORM_FAST chooses how fast things run",
    "distributions": "there are no distributions: NumPy's or SciPy's give numbers, F.* the losses",
    "sparse sparse_coo_tensor sparse_csr_tensor": "there are no sparse tensors",
    "bfloat16 float8_e4m3fn float8_e5m2 int8 int16": "NumPy's types: see tinygrad_norm.dtypes",
    "autocast amp": "there is no automatic mixed precision: convert with .half() or .to()",
    "DataParallel": "one process has one device: tinygrad_norm.distributed has DistributedDataParallel",
    "Conv3d ConvTranspose1d ConvTranspose2d ConvTranspose3d": "of convolutions there are Conv1d and Conv2d",
    "vmap func quantization hub onnx package profiler": "outside of what this package is for",
    "LBFGS Adagrad Adadelta Adamax NAdam RAdam": "of optimizers there are SGD, Adam, AdamW and RMSprop",
}
OUTSIDE = {name: reason for names, reason in _REASONS.items() for name in names.split()}
_PLACES = [
    f"tinygrad_norm{place}" for place in ("", ".nn", ".nn.functional", ".nn.init", ".nn.utils", ".optim", ".data", ".autograd")
]


def elsewhere(name: str, place: str = "") -> str:
    """The public names that end so, in other places than this one, as words; "" if there is none."""
    return " or ".join(f"{p}.{name}" for p in _PLACES if p != place and name in getattr(sys.modules.get(p), "__all__", ()))


def explained(place: str, name: str, there: Iterable[str]) -> str:
    """The text of the AttributeError for a name that `place` has not."""
    text = f"{place} has no {name!r}"
    if name in OUTSIDE:
        return f"{text}: {OUTSIDE[name]}"
    if there_is := elsewhere(name, place):
        return f"{text}: did you mean {there_is}?"
    names = {n.lower(): n for n in there if not n.startswith("_")}
    near = difflib.get_close_matches(name.lower(), names, 3, 0.75)
    return f"{text}: did you mean {' or '.join(names[n] for n in near)}?" if near else text


def listed(namespace: dict) -> Callable[[], list[str]]:
    """A module's __dir__: its public names."""
    return lambda: sorted({*namespace["__all__"], *(name for name in namespace if name.startswith("__"))})


def missing_in(place: str, namespace: dict) -> Callable[[str], object]:
    """A module's __getattr__, called by Python for names that the module has not."""

    def __getattr__(name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(f"module {place!r} has no attribute {name!r}")
        raise AttributeError(explained(place, name, namespace.get("__all__", namespace)), name=name, obj=None)

    return __getattr__
