"""Wrong calls: the kind of the error is PyTorch's, and its text names what was wrong."""

from __future__ import annotations

import pytest
from wrong_calls import WRONG_CALLS

import tinygrad_norm as tn

NOT_LOOKED_AT_ON_A_GPU = {"outside of", "Target 3 is out of bounds", "from 2 to 2", "should be between 0 and 1"}


@pytest.mark.parametrize("wrong", [pytest.param(w, id=f"{i}-{w[2]}"[:60]) for i, w in enumerate(WRONG_CALLS)])
def test_a_wrong_call_says_what_is_wrong(wrong) -> None:
    call, kind, text = wrong
    if tn.get_backend() != "numpy" and text in NOT_LOOKED_AT_ON_A_GPU:
        pytest.skip("would have to wait for the values")
    with pytest.raises(kind, match=text) as caught:
        call()
    assert type(caught.value) is kind
