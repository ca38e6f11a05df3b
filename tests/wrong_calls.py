"""Wrong calls, the kind of error that each has to raise, and words that its text has to have; test_errors.py makes them."""

from __future__ import annotations

import copy
import gzip
import math
import operator
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from helpers import leaf

import tinygrad_norm as tn
from tinygrad_norm import autograd, data, nn, optim
from tinygrad_norm.nn import functional as F


def x(*shape: int) -> tn.Tensor:
    return tn.ones(shape, dtype="float32")


def ints(*values: int) -> tn.Tensor:
    return tn.tensor(values)


def flags(*values: bool) -> tn.Tensor:
    return tn.tensor(values)


def with_gradient() -> tn.Tensor:
    t = leaf([1.0])
    t.sum().backward()
    return t


def sgd(**settings: Any) -> optim.SGD:
    return optim.SGD([leaf([1.0])], **{"lr": 0.1, **settings})


def reload(name: str, value: Any) -> None:
    state = {"state": {0: {name: value}}, "param_groups": [{"params": [0]}]}
    optim.Adam([leaf([1.0])]).load_state_dict(state)


def double(t: tn.Tensor) -> tn.Tensor:
    return t * 2


def in_folder(call: Any) -> Any:
    """The call, given the path of a file in a folder of its own."""
    with tempfile.TemporaryDirectory() as place:
        try:
            return call(Path(place) / "file")
        except Exception as error:  # the text speaks of the folder
            error.args = tuple(a.replace(place, "...") if isinstance(a, str) else a for a in error.args)
            raise


def file_of(content: bytes) -> Any:
    """What `read_idx` says of a file with this content."""

    def read(path: Path) -> Any:
        path.write_bytes(content)
        return data.read_idx(path)

    return in_folder(read)


def two_sets(path: Path) -> Any:
    """Three images and two labels, where MNIST is expected."""
    path.mkdir()
    data.write_idx(path / "train-images-idx3-ubyte", np.zeros((3, 2, 2), "uint8"))
    data.write_idx(path / "train-labels-idx1-ubyte", np.zeros(2, "uint8"))
    return data.mnist(path)


def strange_file(path: Path) -> Any:
    """A safetensors file with a dtype that no Tensor has."""
    from safetensors.numpy import save_file

    save_file({"a": np.ones(2, "uint16")}, path)
    return tn.load(path)


def damaged_file(path: Path) -> Any:
    """A checkpoint, the last byte of which has changed."""
    tn.save({"a": tn.ones(4)}, path)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    return tn.load(path)


def itself() -> dict:
    """A dict that contains itself."""
    found: dict = {}
    found["a"] = found
    return found


def backward_of(backward: Any, *inputs: Any, forward: Any = None) -> Any:
    """The gradients of a Function with this backward, and with a forward that gives the first input but for another one."""
    forward = forward or (lambda ctx, *inputs: inputs[0].clone())
    made = type("Mine", (autograd.Function,), {"forward": staticmethod(forward), "backward": staticmethod(backward)})
    out = made.apply(*(inputs or [leaf([1.0, 2.0])]))
    return out.sum().backward()


def saved_and_edited() -> Any:
    """A Function saves a Tensor that is edited before backward asks for it."""
    kept = x(2)

    def forward(ctx, t):
        ctx.save_for_backward(kept)
        return t * 2

    made = type(
        "Mine", (autograd.Function,), {"forward": staticmethod(forward), "backward": lambda ctx, g: ctx.saved_tensors[0]}
    )
    out = made.apply(leaf([1.0, 2.0]))
    kept.add_(1)
    return out.sum().backward()


def once(ctx: Any, g: tn.Tensor) -> tn.Tensor:
    """A backward that cannot be differentiated."""
    return g * 2


def twice() -> Any:
    """Differentiated twice."""
    made = {
        "forward": staticmethod(lambda ctx, t: t * 2),
        "backward": staticmethod(autograd.function.once_differentiable(once)),
    }
    t = leaf([1.0])
    out = type("Mine", (autograd.Function,), made).apply(t)
    (g,) = autograd.grad((out * out).sum(), t, create_graph=True)
    return g.sum().backward()


def op_with(**vjps: Any) -> Any:
    """An op with one input, x, and these vjps."""

    @autograd.op
    def mine(x, *, scale=1.0):
        return x * scale

    mine.vjp(**vjps)
    return mine


def hooked(hook: Any) -> Any:
    """Backward through a Tensor with this hook."""
    t = leaf([1.0, 2.0])
    t.register_hook(hook)
    return (t * 2).sum().backward()


def edited(edit: Any) -> Any:
    """Backward after an edit of what the gradient needs."""
    t = leaf([1.0, 2.0])
    between = t * 2
    out = (between * between).sum()
    edit(between)
    return out.backward()


def again() -> Any:
    """Backward twice."""
    out = (leaf([1.0]) * leaf([2.0])).sum()
    out.backward()
    return out.backward()


def frozen(edit: Any) -> Any:
    """An edit of a view that was made under no_grad."""
    base = leaf([1.0, 2.0]) * 2
    with tn.no_grad():
        view = base[:1]
    return edit(base, view)


def stale(base: tn.Tensor, view: tn.Tensor) -> Any:
    """The view is used after its base was edited."""
    base.mul_(leaf([2.0, 2.0]))
    return view * 2


def nothing_known(scheduler: Any) -> Any:
    """A scheduler that goes on where no other has begun."""
    return scheduler(sgd(), 1, last_epoch=3)


def read_only() -> tn.Tensor:
    """A Tensor of memory that must not be written."""
    array = np.ones(2, "float32")
    array.flags.writeable = False
    return tn.from_numpy(array)


class Stream(data.IterableDataset):
    """Without __iter__."""


WRONG_CALLS = [
    # autograd
    (lambda: autograd.grad(leaf([1.0]).sum(), leaf([1.0]), is_grads_batched=True), NotImplementedError, "is_grads_batched"),
    (lambda: autograd.backward([leaf([1.0])], [3.0]), TypeError, "gradients can be either Tensors or None, but got float"),
    (lambda: autograd.backward([leaf([1.0]), leaf([1.0])], [None]), RuntimeError, "got 2 tensors and 1 gradients"),
    (lambda: autograd.backward([leaf([1.0])], inputs=[]), RuntimeError, "cannot be empty"),
    (lambda: autograd.backward(["a"]), TypeError, "tensors: expected Tensors, but got str"),
    (lambda: autograd.functional.jacobian(double, "a"), TypeError, "must be a Tensor or a tuple of Tensors"),
    (lambda: autograd.functional.hessian(double, x(2)), RuntimeError, "should contain a single element"),
    (lambda: autograd.functional.vjp(double, x(2)), RuntimeError, "the vector v can only be None if"),
    (lambda: autograd.functional.vjp(double, x(2), x(3)), RuntimeError, "size"),
    (lambda: autograd.functional.jacobian(lambda t: x(2), x(2), strict=True), RuntimeError, "is independent of the inputs"),
    (lambda: leaf([1.0]).requires_grad_("yes"), TypeError, "'requires_grad' must be bool, not str"),
    (lambda: tn.Tensor(2, "a"), TypeError, "expected data, or sizes as integers"),
    (lambda: setattr(*[t := leaf([1.0])], "grad", t), RuntimeError, "its own grad"),
    # elementwise
    (lambda: tn.add(ints(1), ints(2), alpha=0.5), RuntimeError, "alpha must not be a floating point number"),
    (lambda: tn.div(x(1), 2, rounding_mode="up"), RuntimeError, "but found 'up'"),
    (lambda: tn.div(ints(1), ints(0), rounding_mode="floor"), RuntimeError, "integer division by zero"),
    (lambda: ints(1) % ints(0), RuntimeError, "integer remainder by zero"),
    (lambda: flags(True).relu(), RuntimeError, "Boolean inputs not supported for relu"),
    (lambda: tn.exp(), TypeError, "missing a required argument"),
    (lambda: tn.maximum(x(1), "a"), TypeError, "str"),
    (lambda: tn.logical_and(x(1), "a"), TypeError, "str"),
    (lambda: tn.logical_or(x(2), x(3)), RuntimeError, "must match the size of tensor b"),
    # selection
    (lambda: tn.clamp(x(1), min="a"), TypeError, "argument 'min' must be Number or Tensor, not str"),
    (lambda: tn.clamp(x(1), min=0, max=x(1)), TypeError, "both bounds have to be numbers, or both Tensors"),
    (lambda: x(1).masked_fill([True], 0), TypeError, "argument 'mask' must be Tensor, not list"),
    (lambda: x(1).masked_fill(flags(True), x(1)), RuntimeError, "only supports a 0-dimensional value tensor"),
    (lambda: ints(1).to("uint8").masked_fill(flags(True), 1000), RuntimeError, "without overflow"),
    (lambda: tn.allclose(x(1), x(1).double()), RuntimeError, "did not match"),
    (lambda: x(1).fill_(x(1)), RuntimeError, "only supports 0-dimension value tensor"),
    # extremes and reductions
    (lambda: flags(True).argmax(), RuntimeError, "bool"),
    (lambda: flags(True).topk(1), RuntimeError, "bool"),
    (lambda: x(3).topk(4), RuntimeError, "k=4, and dimension 0 has 3 elements"),
    (lambda: x(3).norm("nuclear"), RuntimeError, "but got 'nuclear'"),
    (lambda: x(0).norm(math.inf), RuntimeError, "it has no identity"),
    # shapes
    (lambda: x(4).reshape(-1, -1), RuntimeError, "only one dimension can be inferred"),
    (lambda: x(4).reshape(3), RuntimeError, r"shape '\[3\]' is invalid for input of size 4"),
    (lambda: x(0).reshape(-1, 0), RuntimeError, "ambiguous"),
    (lambda: x(4).view(tn.float64), NotImplementedError, "bytes cannot be seen as another dtype"),
    (lambda: x(6).unflatten(0, (4, -1)), RuntimeError, "don't multiply up to the size of dim 0"),
    (lambda: x(2, 2, 2).flatten(2, 1), RuntimeError, "start_dim"),
    (lambda: tn.zeros(2, size=(3,)), TypeError, "sizes were given twice"),
    (lambda: tn.cat(3), TypeError, "must be tuple of Tensors, not int"),
    (lambda: tn.cat([x(2), x(2, 2)]), RuntimeError, "Tensors must have same number of dimensions: got 1 and 2"),
    (lambda: tn.stack([]), RuntimeError, "non-empty TensorList"),
    (lambda: x(3).split(-1), RuntimeError, "but got split_size=-1"),
    (lambda: x(3).chunk(0), RuntimeError, "greater than 0, got: 0"),
    (lambda: F.pad(x(3), (-2, -2)), RuntimeError, "resulted in a negative output size"),
    (lambda: F.pad(x(1, 3), (1, 1), "reflect", 2.0), ValueError, "doesn't take in value argument"),
    (lambda: tn.roll(x(3), ()), RuntimeError, "`shifts` required"),
    (lambda: x(2, 2).repeat_interleave(x(1, 1)), RuntimeError, "0-dim or 1-dim tensor of integers"),
    (lambda: x(2).repeat_interleave(ints(1, 1, 1), 0), RuntimeError, "same size as input along dim, but got 3 and 2"),
    (lambda: x(2).repeat_interleave(ints(1, -1), 0), RuntimeError, "repeats can not be negative"),
    (lambda: x(3).unfold(0, 4, 1), RuntimeError, "maximum size for tensor at dimension 0 is 3 but size is 4"),
    (lambda: x(3).unfold(0, 2, 0), RuntimeError, "step is 0 but must be > 0"),
    # indexing
    (lambda: x(3).index_select(0, x(1).long().reshape(1, 1)), IndexError, "supposed to be a vector"),
    (lambda: tn.tensor(1.0).index_select(0, ints(0, 0)), RuntimeError, "1 value"),
    (lambda: x(3).gather(0, x(1)), RuntimeError, "int64"),
    (lambda: x(3).gather(0, x(1, 1).long()), RuntimeError, "same number of dimensions"),
    (lambda: x(2, 2).gather(0, x(2, 3).long()), RuntimeError, "dimension"),
    (lambda: x(3).scatter_add(0, ints(0, 1), x(1)), RuntimeError, r"Expected index \[2\] to be no larger than src \[1\]"),
    (lambda: x(3, 3).take_along_dim(ints(0), 0), RuntimeError, "dimension"),
    (lambda: F.one_hot(ints(-1)), RuntimeError, "Class values must be non-negative"),
    (lambda: F.one_hot(tn.tensor([], dtype="int64")), RuntimeError, "total number of classes from empty tensor"),
    (lambda: F.one_hot(ints(3), 2), RuntimeError, "smaller than num_classes: got 3 of 2"),
    # linear algebra
    (lambda: tn.matmul(x(2), 3), TypeError, "int"),
    (lambda: tn.bmm(x(2, 1, 1), x(3, 1, 1)), RuntimeError, r"mat2 has shape \(3, 1, 1\), expected \(B, L, M\) with B = 2"),
    (lambda: tn.mv(x(2), x(2)), RuntimeError, "mv"),
    (lambda: tn.diagonal(x(2, 2), 0, 1, 1), RuntimeError, "cannot be identical"),
    (lambda: tn.diag(x(1, 1, 1)), RuntimeError, "Supports 1D or 2D tensors. Got 3D"),
    (lambda: F.linear(x(2), x(2, 2, 2)), RuntimeError, r"expected a weight of shape \(out, in\)"),
    (lambda: tn.einsum(x(2), x(2)), TypeError, "'equation' must be str, not Tensor"),
    (lambda: tn.einsum("i,j->ij", x(2)), ValueError, "2 operands"),
    (lambda: tn.einsum("i->ii", x(2)), RuntimeError, "output subscript i has to appear once"),
    (lambda: tn.einsum("ii->i", x(2, 3)), RuntimeError, "label i stands for sizes 2 and 3"),
    # conversion
    (lambda: x(1).to(banana=1), TypeError, "unexpected keyword argument 'banana'"),
    (lambda: x(2).item(), RuntimeError, "a Tensor with 2 elements cannot be converted to Scalar"),
    (lambda: "a" in x(1), RuntimeError, "only supports Tensor or scalar"),
    (lambda: tn.tensor(1.0).size(0), IndexError, "tensor has no dimensions"),
    # random numbers
    (lambda: tn.rand(2, generator=3), TypeError, "'generator' must be Generator, not int"),
    (lambda: tn.randint(3), TypeError, "expected randint"),
    (lambda: tn.normal(0.0, 1.0), TypeError, "expected a size"),
    (lambda: tn.normal(x(2), x(3)), RuntimeError, "have to broadcast"),
    (lambda: tn.bernoulli(ints(1)), RuntimeError, "have to be floating point"),
    (lambda: tn.bernoulli(x(1) * 2), RuntimeError, "outside of"),
    (lambda: x(1).bernoulli_(2.0), RuntimeError, "p=2.0"),
    (lambda: x(1).uniform_(0, 1, middle=3), TypeError, "'middle'"),
    (lambda: tn.multinomial(x(1, 1, 1), 1), RuntimeError, "1 or 2 dim"),
    (lambda: tn.multinomial(x(3), 0), RuntimeError, "n_sample <= 0"),
    (lambda: tn.multinomial(x(3), 4), RuntimeError, "without replacement"),
    (lambda: tn.multinomial(-x(3), 1), RuntimeError, "element < 0"),
    (lambda: tn.multinomial(x(3) * 0, 1), RuntimeError, "sum of probabilities <= 0"),
    # layers as functions
    (lambda: F.gelu(x(1), "other"), RuntimeError, "'other'"),
    (lambda: F.cross_entropy(x(2, 3), ints(0, 1), label_smoothing=2.0), RuntimeError, "Got: 2.0"),
    (lambda: F.cross_entropy(x(2, 3), x(2, 3), ignore_index=1), RuntimeError, "ignore_index is not supported"),
    (lambda: F.cross_entropy(x(2, 3).long(), ints(0, 1)), RuntimeError, "not implemented for int64"),
    (lambda: F.cross_entropy(tn.tensor(1.0), ints(0)), ValueError, "a single number"),
    (lambda: F.cross_entropy(x(2, 3, 2), x(2, 3).long()), RuntimeError, r"Expected target size \[2, 2\], got \[2, 3\]"),
    (lambda: F.cross_entropy(x(2, 3), ints(0, 1), x(2)), RuntimeError, "defined for all 3 classes"),
    (lambda: F.cross_entropy(x(2, 3), ints(0, 3)), IndexError, "Target 3 is out of bounds"),
    (lambda: F.smooth_l1_loss(x(1), x(1), beta=-1.0), RuntimeError, "-1.0"),
    (lambda: F.huber_loss(x(1), x(1), delta=0.0), RuntimeError, "0.0"),
    (lambda: F.binary_cross_entropy(ints(1), ints(1)), RuntimeError, "not implemented for int64"),
    (lambda: F.conv2d(x(1, 1, 4, 4), x(1, 1, 2, 2), stride=(1, 2, 3)), RuntimeError, "a tuple of two ints"),
    (lambda: F.conv2d(x(1, 1, 4, 4), x(1, 1, 2, 2), stride=2, padding="same"), RuntimeError, "strided"),
    (lambda: F.conv2d(x(1, 1, 4, 4), x(1, 1, 2, 2), padding=-1), RuntimeError, "negative padding"),
    (lambda: F.conv1d(x(1, 1, 4), x(1, 1)), RuntimeError, "weight has shape .1, 1., expected .O, C, K."),
    (lambda: F.unfold(x(1, 1), 2), RuntimeError, "expected input.ndim in .3, 4."),
    (lambda: F.max_pool2d(x(1, 1, 4, 4), 2, padding=2), RuntimeError, "pad=2, kernel_size=2"),
    (lambda: F.max_pool2d(x(1, 1, 4, 4), 0), RuntimeError, "of at least 1 but got .0, 0."),
    (lambda: F.max_pool2d(x(1, 1, 4, 4) > 0, 2), RuntimeError, "not implemented for bool"),
    (lambda: F.avg_pool2d(x(1, 1, 4, 4), 2, divisor_override=0), RuntimeError, "divisor"),
    (lambda: F.adaptive_avg_pool2d(x(1, 1, 0, 4), 2), RuntimeError, "expected 0 not in input.shape"),
    (lambda: F.dropout(x(1), "a"), TypeError, "'p' must be float, not str"),
    (lambda: F.dropout1d(x(1)), RuntimeError, "but got input.ndim = 1"),
    (lambda: F.embedding(x(1), x(2, 2)), RuntimeError, "expected indices of dtype int64"),
    (lambda: F.embedding(ints(0), x(2)), RuntimeError, "weight has shape .2,., expected .V, D."),
    (lambda: F.embedding(ints(0), x(2, 2), padding_idx=2), AssertionError, "within num_embeddings"),
    (lambda: F.embedding(ints(2), x(2, 2)), IndexError, "from 2 to 2"),
    (lambda: F.batch_norm(x(2, 3), x(3), None, training=True), ValueError, "running_var = None"),
    (lambda: F.batch_norm(x(2, 3), None, None, training=True, eps=0.0), ValueError, "expected eps > 0"),
    (lambda: F.batch_norm(x(2), x(2), x(2)), RuntimeError, "input has shape .2,., expected .N, C, .S."),
    (lambda: F.batch_norm(x(2, 3), x(3).requires_grad_(), x(3)), RuntimeError, "expected not running_mean.requires_grad"),
    (
        lambda: F.instance_norm(x(2, 3, 4), use_input_stats=False),
        RuntimeError,
        "expected use_input_stats",
    ),
    (lambda: F.layer_norm(x(2, 3), 3), TypeError, "normalized_shape"),
    (lambda: F.layer_norm(x(2, 3), ()), RuntimeError, "normalized_shape"),
    (lambda: F.group_norm(x(2, 4), 0), RuntimeError, "num_groups has to be positive, but got 0"),
    # modules
    (lambda: nn.Conv2d(1, 1, 1, groups=0), ValueError, "groups must be a positive integer"),
    (lambda: nn.Conv2d(2, 3, 1, groups=2), ValueError, "out_channels must be divisible by groups"),
    (lambda: nn.LazyConv2d(2, 1, groups=2)(x(1, 3, 2, 2)), ValueError, "divisible by groups"),
    (lambda: nn.LazyConv2d(2, 1)(x(3)), RuntimeError, r"expected an input of shape .*, but got Size\(\[3\]\)"),
    (lambda: nn.Embedding(2, 3, padding_idx=4), AssertionError, "within num_embeddings"),
    (lambda: nn.GroupNorm(0, 4), ValueError, "num_groups must be positive"),
    (lambda: nn.BatchNorm2d(3)(x(2, 3)), ValueError, "4D input"),
    (lambda: nn.init.calculate_gain("leaky_relu", "steep"), ValueError, "not a valid number"),
    (lambda: nn.ModuleDict({"a": nn.ReLU()}).pop("b"), KeyError, "b"),
    (lambda: nn.ModuleList([nn.ReLU()]).insert(5, nn.ReLU()), IndexError, "5"),
    (lambda: nn.Sequential(nn.ReLU()) + 3, TypeError, "unsupported operand"),
    (lambda: nn.Sequential(nn.ReLU()).__setitem__(slice(0, 1), [nn.ReLU()] * 2), ValueError, "2 modules to a slice of 1"),
    (lambda: nn.Linear(1, 1).get_submodule("a.b"), AttributeError, "a"),
    (lambda: nn.Linear(1, 1)._parameters["none"], KeyError, "none"),
    # data
    (lambda: data.ConcatDataset([]), AssertionError, "should not be an empty iterable"),
    (lambda: data.ConcatDataset([range(2), range(3)])[5], ValueError, "there are 5 items"),
    (lambda: data.random_split(range(4), [-0.5, 1.5]), ValueError, "between 0 and 1"),
    (lambda: data.DataLoader(range(3), batch_size=None, drop_last=True), ValueError, "mutually exclusive with drop_last"),
    (lambda: data.RandomSampler(range(3), num_samples=0), ValueError, "num_samples=0"),
    (lambda: data.BatchSampler(data.SequentialSampler(range(3)), 2, "no"), ValueError, "drop_last=no"),
    (lambda: data.Dataset()[0], NotImplementedError, "does not define __getitem__"),
    # optimizers
    (lambda: sgd().add_param_group([leaf([1.0])]), TypeError, "param_group must be a dict"),
    (lambda: optim.SGD(leaf([1.0]), lr=0.1), TypeError, "Tensor"),
    (lambda: sgd(lr=x(2)), ValueError, "1-element"),
    (lambda: sgd(momentum="fast"), TypeError, "momentum has to be a number or a Tensor of one element, but got str"),
    (lambda: optim.RMSprop([leaf([1.0])], alpha=-1.0), ValueError, "alpha value: -1.0"),
    (lambda: sgd().load_state_dict({"state": {}, "param_groups": []}), ValueError, "different number of parameter groups"),
    (lambda: reload("exp_avg", x(3)), ValueError, r"'exp_avg' has shape \[3\], its parameter \[1\]"),
    (lambda: optim.lr_scheduler.LambdaLR(sgd(), [abs, abs]), ValueError, "Expected 1 lr_lambdas, but got 2"),
    (lambda: optim.lr_scheduler.ReduceLROnPlateau(sgd(), factor=1.0), ValueError, "Factor should be < 1.0"),
    (lambda: optim.lr_scheduler.ReduceLROnPlateau(sgd(), mode="up"), ValueError, "mode up is unknown"),
    (lambda: optim.lr_scheduler.ReduceLROnPlateau(sgd(), threshold_mode="up"), ValueError, "threshold mode up is unknown"),
    (lambda: optim.lr_scheduler.ReduceLROnPlateau(sgd(), min_lr=[1, 2]), ValueError, "Expected 1 min_lrs, but got 2"),
    # backends and dtypes
    (lambda: tn.set_backend(3), TypeError, "as a string, but got int"),
    (lambda: tn.full((2,), "a"), TypeError, "str"),
    (lambda: tn.save({"a": np.ones(2, "complex128")}, "nowhere"), TypeError, "complex128"),
    # more
    (lambda: sgd(nesterov=True), ValueError, "Nesterov momentum"),
    (lambda: optim.SGD([{"params": {leaf([1.0])}}], lr=0.1), TypeError, "Please use a list"),
    (lambda: optim.SGD([("a", leaf([1.0])), leaf([1.0])], lr=0.1), ValueError, "Some param names are missing"),
    (
        lambda: optim.SGD([{"params": [("a", leaf([1.0]))]}, {"params": [leaf([1.0])]}], lr=0.1),
        ValueError,
        "with/without names",
    ),
    (lambda: optim.SGD([leaf([1.0]) * 2], lr=0.1), ValueError, "non-leaf"),
    (lambda: tn.chunk(tn.tensor(1.0), 2), RuntimeError, "the tensor has no dimensions"),
    (lambda: tn.where([True], x(1), x(1)), TypeError, "'condition' must be Tensor"),
    (lambda: tn.diagonal(x(2, 2), "a"), TypeError, "offset"),
    (lambda: F.pad(x(2), "a"), TypeError, "pad"),
    (lambda: F.max_pool2d(x(1, 2, 2), 2, dilation=(1, 2, 3)), RuntimeError, "dilation"),
    (lambda: F.dropout(leaf([1.0]), inplace=True), RuntimeError, "dropout"),
    (lambda: leaf([1.0]).fill_(2), RuntimeError, "fill_"),
    (lambda: leaf([1.0]).uniform_(), RuntimeError, "uniform_"),
    (lambda: leaf([1.0]).bernoulli_(), RuntimeError, "bernoulli_"),
    (lambda: leaf([1.0]).__setitem__(0, 2.0), RuntimeError, "item assignment"),
    (lambda: tn.zeros(2, dtype="int64").uniform_(), RuntimeError, "not implemented for int64"),
    (lambda: autograd.functional.vhp(lambda t: t.sum(), x(2)), RuntimeError, "func's input"),
    (lambda: x(2) & x(2), RuntimeError, "not supported for float32"),
    (lambda: x(2) < "a", TypeError, "str"),
    (lambda: x(0).amax(), RuntimeError, "amax"),
    (lambda: data.DataLoader(range(4), batch_sampler=[[1]], batch_size=2), ValueError, "mutually exclusive"),
    (lambda: data.RandomSampler(range(4), generator=3), TypeError, "generator has to be a Generator"),
    (lambda: x(2, 2).sum((0, 0)), RuntimeError, "multiple times"),
    # the engine
    (
        lambda: autograd.grad(leaf([1.0]).sum(), leaf([1.0]), materialize_grads=True, allow_unused=False),
        ValueError,
        "allow_unused",
    ),
    (lambda: autograd.grad(leaf([1.0]).sum(), leaf([1.0])), RuntimeError, "not have been used in the graph"),
    (lambda: autograd.grad(leaf([1.0]).sum(), []), ValueError, "cannot be empty"),
    (lambda: autograd.grad(leaf([1.0]).sum(), x(1)), RuntimeError, "does not require grad"),
    (lambda: leaf([1.0, 2.0]).backward(), RuntimeError, "only for scalar outputs"),
    (lambda: leaf([1.0]).backward(x(2).double()), RuntimeError, "Mismatch in shape"),
    (lambda: x(1).sum().backward(), RuntimeError, "does not require grad and does not have a grad_fn"),
    (again, RuntimeError, "a second time"),
    (lambda: hooked(lambda g: 3), TypeError, "expected None or a Tensor"),
    (lambda: hooked(lambda g: x(3).double()), RuntimeError, "has changed the size"),
    (lambda: hooked(lambda g: g.float()), RuntimeError, "has changed the type"),
    (lambda: edited(lambda t: t.add_(1)), RuntimeError, "modified by an inplace operation"),
    (lambda: op_with(x=lambda g: g.sum())(leaf([1.0, 2.0])).sum().backward(), RuntimeError, "for an input of shape"),
    (lambda: op_with(x=lambda g: g[None])(leaf([1.0, 2.0])).sum().backward(), RuntimeError, "for an input of shape"),
    (lambda: op_with()(leaf([1.0])).sum().backward(), NotImplementedError, "not differentiable with respect to its input 'x'"),
    (lambda: op_with(y=lambda g: g), TypeError, "no input 'y'"),
    (lambda: op_with(x=lambda g, y: g), TypeError, "asks for 'y'"),
    (lambda: autograd.op(lambda out: out), TypeError, "cannot name an argument"),
    (lambda: setattr(leaf([1.0]), "grad", 3), TypeError, "assigned grad expected"),
    (lambda: setattr(leaf([1.0]), "grad", x(1)), RuntimeError, "different type"),
    (lambda: setattr(leaf([1.0]), "grad", x(2).double()), RuntimeError, "different size"),
    (lambda: setattr(leaf([1.0]), "data", 3), TypeError, "must be a tensor"),
    (lambda: setattr(leaf([1.0]), "data", ints(3)), RuntimeError, "must be floating point"),
    (lambda: x(2)[:1].detach_(), RuntimeError, "Can't detach views in-place"),
    (lambda: (leaf([1.0]) * 2).requires_grad_(False), RuntimeError, "leaf variables"),
    (lambda: ints(1).requires_grad_(), RuntimeError, "floating point"),
    (lambda: x(1).retain_grad(), RuntimeError, "retain_grad"),
    (lambda: x(1).register_hook(abs), RuntimeError, "cannot register a hook"),
    (lambda: x(1).register_post_accumulate_grad_hook(abs), RuntimeError, "cannot register a hook"),
    (lambda: (leaf([1.0]) * 2).register_post_accumulate_grad_hook(abs), RuntimeError, "non-leaf"),
    (lambda: copy.deepcopy(leaf([1.0]) * 2), RuntimeError, "deepcopy"),
    (lambda: tn.Tensor("a"), TypeError, "'a'"),
    (lambda: x(1).expand(3).add_(1), RuntimeError, "single memory location"),
    (lambda: read_only().add_(1), RuntimeError, "read-only"),
    (lambda: x(1).expand(3).t_().squeeze_().mul_(2), RuntimeError, "mul_"),
    (lambda: frozen(lambda base, view: view.mul_(2)), RuntimeError, "in no_grad mode"),
    (lambda: frozen(stale), RuntimeError, "clone.. it first"),
    (lambda: leaf([1.0, 2.0])[:1].mul_(2), RuntimeError, "a view of a leaf Variable"),
    (lambda: leaf([1.0]).mul_(2), RuntimeError, "a leaf Variable"),
    (lambda: leaf([1.0]).fill_(tn.tensor(2.0)), RuntimeError, "fill_"),
    (lambda: autograd.set_detect_anomaly("yes"), TypeError, "'mode' must be bool, not str"),
    (lambda: autograd.detect_anomaly("yes"), TypeError, "'check_nan' must be bool, not str"),
    (lambda: backward_of(once, forward=lambda ctx, t: ctx.mark_dirty(t)), NotImplementedError, "mark_dirty"),
    (lambda: type("Mine", (autograd.Function,), {}).apply(x(1)), NotImplementedError, "must implement the forward"),
    (lambda: autograd.Function.backward(None), NotImplementedError, "must implement either"),
    (lambda: type("Mine", (autograd.Function,), {})()(x(1)), RuntimeError, "Mine.apply"),
    (lambda: backward_of(lambda ctx, g: x(3)), RuntimeError, "invalid gradient at index 0"),
    (lambda: backward_of(lambda ctx, g: (g, g)), RuntimeError, "incorrect number of gradients"),
    (lambda: backward_of(lambda ctx, g: 3.0), RuntimeError, "expected Variable or None"),
    (lambda: backward_of(once, forward=lambda ctx, t: ctx.save_for_backward(3)), TypeError, "can only save variables"),
    (saved_and_edited, RuntimeError, "saved by a Function at version 0 is now at version 1"),
    (twice, RuntimeError, "once_differentiable"),
    (
        lambda: autograd.functional.jacobian(lambda a, b: a * 2, (x(2), x(2)), strict=True),
        RuntimeError,
        "independent of an input",
    ),
    (
        lambda: autograd.functional.jacobian(double, x(2), strict=True, create_graph=True),
        RuntimeError,
        "not allowed in strict mode when create_graph=True",
    ),
    (lambda: autograd.functional.hessian(lambda t: "a", x(2)), TypeError, "output"),
    # data and files
    (lambda: iter(Stream()), NotImplementedError, "Stream does not define __iter__"),
    (lambda: iter(data.Sampler()), NotImplementedError, "Sampler does not define __iter__"),
    (lambda: data.ConcatDataset([Stream()]), AssertionError, "does not support IterableDataset"),
    (lambda: file_of(b"\x01\x02\x03\x04"), ValueError, "not an IDX file"),
    (lambda: file_of(b""), ValueError, "it starts with nothing"),
    (lambda: file_of(b"\x00\x00\x08\x02\x00"), ValueError, "truncated"),
    (lambda: file_of(b"\x00\x00\x08\x01\x00\x00\x00\x05abc"), ValueError, "bytes of data"),
    (lambda: file_of(b"\x00\x00\x08\x01\x00\x00\x00\x02abc"), ValueError, "bytes of data"),
    (lambda: file_of(gzip.compress(b"\x00\x00\x08\x01", mtime=0)[:-6]), ValueError, "damaged gzip file"),
    (lambda: in_folder(lambda path: data.write_idx(path, np.ones(2, "uint16"))), TypeError, "uint16"),
    (lambda: in_folder(two_sets), ValueError, "3 images, but 2 labels"),
    (lambda: in_folder(data.mnist), FileNotFoundError, "pass download=True"),
    (lambda: data.DataLoader(range(3), num_workers=-1), ValueError, "num_workers"),
    (lambda: data.DataLoader(range(3), timeout=-1), ValueError, "timeout"),
    (lambda: data.DataLoader(range(3), prefetch_factor=2), ValueError, "prefetch_factor"),
    (lambda: data.DataLoader(range(3), persistent_workers=True), ValueError, "persistent_workers"),
    (lambda: data.DataLoader(Stream(), shuffle=True), ValueError, "IterableDataset"),
    (lambda: data.DataLoader(range(3), shuffle=True, sampler=[1]), ValueError, "mutually exclusive with shuffle"),
    (lambda: data.default_collate([[1, 2], [3]]), RuntimeError, "equal size"),
    (lambda: data.default_collate([object()]), TypeError, "default_collate"),
    (lambda: in_folder(damaged_file), ValueError, "SHA-256"),
    (lambda: tn.save(itself(), "nowhere"), ValueError, "contains itself"),
    (lambda: in_folder(lambda path: tn.load(path.parent)), ValueError, "a folder"),
    (lambda: in_folder(tn.load), FileNotFoundError, "no such file"),
    (lambda: in_folder(strange_file), ValueError, "uint16"),
    (lambda: tn.save({"a": {"b": x(1)}, "a.b": x(1)}, "nowhere"), ValueError, "'a.b'"),
    (lambda: tn.save({"a": {1.5: x(1)}}, "nowhere"), TypeError, "keys"),
    (lambda: tn.save({"a": {1, 2}}, "nowhere"), TypeError, "set"),
    (lambda: tn.save({"a": nn.ReLU()}, "nowhere"), TypeError, "save its state_dict"),
    # layers
    (lambda: F.conv2d(x(1, 1, 4, 4), x(1, 1, 2, 2), dilation=0), RuntimeError, "dilation"),
    (lambda: F.cross_entropy(x(2, 3), ints(0, 1), x(3).double()), RuntimeError, "a weight of dtype float32"),
    (lambda: F.conv1d(x(1, 1, 4), x(1, 1, 2), stride=2, padding="same"), RuntimeError, "strided"),
    (lambda: F.unfold(x(1, 1, 2, 2), 3), RuntimeError, "larger than the input"),
    (lambda: F.conv2d(x(1, 1, 4, 4), x(1, 1, 2, 2).double()), RuntimeError, "input is float32 and weight is float64"),
    (lambda: F.embedding(ints(0), x(2, 2), sparse=True), NotImplementedError, "sparse"),
    (lambda: F.mse_loss(x(2), x(2), weight=x(3)), ValueError, "must have the same size"),
    (lambda: F.binary_cross_entropy(x(2), x(2).double()), RuntimeError, "input is float32 and target is float64"),
    (lambda: F.binary_cross_entropy(x(2) * 2, x(2)), RuntimeError, "should be between 0 and 1"),
    (lambda: F.binary_cross_entropy_with_logits(x(2), ints(0, 1)), RuntimeError, "floating point"),
    (lambda: F.binary_cross_entropy_with_logits(x(2), x(3)), ValueError, "expected input.shape == target.shape"),
    (lambda: F.batch_norm(x(1, 3), None, None, training=True), ValueError, "more than 1 value per channel"),
    (lambda: F.instance_norm(x(2, 3, 1)), ValueError, "more than 1 spatial element"),
    (
        lambda: F.group_norm(x(2, 4), 3),
        RuntimeError,
        "but got C = 4 .from input .2, 4.., num_groups = 3",
    ),
    (lambda: F.group_norm(x(1, 4), 4), ValueError, "more than 1 value per channel"),
    (lambda: F.layer_norm(x(2, 3), (3,), x(3).double()), RuntimeError, "mixed dtype"),
    (lambda: F.max_pool2d(x(1, 1, 2, 2), 3), RuntimeError, "Output size is too small"),
    (lambda: F.avg_pool2d(x(1, 1, 2, 2) > 0, 2), RuntimeError, "not implemented for bool"),
    # ops
    (lambda: leaf([1.0]).numpy(), RuntimeError, "detach"),
    (lambda: x(2).to(x(1), dtype="float32"), TypeError, "a Tensor says dtype and device"),
    (lambda: leaf([1.0]).__dlpack__(), BufferError, "detach"),
    (lambda: tn.tensor([2**70]), ValueError, "too large for int64"),
    (lambda: tn.full((2,), 300, dtype="uint8"), RuntimeError, "without overflow"),
    (lambda: tn.tensor([[1, 2], [3]]), ValueError, "rows of one length"),
    (lambda: tn.tensor([1, 300], dtype="uint8"), RuntimeError, "without overflow"),
    (lambda: (leaf([1.0]) // 2).sum().backward(), NotImplementedError, "floor_divide"),
    *(
        (lambda op=op: op(flags(True), flags(True)), NotImplementedError, "for bool tensors")
        for op in (operator.mod, operator.pow, operator.floordiv, tn.fmod)
    ),
    *(
        (lambda op=op: op(flags(True)), NotImplementedError, "for bool tensors")
        for op in (tn.abs, tn.round, tn.floor, tn.ceil, tn.trunc)
    ),
    (lambda: flags(True) - flags(True), RuntimeError, "Subtraction"),
    (lambda: -flags(True), RuntimeError, "Negation"),
    (lambda: flags(True).relu_(), RuntimeError, "Boolean"),
    (lambda: tn.fmod(ints(1), ints(0)), RuntimeError, "remainder by zero"),
    (lambda: ints(2) ** -1, RuntimeError, "negative integer powers"),
    (lambda: tn.gather(x(2, 2), 0, tn.zeros(2, 3, dtype="int64")), RuntimeError, "no larger than self"),
    (
        lambda: tn.scatter_add(x(2, 2), 0, tn.zeros(3, 3, dtype="int64"), x(3, 3)),
        RuntimeError,
        r"Expected index \[3, 3\] to be no larger than self \[2, 2\]",
    ),
    (lambda: x(3)[::-1], ValueError, "flip"),
    (lambda: x(3)[flags(True, False)], IndexError, "shape of the mask"),
    (lambda: x(2).add_(x(3, 2)), RuntimeError, "broadcast shape"),
    (lambda: ints(1).add_(x(1)), RuntimeError, "can't be cast"),
    (lambda: x(2).__setitem__(0, "a"), TypeError, "can't assign a str"),
    (lambda: x(2).__setitem__(slice(2), x(3)), RuntimeError, "shape mismatch"),
    (lambda: x(2).__setitem__(ints(0), x(1).double()), RuntimeError, "source and destination dtypes match"),
    (lambda: x(2, 2)[tn.ones(2, 2) > 0, 0], IndexError, "too many indices for tensor of dimension 2"),
    (lambda: operator.index(x(1)), TypeError, "converted to an index"),
    (lambda: iter(tn.tensor(1.0)), TypeError, "0-d tensor"),
    (lambda: tn.tensor(1.0).select(0, 0), IndexError, "the tensor has no dimensions"),
    (lambda: tn.unbind(tn.tensor(1.0)), IndexError, "has no dimensions"),
    (lambda: F.pad(x(2), (1, 1), mode="reflect"), NotImplementedError, "not supported"),
    (lambda: F.pad(x(1, 2), (2, 2), mode="reflect"), RuntimeError, "at most 1"),
    (lambda: tn.roll(x(2, 2), (1, 1), 0), RuntimeError, "must align"),
    (lambda: tn.repeat_interleave(x(2), ints(1, 2), output_size=4), RuntimeError, "add up to 3"),
    (lambda: tn.cat([tn.tensor(1.0), x(1)]), RuntimeError, "zero-dimensional"),
    (lambda: tn.cat([x(1, 2), x(1, 3)]), RuntimeError, "must match except in dimension 0: expected 2, tensor 1 has 3"),
    (lambda: tn.stack([x(2), x(3)]), RuntimeError, r"\[2\] at entry 0, \[3\] at entry 1"),
    (lambda: x(2) @ 3, TypeError, "two Tensors, but got int"),
    (lambda: 3 @ x(2), TypeError, "two Tensors, but got int"),
    (lambda: tn.t(x(1, 1, 1)), RuntimeError, "3D"),
    (lambda: x(2, 2).repeat(2), RuntimeError, "at least 2, but got 1"),
    (lambda: x(2).sum("a"), TypeError, "'a'"),
    (lambda: np.linalg.norm(x(2, 2), 3), TypeError, "order 3"),
    (lambda: np.sum(x(2), where=True), TypeError, "np.sum of a Tensor"),
    (lambda: np.median(leaf([1.0])), TypeError, "no derivative here"),
    (lambda: np.add(np.ones(2, "float32"), x(2), out=np.ones(2, "float32")), TypeError, "np.add"),
    # optimizers
    (lambda: optim.Adam([leaf([1.0])], betas=(0.9, 1.5)), ValueError, "index 1: 1.5"),
    (lambda: optim.Adam([leaf([1.0])], eps=-1.0), ValueError, "epsilon value: -1.0"),
    (lambda: nothing_known(optim.lr_scheduler.StepLR), KeyError, "initial_lr"),
    (lambda: optim.Optimizer([with_gradient()], {"lr": 0.1}).step(), NotImplementedError, "neither update"),
    (lambda: optim.SGD([{"params": [t := leaf([1.0])]}, {"params": [t]}], lr=0.1), ValueError, "more than one parameter group"),
    (lambda: optim.SGD([], lr=0.1), ValueError, "empty parameter list"),
    (
        lambda: sgd().load_state_dict(optim.SGD([leaf([1.0]), leaf([1.0])], lr=1).state_dict()),
        ValueError,
        "size of optimizer's",
    ),
    (lambda: sgd().load_state_dict([]), TypeError, "dict-like"),
    (lambda: optim.lr_scheduler.StepLR(sgd(), 1).load_state_dict([]), TypeError, "dict-like"),
]
