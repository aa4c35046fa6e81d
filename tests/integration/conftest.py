from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.store.database import Database
from app.web.server_context import ServerContext
from tests.support.api import Caller
from tests.support.databases import Postgres, migrated_postgres
from tests.support.installation import Installation
from tests.support.loops import Server


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with migrated_postgres() as cluster:
        yield cluster


@pytest.fixture(params=["sqlite", "postgresql"])
def other_database(request: pytest.FixtureRequest) -> Iterator[Database | None]:
    """For an `Installation`: None for its own, then one of PostgreSQL."""
    if request.param == "sqlite":
        yield None
        return
    cluster: Postgres = request.getfixturevalue("postgres")
    with cluster.lent() as db:
        yield db


@pytest.fixture
def context(tmp_path: Path) -> Iterator[ServerContext]:
    with Installation.bare(tmp_path) as place:
        yield place.web


@pytest.fixture
def admin(context: ServerContext) -> Caller:
    """An administrator's view, with a project called acme."""
    caller = Caller(context)
    caller.made("/projects", {"name": "acme"})
    return caller


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Installation]:
    """The loops of one installation, with a simulated engine and Git: steps are taken by the test."""
    with Installation(tmp_path / "place") as place:
        yield place


@pytest.fixture
def server(place: Installation) -> Server:
    server = place.server("one")
    server.reconcile()
    return server
