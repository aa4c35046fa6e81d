"""Pings tell a check of each begin and end of a run."""

from __future__ import annotations

from uuid import UUID

from app.domain.runs import Reason, Trigger, TriggerType
from app.engines.fake import Script
from app.store import jobs, runs
from tests.support.installation import Installation
from tests.support.loops import Server
from tests.support.telling import CHECK, Told


def run_once(place: Installation, server: Server, script: Script) -> None:
    place.engine.script("*", script)
    with place.db.write() as tx:
        job = jobs.named(tx, "reports", "nightly")
        runs.enqueue(
            tx,
            name=f"nightly-{place.names.suffix()}",
            project_id=job.project_id,
            job_id=job.id,
            trigger=Trigger(TriggerType.SCHEDULE, cause="It was due."),
            spec=job.spec.run,
            now=place.clock.now(),
            image="sha256:" + "a" * 64,
            digest="sha256:" + "a" * 64,
        )
    server.work()


def test_each_begin_and_end_is_told(place: Installation, server: Server, told: Told) -> None:
    place.job("nightly", source={"type": "image", "image": "busybox"})
    told.target("check", kind="ping", address=CHECK, jobs=["nightly"])
    run_once(place, server, Script(exit_code=0, output=[b"backed up\n"]))
    run_once(place, server, Script(exit_code=2, output=[b"no space left\n"]))
    told.tell()
    sent = [(url.removeprefix(CHECK).partition("?rid="), body) for url, body, _ in told.posts]
    assert [(suffix, body.decode()) for (suffix, *_), body in sent] == [
        ("/start", ""),
        ("", "Exited with code 0.\nbacked up"),
        ("/start", ""),
        ("/fail", "Exited with code 2.\nno space left"),
    ]
    ids = [UUID(rid) for (_, _, rid), _ in sent]
    assert ids[0] == ids[1] != ids[2] == ids[3]


def test_a_cancelled_run_tells_no_end(place: Installation, server: Server, told: Told) -> None:
    place.job("nightly", source={"type": "image", "image": "busybox"})
    told.target("check", kind="ping", address=CHECK)
    run_once(place, server, Script(exit_code=0))
    told.tell()
    count = len(told.posts)
    with place.db.write() as tx:
        job = runs.named(tx, place.runs()[0].name)
        run_id = runs.enqueue(
            tx,
            name="nightly-x",
            project_id=job.project_id,
            job_id=job.job_id,
            trigger=Trigger(TriggerType.SCHEDULE, cause="It was due."),
            spec=job.spec,
            now=place.clock.now(),
            image="sha256:abc",
        )
        runs.cancel(tx, runs.with_id(tx, run_id), Reason.CANCELLED, "Cancelled by ada.", place.clock.now())
    told.tell()
    assert len(told.posts) == count


def test_other_kinds_store_nothing_of_a_begin(place: Installation, server: Server, told: Told) -> None:
    place.job("nightly", source={"type": "image", "image": "busybox"})
    ops = told.target("ops", "failure")
    run_once(place, server, Script(exit_code=0))
    told.tell()
    assert told.headlines(ops) == []
