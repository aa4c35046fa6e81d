"""A machine without an engine, where a data directory is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.config import read_settings
from app.domain.sealing import Owner
from app.installation import open_installation
from app.store import projects
from tests.support.cli import Cli
from tests.support.s3_server import ACCESS_KEY, SECRET_KEY, s3_server


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Cli:
    """Where there is a data directory and no engine."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JOBYARD_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("JOBYARD_DOCKER_HOST", f"unix://{tmp_path}/no-engine.sock")
    monkeypatch.setenv("JOBYARD_URL", "http://127.0.0.1:1")
    for name in ("JOBYARD_SECRET_KEY", "JOBYARD_DATABASE_URL", "JOBYARD_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return Cli(capsys)


@pytest.fixture
def sealed(cli: Cli, tmp_path: Path) -> str:
    """Something only this installation's key opens; beside it a project and a log."""
    with open_installation(read_settings()) as installation:
        with installation.db.write() as tx:
            projects.create(tx, "acme", None, installation.clock.now())
        sealed = installation.box.seal("a secret", Owner.job(1, 1).variable("TOKEN"))
    log = tmp_path / "data/logs/runs/000000/1/1.log"
    log.parent.mkdir(parents=True)
    log.write_bytes(b"a log\xff\n")
    (tmp_path / "data/checkouts/mirror").mkdir(parents=True)
    return sealed


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """Where the objects of the bucket are."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    with s3_server(tmp_path / "s3") as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        yield tmp_path / "s3/backups"
