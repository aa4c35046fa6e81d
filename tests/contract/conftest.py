"""A database of either kind for the store's tests, and each engine."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.domain.job.records import Job
from app.store.database import Database
from tests.support import engine_harness, swarm_harness
from tests.support.databases import Postgres, empty_sqlite, migrated_postgres
from tests.support.engine_harness import ENGINES, Harness
from tests.support.kubernetes_harness import kubernetes_harness, published, real_harness
from tests.support.registry import registry
from tests.support.remote_engine import SshEngine, TlsEngine, ssh_engine, tls_engine
from tests.support.stored import add_job
from tests.support.swarm_harness import Swarm


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with migrated_postgres() as cluster:
        yield cluster


@pytest.fixture(params=["sqlite", "postgresql"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., str]:
    """Makes a database, migrated or empty, and gives its URL."""

    def sqlite(*, empty: bool = False) -> str:
        path = tmp_path / "jobyard.db"
        if not empty:
            path.write_bytes(empty_sqlite())
        return f"sqlite:///{path}"

    def postgresql(*, empty: bool = False) -> str:
        cluster: Postgres = request.getfixturevalue("postgres")
        return cluster.create("template0" if empty else "migrated")

    return sqlite if request.param == "sqlite" else postgresql


@pytest.fixture
def db(make: Callable[..., str]) -> Iterator[Database]:
    db = Database(make())
    yield db
    db.close()


@pytest.fixture
def job(db: Database) -> Job:
    return add_job(db)


@pytest.fixture(scope="session")
def over_tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsEngine]:
    with tls_engine(tmp_path_factory.mktemp("tls")) as engine:
        yield engine


@pytest.fixture(scope="session")
def over_ssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshEngine]:
    with ssh_engine(tmp_path_factory.mktemp("ssh")) as engine:
        yield engine


@pytest.fixture(scope="session")
def published_image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An image in a registry, which nodes of a cluster pull."""
    with registry(tmp_path_factory.mktemp("registry") / "root") as made:
        yield published(made)


@pytest.fixture(scope="session")
def swarm() -> Iterator[Swarm]:
    with swarm_harness.swarm() as made:
        yield made


@pytest.fixture(params=ENGINES)
def harness(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    match request.param:
        case "fake":
            with engine_harness.fake_harness() as fake:
                yield fake
        case "docker":
            with engine_harness.docker_harness() as docker:
                yield docker
        case "docker over tls":
            tls: TlsEngine = request.getfixturevalue("over_tls")
            with engine_harness.docker_harness(tls.connect, tls.private.url) as docker:
                yield docker
        case "docker over ssh":
            ssh: SshEngine = request.getfixturevalue("over_ssh")
            with engine_harness.docker_harness(ssh.connect, ssh.private.url) as docker:
                yield docker
        case "kubernetes":
            if real_registry := os.environ.get("JOBYARD_TEST_REGISTRY"):
                with real_harness(real_registry) as real:
                    yield real
            else:
                with kubernetes_harness(request.getfixturevalue("published_image")) as kubernetes:
                    yield kubernetes
        case "swarm":
            with swarm_harness.swarm_harness(request.getfixturevalue("swarm")) as swarm:
                yield swarm
        case _:
            with engine_harness.process_harness(tmp_path_factory.mktemp("process")) as process:
                yield process
