"""What a server brings along when it starts: what only some installations or moments need comes when they do."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.project import ROOT
from tests.support.server import free_port

LATER = {
    "alembic",
    "app.http_notifier",
    "app.registry",
    "builders.detect",
    "mako",
    "markdown_it",
    "docker",
    "git",
    "httpx2",
    "croniter",
    "dateutil",
    "pygments",
    "rich",
    "yaml",
    "psycopg",
    "sqlalchemy.dialects.postgresql",
    "prometheus_client",
    "websockets",
}
MODULES, THREADS = 1450, 30  # 18 loops, 2 builders, 8 runners, the inbox, and the main thread
SERVE = """
import asyncio, json, sys, threading
import app.cli.server
from app.bootstrap.server import open_server
from app.config import read_settings
from app.installation import migrate_apart
from app.web.connections import Connections
from app.web.http_server import make_server

async def started(app):
    make_server(app, Connections(10)).config.load()
    async with app.router.lifespan_context(app):
        return {"modules": sorted(sys.modules), "threads": threading.active_count()}

migrate_apart(read_settings())
with open_server(read_settings(), "http://127.0.0.1:1") as app:
    print(json.dumps(asyncio.run(started(app))))
"""


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """What a server has when its loops are under way that has made its database."""
    data = tmp_path_factory.mktemp("start") / "data"
    environment = {"JOBYARD_DATA": str(data), "JOBYARD_ENGINE": "process", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", SERVE],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_what_is_seldom_needed_is_not_imported(started: dict[str, object]) -> None:
    modules = started["modules"]
    assert isinstance(modules, list)
    assert "app.workers.supervisor" in modules
    assert [name for name in modules if any(f"{name}.".startswith(f"{each}.") for each in LATER)] == []
    assert len(modules) < MODULES, len(modules)


def test_threads_are_bounded(started: dict[str, object]) -> None:
    assert isinstance(started["threads"], int)
    assert started["threads"] <= THREADS


def test_everything_that_a_server_says_is_json_where_that_is_wanted(tmp_path: Path) -> None:
    ours = {"DATA": str(tmp_path / "data"), "ENGINE": "process", "LOG_FORMAT": "json"}
    with subprocess.Popen(
        [sys.executable, "-m", "app", "serve", "--port", str(free_port())],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", **{f"JOBYARD_{name}": value for name, value in ours.items()}},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as server:
        assert server.stdout is not None
        said = []
        for line in server.stdout:
            said.append(json.loads(line)["message"])
            if said[-1].startswith("No administrator yet. Set one up, once, at http://"):
                server.terminate()
    assert any(each.startswith("Jobyard listens on http://127.0.0.1:") for each in said)
    assert server.returncode in (0, -signal.SIGTERM)
    assert [each for each in said if "Set one up" in each]
