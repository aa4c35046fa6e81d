"""Release flows from the command line; the flow worker, stepped by the test, moves them on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.web.server_context import ServerContext
from app.workers.flows import FlowWorker
from tests.support.api import Caller
from tests.support.cli import Cli, point_at, serving
from tests.support.meanwhile import Meanwhile

NODES = [
    {"name": "ready", "type": "approval", "message": "Is it?"},
    {"parallel": [{"name": "done", "type": "message", "message": "Released."}]},
]


@pytest.fixture
def cli(
    admin: Caller, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Iterator[Cli]:
    admin.made("/projects/acme/flows", {"name": "release", "nodes": NODES, "concurrency": "allow"})
    monkeypatch.chdir(tmp_path)
    with serving(admin.context) as port:
        point_at(monkeypatch, port)
        yield Cli(capsys)


def conduct(context: ServerContext) -> None:
    flow_worker = FlowWorker(context.db, context.clock, context.names, context.vault)
    while flow_worker.step():
        pass


def through(context: ServerContext, admin: Caller, answer: str) -> None:
    """The run goes on, somebody answers, and it goes on to its end."""
    conduct(context)
    admin.made(f"/flows/runs/1/nodes/ready/{answer}")
    conduct(context)


@pytest.mark.parametrize(("answer", "status"), [("approve", 0), ("decline", 1)])
def test_a_followed_flow_says_what_its_nodes_say(
    cli: Cli, context: ServerContext, admin: Caller, answer: str, status: int
) -> None:
    with Meanwhile(context, "flows", lambda: through(context, admin, answer)):
        done = cli("flow", "run", "release", "--follow")
    assert done.status == status
    assert "ready: Is it?\n" in done.err
    assert f"done: {'Released' if status == 0 else 'Not reached'}.\n" in done.err
    assert f"Run 1 of release ● {'succeeded' if status == 0 else 'failed'}" in done.err


def test_flows_and_their_runs_are_listed_and_shown(cli: Cli, context: ServerContext, admin: Caller) -> None:
    listed = cli("flows").out
    assert "acme/release" in listed
    assert "ready → done" in listed
    assert cli("flows", "--json").json == admin.got("/projects/acme/flows")
    assert cli("flow", "run", "acme/release", "--sha", "a" * 40).out.startswith("Run 1 of release is queued")
    conduct(context)
    assert cli("flow", "show", 1, "--json").json == admin.got("/flows/runs/1")
    assert "Is it?" in cli("flow", "show", 1).out
    assert "aaaaaaaa" in cli("flow", "runs", "release").out
    assert cli("flow", "runs", "release", "--json").json == admin.got("/projects/acme/flows/release/runs")


def test_answers_and_cancel(cli: Cli, context: ServerContext) -> None:
    for _ in range(3):
        assert cli("flow", "run", "release").status == 0
    assert cli("flow", "approve", 1).err == "jobyard: Run 1 has no approval that waits.\n"
    conduct(context)
    assert cli("flow", "approve", 1).out == "ready of run 1 is approved.\n"
    assert cli("flow", "decline", 2, "ready").out == "ready of run 2 is declined.\n"
    assert cli("flow", "cancel", 3).out == "Run 3 of release is being cancelled.\n"
    conduct(context)
    statuses = [cli("flow", "show", id_, "--json").json["status"] for id_ in (1, 2, 3)]
    assert statuses == ["succeeded", "failed", "cancelled"]
    assert cli("flow", "cancel", 3).err == "jobyard: Flow run 3 is over already: its status is cancelled.\n"


def test_a_flow_that_is_not_there(cli: Cli) -> None:
    assert (
        cli("flow", "run", "other").err
        == "jobyard: There is no flow other: `jobyard flows` lists what there is.\n"
    )
