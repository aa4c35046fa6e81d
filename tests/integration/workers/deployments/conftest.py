"""An installation on either kind of database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.store.database import Database
from tests.support.installation import Installation


@pytest.fixture
def place(tmp_path: Path, other_database: Database | None) -> Iterator[Installation]:
    place = Installation(tmp_path / "place", other_database)
    yield place
    place.close()
