"""Every op, through every property: see op_table.py for the cases, testing.check_op for the properties."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from op_table import CASES, Case

from tinygrad_norm import testing


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
@given(data=st.data())
def test_op_has_every_property(case: Case, data: Any) -> None:
    inputs, settings = data.draw(case.inputs)
    testing.check_op(case.function, *inputs, reference=case.reference, settings=settings, second=case.second)
