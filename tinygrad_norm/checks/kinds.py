"""The words in which a signature says what its arguments have to be; `checked` reads them.

    Float[Tensor, "N C *S"]    a Tensor of floating point dtype, of at least two dimensions; the letters are its sizes, and
                               mean the same size wherever they stand in the signature
    Num[Tensor, "C"]           of any dtype; Number[Tensor, "C"]: of any but bool
    Same[Tensor, "C"]          of the dtype of the first Tensor
    SameOrFloat32[Tensor, "C"] the same, or float32 beside float16
    Int[Tensor, "N"]           of an integer dtype
    Positive, NonNegative      numbers > 0, >= 0
    Probability                a number from 0 to 1
    PositiveInt                an integer > 0
    Literal["mean", "sum"]     one of these; Reduction is "none", "mean" or "sum"

The notation for Tensors is jaxtyping's. To a type checker they are Tensors and numbers.
"""

from __future__ import annotations

from typing import Annotated as Float
from typing import Annotated as Int
from typing import Annotated as Num
from typing import Annotated as Number
from typing import Annotated as Same
from typing import Annotated as SameOrFloat32
from typing import Literal, TypeAlias

__all__ = ["Float", "Int", "Num", "Number", "Same", "SameOrFloat32"]
__all__ += ["NonNegative", "Positive", "PositiveInt", "Probability", "Reduction"]
Positive: TypeAlias = float
NonNegative: TypeAlias = float
Probability: TypeAlias = float
PositiveInt: TypeAlias = int
Reduction: TypeAlias = Literal["none", "mean", "sum"]
