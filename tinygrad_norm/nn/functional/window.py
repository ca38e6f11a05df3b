"""Sliding windows: which inputs an output sees. Shared by convolution and pooling.

Along one dimension, output o looks at the inputs o * stride + i * dilation - before, for i = 0 ... kernel - 1;
those outside of the input are padding. For a fixed i that is a slice of the input for a slice of the output,
so that a whole layer is a few operations on slices:

    kernel 3, stride 1, one of padding      input     . 0 1 2 3 .
                                            i = 0     outputs 1 2 3 take inputs 0 1 2
                                            i = 1     outputs 0 1 2 3 take inputs 0 1 2 3
                                            i = 2     outputs 0 1 2 take inputs 1 2 3
"""

from __future__ import annotations

import functools
from dataclasses import dataclass


@dataclass(frozen=True)
class Windows:
    """The windows along one dimension: how many, and where."""

    size: int
    kernel: int
    stride: int = 1
    before: int = 0
    after: int = 0
    dilation: int = 1
    ceil_mode: bool = False

    @functools.cached_property
    def count(self) -> int:
        """The number of outputs.

        (size + padding - dilation * (kernel - 1) - 1) / stride + 1, rounded down, or up in ceil_mode;
        there a last window that would start in the padding after the input is left out.
        """
        room = self.size + self.before + self.after - self.dilation * (self.kernel - 1) - 1
        count = (-(-room // self.stride) if self.ceil_mode else room // self.stride) + 1
        if self.ceil_mode and (count - 1) * self.stride >= self.size + self.before:
            count -= 1
        return count

    @functools.cached_property
    def taps(self) -> list[tuple[slice, slice]]:
        """For each i: the slice of the outputs that see an input there, and the slice of those inputs."""
        found = []
        for i in range(self.kernel):
            shift = i * self.dilation - self.before
            first = max(0, -(shift // self.stride))
            last = min(self.count - 1, (self.size - 1 - shift) // self.stride)
            count, start = max(last - first + 1, 0), first * self.stride + shift
            stop = start + (count - 1) * self.stride + 1 if count else start
            found.append((slice(first, first + count), slice(start, stop, self.stride)))
        return found
