"""Two stages with a job each, on either kind of database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.engines.fake import Script
from app.store.database import Database
from tests.support.fakes import commit
from tests.support.installation import Installation
from tests.support.loops import Server

A, B, C = (commit(letter) for letter in "abc")


@pytest.fixture
def place(tmp_path: Path, other_database: Database | None) -> Iterator[Installation]:
    """A job that is built, and its peer in the next stage, which run only when asked."""
    place = Installation(tmp_path / "place", other_database)
    place.repository.history += [B, A]
    place.engine.script("*", Script(output=[b"done\n"]))
    report = place.job(run_on_image_change="never")
    live = place.job("live", source={"type": "none"}, run_on_image_change="never")
    place.pipeline("main", [report], [live])
    yield place
    place.close()


@pytest.fixture
def server(place: Installation) -> Server:
    return place.server("one")
