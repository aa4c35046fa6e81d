"""A copy of an installation's data becomes one of its own: the epoch in the store, on both databases."""

from __future__ import annotations

from datetime import timedelta

from app.domain.builds import BuildStatus
from app.domain.job.records import Job
from app.domain.runs import RunStatus
from app.store import builds, epochs, runs
from app.store.claims import DEAD_AFTER, heartbeat, register_server, time_of_servers
from app.store.database import Database
from tests.support.stored import NOW, add_build, add_run


def test_there_is_none_at_first_and_then_the_last_one(db: Database) -> None:
    for epoch in ("", "one", "two"):
        with db.write() as tx:
            if epoch:
                epochs.begin(tx, epoch, NOW)
        with db.read() as tx:
            assert epochs.current(tx) == epoch


def test_servers_and_their_claims_are_the_other_copys(db: Database, job: Job) -> None:
    add_build(db, job)
    add_run(db, job)
    with db.write() as tx:
        alive_at = time_of_servers(tx, NOW)
        register_server(tx, "theirs", "their host", 7, alive_at)
        build, run = builds.claim(tx, "theirs", NOW), runs.claim(tx, "theirs", NOW)
        assert build
        assert run
    with db.write() as tx:
        assert epochs.servers_alive(tx, NOW) == ["their host"]
        assert heartbeat(tx, "theirs", alive_at - DEAD_AFTER - timedelta(seconds=1))
        assert epochs.servers_alive(tx, NOW) == []
        epochs.begin(tx, "one", NOW)
    with db.write() as tx:
        assert not heartbeat(tx, "theirs", NOW)
        assert not builds.put_back(tx, build, "An old claim.", NOW)
        again = builds.with_id(tx, build.id)
        assert (again.status, again.tries) == (BuildStatus.QUEUED, build.tries)
        assert "restored" in again.sentence
        assert runs.with_id(tx, run.id).status is RunStatus.RUNNING
        assert [each.id for each in runs.taken_over(tx, "ours", frozenset())] == [run.id]
