"""TensorBoard's writer for Tensors; it needs tensorboardX.

from tinygrad_norm.tensorboard import SummaryWriter

with SummaryWriter("runs/mlp") as writer:
    writer.add_scalar("loss", loss, step)
    writer.add_histogram("weight", layer.weight, step)
"""

from __future__ import annotations

from typing import Any

from tinygrad_norm.autograd import Tensor

try:
    import tensorboardX
except ImportError as error:
    raise ImportError("tinygrad_norm.tensorboard needs tensorboardX: pip install tensorboardX") from error


class SummaryWriter(tensorboardX.SummaryWriter):
    """tensorboardX's SummaryWriter, which also takes Tensors in these methods: they are detached and brought to the host."""

    def add_scalar(self, tag: str, scalar_value: Any, *args: Any, **kwargs: Any) -> None:
        """A number under a tag."""
        super().add_scalar(tag, _on_host(scalar_value), *args, **kwargs)

    def add_scalars(self, main_tag: str, tag_scalar_dict: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        """Several numbers under one tag."""
        super().add_scalars(main_tag, {k: _on_host(v) for k, v in tag_scalar_dict.items()}, *args, **kwargs)

    def add_histogram(self, tag: str, values: Any, *args: Any, **kwargs: Any) -> None:
        """The distribution of an array's values under a tag."""
        super().add_histogram(tag, _on_host(values), *args, **kwargs)

    def add_image(self, tag: str, img_tensor: Any, *args: Any, **kwargs: Any) -> None:
        """An image (C, H, W) under a tag."""
        super().add_image(tag, _on_host(img_tensor), *args, **kwargs)

    def add_images(self, tag: str, img_tensor: Any, *args: Any, **kwargs: Any) -> None:
        """Images (N, C, H, W) under a tag."""
        super().add_images(tag, _on_host(img_tensor), *args, **kwargs)

    def add_parameters(self, model: Any, step: int, suffix: str = "") -> None:
        """A histogram of each parameter of a module, and of its gradient if it has one."""
        for name, parameter in model.named_parameters():
            self.add_histogram(f"{name}_data{suffix}", parameter, step)
            if parameter.grad is not None:
                self.add_histogram(f"{name}_grad{suffix}", parameter.grad, step)


def _on_host(value: Any) -> Any:
    return value.detach().cpu().numpy() if isinstance(value, Tensor) else value
