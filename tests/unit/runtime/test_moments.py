"""Streams that were opened together look at moments that lie apart."""

from __future__ import annotations

from itertools import pairwise

import pytest

from app.runtime.moments import Moments


@pytest.mark.parametrize("many", [2, 10, 100, 1000])
def test_moments_lie_apart(many: int) -> None:
    moments = Moments()
    parts = sorted(moments.next() for _ in range(many))
    apart = [later - sooner for sooner, later in pairwise([*parts, parts[0] + 1])]
    assert 0 <= parts[0] <= parts[-1] < 1
    assert min(apart) > 1 / many / 3
