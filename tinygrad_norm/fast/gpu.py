"""One pass instead of several on a GPU: formulas for each element, which CuPy compiles.

NumPy needs an operation for each sign in a formula, and so would CuPy: a kernel launch each, and a way through memory.
A `Kernel` is the whole formula, written so that C and Python read it alike. Where the package has one, the same
formula stands beside it in array operations; tests hold the two equal.
"""

from __future__ import annotations

from typing import Any

from tinygrad_norm.backend import Array, xp


class _Compiled:
    """What CuPy makes of a formula, made once for each array library."""

    maker: str  # the name of CuPy's class

    def __init__(self, *arguments: str) -> None:
        self.arguments = arguments
        self.made: dict[Any, Any] = {}

    def made_for(self, array: Array) -> Any:
        """CuPy's own object."""
        module = xp(array)
        if module not in self.made:
            self.made[module] = getattr(module, self.maker)(*self.arguments)
        return self.made[module]


class Kernel(_Compiled):
    """A formula for each element; called with its inputs, and with arrays for its outputs (which may be inputs too).

    inputs, outputs: CuPy's parameter lists; T is whatever floating type the arrays have. formula: assignments, ended by ";".
    """

    maker = "ElementwiseKernel"

    def __init__(self, name: str, inputs: str, outputs: str, formula: str) -> None:
        super().__init__(inputs, outputs, formula, f"tinygrad_norm_{name}")

    def __call__(self, *arrays: Any) -> Array:
        """The outputs, as new arrays unless they are given."""
        return self.made_for(arrays[0])(*arrays)


class Sum(_Compiled):
    """A sum of an expression of each element over some dimensions, in float64."""

    maker = "ReductionKernel"

    def __init__(self, name: str, inputs: str, expression: str) -> None:
        super().__init__(inputs, "float64 total", expression, "a + b", "total = a", "0", f"tinygrad_norm_{name}")

    def __call__(self, *arrays: Any, axis: tuple[int, ...]) -> Array:
        """The sums, with the dimensions kept."""
        return self.made_for(arrays[0])(*arrays, axis=axis, keepdims=True)
