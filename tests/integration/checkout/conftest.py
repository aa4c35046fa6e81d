"""A repository on a Git server, and what is fetched from it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.checkout import (
    Checkouts,
)
from tests.support.git_server import GitServer, git_server
from tests.support.repositories import Repository

ALLOW = frozenset({"file", "http"})


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "served" / "report")
    made.commit({"main.py": "print(1)\n", "data/a.txt": "a\n", "data/b.txt": "b\n"}, "Begin")
    return made


@pytest.fixture
def server(repository: Repository) -> Iterator[GitServer]:
    with git_server(repository.path.parent) as running:
        yield running


@pytest.fixture(params=["file", "http"])
def url(request: pytest.FixtureRequest, repository: Repository, server: GitServer) -> str:
    return repository.url if request.param == "file" else server.url("report/.git")


@pytest.fixture
def checkouts(tmp_path: Path) -> Checkouts:
    return Checkouts(tmp_path / "checkouts", ALLOW, git_time_limit_seconds=20)
