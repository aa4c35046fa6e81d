"""A server is killed before and after every commit that moves a release flow on; another goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from app.commands.flow_runs import answer_approval
from app.domain.flows import FlowRun, FlowStatus
from app.domain.runs import RunStatus
from app.domain.sealing import of_message
from app.engines.fake import Script
from app.store import flows, jobs, pipelines
from app.workers.flows import FlowWorker
from tests.support.fakes import commit, image_of
from tests.support.installation import Installation
from tests.support.loops import Server
from tests.support.mortal import Fuse, Killed, MortalDatabase

HEAD = commit("head")
NODES = (
    {"name": "make", "type": "build", "job": "report"},
    {
        "parallel": [
            {"name": "left", "type": "run", "job": "report", "retries": 1},
            {"name": "right", "type": "run", "job": "report", "wait": False},
        ]
    },
    {"name": "up", "type": "promote", "pipeline": "main", "from": "report"},
    {"name": "ask", "type": "approval"},
    {"name": "tell", "type": "message", "message": "Released."},
)


@contextmanager
def started(root: Path) -> Iterator[Installation]:
    """A flow has been started; the first run that it makes fails."""
    place = Installation(root)
    place.repository.history.append(HEAD)
    place.engine.script("*", Script())
    place.engine.script("run-1-*", Script(exit_code=1))
    report = place.job(run_on_image_change="never")
    live = place.job("live", source={"type": "none"}, run_on_image_change="never")
    place.pipeline("main", [report], [live])
    place.start(place.flow(*NODES))
    try:
        yield place
    finally:
        place.close()


def mortal(place: Installation, fuse: Fuse) -> Server:
    """A server that dies when it moves the flow on, or answers for it."""
    server = place.server("first")
    server.db = MortalDatabase(place.db, fuse)
    server.flow_worker = FlowWorker(server.db, place.clock, place.names, place.box)
    return server


def to_the_end(server: Server) -> None:
    """Work, answer what waits for an answer, and work on."""
    server.work()
    with server.db.read() as tx:
        run = flows.run_with_id(tx, 1)
    if run.nodes[4].status == "running":
        with server.db.write() as tx:
            answer_approval(tx, run, "ask", approved=True, who="ada", now=server.place.clock.now())
    server.work()


def check(place: Installation) -> None:
    """Every node was started as often as it had to be, and no more."""
    run: FlowRun = place.flow_run(1)
    assert run.status is FlowStatus.SUCCEEDED
    assert {node.name: (str(node.status), node.tries) for node in run.nodes} == {
        "make": ("succeeded", 1),
        "left": ("succeeded", 2),
        "right": ("succeeded", 1),
        "up": ("succeeded", 1),
        "ask": ("succeeded", 1),
        "tell": ("succeeded", 1),
    }
    assert len(place.builds()) == 1
    statuses = [each.status for each in place.runs()]
    assert statuses == [RunStatus.FAILED, RunStatus.SUCCEEDED, RunStatus.SUCCEEDED]
    with place.db.read() as tx:
        promoted = pipelines.promotions(tx, 1, 10)
        live = jobs.named(tx, "reports", "live").deployed
    assert len(promoted) == 1
    assert live is not None
    assert live.digest == image_of(HEAD)


def test_killed_at_every_commit(tmp_path: Path) -> None:
    fuse = Fuse()
    with started(tmp_path / "place") as place:
        to_the_end(mortal(place, fuse))
        check(place)
    assert len(fuse.burnt) > 16
    for point in range(1, len(fuse.burnt) + 1):
        with started(tmp_path / "place") as place:
            with suppress(Killed):
                to_the_end(mortal(place, Fuse(point)))
            to_the_end(place.server("second"))
            check(place)


def test_a_message_that_is_posted_when_the_server_dies_is_lost_by_none(tmp_path: Path) -> None:
    """It may arrive twice, with one key; the flow goes on once."""

    def told(place: Installation, fuse: Fuse) -> list[tuple[str, str, str]]:
        url = place.box.seal("https://chat.example.com/hook", of_message(place.project.id, 1, "tell"))
        flow = place.flow({"name": "tell", "type": "message", "message": "Released.", "url": url})
        run_id = place.start(flow)
        with suppress(Killed):
            place.server("first", fuse).work()
        place.server("second").work()
        run = place.flow_run(run_id)
        assert (run.status, run.nodes[0].tries) == (FlowStatus.SUCCEEDED, 1)
        return place.outbox.posted

    fuse = Fuse()
    with opened(tmp_path / "place") as place:
        assert len(told(place, fuse)) == 1
    twice = 0
    for point in range(1, len(fuse.burnt) + 1):
        with opened(tmp_path / "place") as place:
            posted = told(place, Fuse(point))
        assert len(posted) in (1, 2)
        assert len(set(posted)) == 1
        twice += len(posted) == 2
    assert 0 < twice < 4


@contextmanager
def opened(root: Path) -> Iterator[Installation]:
    place = Installation(root)
    try:
        yield place
    finally:
        place.close()
