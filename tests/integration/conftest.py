from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.web.yard import Yard
from tests.support.yard import Caller, make_yard


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    with make_yard(tmp_path) as made:
        yield made


@pytest.fixture
def admin(yard: Yard) -> Caller:
    """An administrator's view, with a project called acme."""
    caller = Caller(yard)
    caller.made("/projects", {"name": "acme"})
    return caller
