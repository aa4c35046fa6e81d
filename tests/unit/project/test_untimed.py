"""No test of a property fails because the machine is busy."""

from __future__ import annotations

from hypothesis import settings


def test_no_example_has_a_deadline() -> None:
    assert settings().deadline is None
