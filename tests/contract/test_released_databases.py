"""Databases that earlier versions left come up to date: what is in them is read by the API, and a run starts.

`scripts/released-database` makes them: of each released version, and of states in the making of the first one, named by
their newest revision.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from app.bootstrap import parts as parts_module
from app.bootstrap.loops import make_supervisor
from app.bootstrap.parts import make_parts
from app.bootstrap.web import server_context
from app.config import Settings
from app.engines.base import ContainerSpec, Handle
from app.engines.fake import FakeEngine
from app.installation import open_installation
from app.web.api import OPERATIONS
from app.workers.run.runner import Runner
from tests.support.api import Caller
from tests.support.killed_migration import killed
from tests.support.project import ROOT
from tests.support.released import KEY, SECRET_VALUE, load, names
from tests.support.server_context import ADMIN_TOKEN

NAMES = {
    "{p}": "acme",
    "{j}": "report",
    "{c}": "forge",
    "{g}": "mail",
    "{t}": "ops",
    "{s}": "images",
    "{a}": "shop",
    "{ga}": "octo",
    "{pl}": "reports",
    "{f}": "release",
    "{id}": "1",
}
SINCE = {  # what older versions had none of
    "/users": "0015",
    "/audit": "0018",
    "/projects/{p}/commit-statuses": "0042",
    "/builds/{id}/commit-statuses": "0042",
    "/runs/{id}/commit-statuses": "0042",
    "/projects/{p}/github-apps": "0044",
    "/projects/{p}/notification-targets": "0045",
    "/projects/{p}/hooks": "0048",
}
THINGS = (
    "project",
    "job",
    "source",
    "credential",
    "secret_group",
    "app",
    "pipeline",
    "flow",
    "token",
    "run",
    "build",
)


@pytest.fixture(params=names())
def left(request: pytest.FixtureRequest, make: Callable[..., str]) -> tuple[str, str]:
    """The version, and the URL of the database that it left."""
    url = make(empty=True)
    load(request.param, url)
    return request.param, url


class Engine(FakeEngine):
    """Remembers what it started, as containers are removed when they are over."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.started = dict[str, ContainerSpec]()

    def start(self, spec: ContainerSpec, key: str, token: int, *, is_new: bool = False) -> Handle:
        self.started[key] = spec
        return super().start(spec, key, token, is_new=is_new)


@pytest.fixture(autouse=True)
def engines(monkeypatch: pytest.MonkeyPatch) -> list[Engine]:
    """Those that servers get."""
    made = list[Engine]()

    def make_engine(*given: Any, **_: Any) -> Engine:
        made.append(Engine(given[2].now))
        return made[-1]

    monkeypatch.setattr(parts_module, "make_engine", make_engine)
    return made


@contextmanager
def opened(url: str, data: Path) -> Iterator[tuple[Caller, Runner]]:
    """A server of this version on that database: its API, and what starts its runs."""
    settings = Settings(
        data=data,
        database_url=SecretStr(url),
        secret_key=SecretStr(KEY),
        admin_token=SecretStr(ADMIN_TOKEN),
        _env_file=None,
    )
    with open_installation(settings) as installation:
        parts = make_parts(installation)
        yield (
            Caller(server_context(parts, "http://127.0.0.1:1")),
            make_supervisor(parts, alone=True).runner,
        )
        parts.inbox.close()
        parts.engine.close()


def counted(url: str) -> dict[str, int]:
    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        found = {name: connection.scalar(sa.text(f"SELECT count(*) FROM {name}")) for name in THINGS}
    engine.dispose()
    return found  # type: ignore[return-value]


def paths() -> list[str]:
    """Of all that can be read."""
    return [each.path for each in OPERATIONS if each.method == "GET" and "openapi" not in each.path]


def read(caller: Caller, path: str, made_by: str) -> None:
    """What is there, which is something, unless that version had none."""
    is_younger = any(path.startswith(kind) and made_by < since for kind, since in SINCE.items())
    if is_younger and "{" in path:
        return
    if path == "/deliveries/{id}":
        path = f"/deliveries/{caller.got('/deliveries')['items'][0]['id']}"
    for name, value in NAMES.items():
        path = path.replace(name, value)
    answer = caller.get(path, params={"q": "x"} if path.endswith("/search") else {})
    if answer.status_code == 404 and path.endswith(("/logs", "/search")):
        # Beside other servers, a log that isn't here is taken for another's.
        assert answer.json()["detail"].startswith("This log is on the disk of the server")
        return
    assert answer.status_code == 200, (path, answer.text)
    if path.endswith(("/logs", "/search", "/metrics", "/sessions", "/export")):
        return  # which are files, or were nobody's
    found = answer.json()
    assert found.get("items", found) or is_younger, path


def test_everything_is_read_and_a_run_starts(
    left: tuple[str, str], engines: list[Engine], tmp_path: Path
) -> None:
    made_by, url = left
    before = counted(url)
    with opened(url, tmp_path / "data") as (caller, runner):
        assert counted(url) == before
        for path in paths():
            read(caller, path, made_by)
        run = caller.made("/projects/acme/jobs/report/runs")
        while runner.step():
            pass
        done = caller.got(f"/runs/{run['id']}")
        assert (done["status"], done["sentence"]) == ("succeeded", "Exited with code 0.")
        *_, started = engines[-1].started.values()
    assert (started.env["API_TOKEN"], started.env["PASSWORD"]) == (SECRET_VALUE, SECRET_VALUE)


def test_a_server_that_is_killed_while_it_migrates_one_loses_nothing(
    make: Callable[..., str], tmp_path: Path
) -> None:
    oldest, url = names()[0], make(empty=True)
    load(oldest, url)
    before = counted(url)
    # On SQLite all is one transaction, and each server begins it anew: few places are as good as many.
    assert killed(url, 60 if url.startswith("sqlite") else 30) > 1
    assert counted(url) == before
    with opened(url, tmp_path / "data") as (caller, _):
        for path in paths():
            read(caller, path, oldest)


def test_there_is_one_of_each_released_version() -> None:
    """`scripts/released-database VERSION` makes it."""
    said = re.findall(
        r"^\*\*(\d+\.\d+\.\d+)\*\*(, in the making)?", (ROOT / "README.md").read_text(), re.MULTILINE
    )
    assert said[0][0] == version("jobyard")
    released = [each for each, in_the_making in said if not in_the_making]
    assert set(released) <= set(names())
