"""A repository on a Git server, and a file that nothing may touch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.checkout import Checkouts
from tests.support.git_server import GitServer, git_server
from tests.support.repositories import Repository

ALLOW = frozenset({"file", "http"})


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "served" / "report")
    made.commit({"main.py": "print(1)\n"}, "Begin")
    return made


@pytest.fixture
def server(repository: Repository) -> Iterator[GitServer]:
    with git_server(repository.path.parent) as running:
        yield running


@pytest.fixture
def checkouts(tmp_path: Path) -> Checkouts:
    return Checkouts(tmp_path / "checkouts", ALLOW, git_time_limit_seconds=20)


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "canary"
    yield path
    assert not path.exists(), "something hostile was run"
