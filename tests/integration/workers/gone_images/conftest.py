"""An installation whose engine loses images, on either kind of database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.store.database import Database
from tests.support.installation import Installation


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Installation]:
    database = None
    if getattr(request, "param", "sqlite") == "postgresql":
        database = Database(request.getfixturevalue("postgres").create("migrated"))
    place = Installation(tmp_path / "place", database)
    yield place
    place.close()
