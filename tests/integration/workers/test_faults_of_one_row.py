"""A row that meets a fault of ours, again and again: the others go on, and it is given up with a sentence."""

from dataclasses import replace
from itertools import count
from typing import Any, NoReturn

import pytest
from sqlalchemy import text

from app.domain.builds import BuildStatus
from app.domain.sealing import of_message
from app.store import builds as store_of_builds
from app.store import deliveries
from app.store.database import StoreUnavailable
from app.workers import reconciler
from app.workers import scheduler as scheduler_module
from app.workers.clock_changes import ClockChanges
from app.workers.scheduler import Scheduler
from tests.support.fakes import commit
from tests.support.installation import Installation
from tests.support.loops import Server

A, B, C = (commit(letter) for letter in "abc")


def spoil(place: Installation, change: str) -> None:
    with place.db.write() as tx:
        tx.connection().execute(text(change))


def stored(place: Installation, query: str) -> list[tuple[Any, ...]]:
    with place.db.read() as tx:
        return [tuple(row) for row in tx.connection().execute(text(query))]


def two_builds(place: Installation, server: Server) -> None:
    for name in ("first", "second"):
        place.job(name, env={"NAME": {"value": name, "scope": "build"}})  # so that neither joins the other
    place.push(A, B)
    server.intake.step()
    assert [build.status for build in place.builds()] == [BuildStatus.QUEUED] * 2


def test_a_build_that_cannot_be_read_keeps_no_other_waiting(place: Installation, server: Server) -> None:
    two_builds(place, server)
    spoil(place, "UPDATE build SET reason = 'of another version' WHERE id = 1")
    while server.builder.step():
        pass
    server.builder.step()
    assert stored(place, "SELECT status, sentence LIKE '%can''t be read%' FROM build ORDER BY id") == [
        ("failed", 1),
        ("succeeded", 0),
    ]


def test_a_running_build_that_cannot_be_read_is_given_up(place: Installation, server: Server) -> None:
    two_builds(place, server)
    spoil(place, "UPDATE build SET status = 'running', owner = 'dead'")
    spoil(place, "UPDATE build SET reason = 'of another version' WHERE id = 1")
    server.reconcile()
    for _ in range(3):
        server.builder.step()
    assert stored(place, "SELECT status FROM build ORDER BY id") == [("failed",), ("succeeded",)]


def test_a_run_that_cannot_be_read_keeps_no_other_waiting(place: Installation, server: Server) -> None:
    two_builds(place, server)
    while server.builder.step():
        pass
    assert len(place.runs()) == 2
    spoil(place, "UPDATE run SET reason = 'of another version' WHERE id = 1")
    for _ in range(3):
        server.runner.step()
    assert stored(place, "SELECT status, sentence LIKE '%can''t be read%' FROM run ORDER BY id") == [
        ("failed", 1),
        ("succeeded", 0),
    ]


def test_a_delivery_that_cannot_be_read_keeps_no_other_waiting(place: Installation, server: Server) -> None:
    place.job()
    place.push(A, B, guid="odd")
    place.push(B, C, guid="next")
    spoil(place, "UPDATE delivery SET scopes = 'of another version' WHERE guid = 'odd'")
    while server.intake.step() or place.delivery("next").status == "received":
        pass
    assert stored(place, "SELECT status, sentence LIKE '%can''t be read%' FROM delivery ORDER BY id") == [
        ("failed", 1),
        ("processed", 0),
    ]
    with place.db.read() as tx:
        assert [each.guid for each in deliveries.page(tx, 9)] == ["next", "odd"]


def test_a_build_that_cannot_be_taken_over_holds_up_no_other(
    place: Installation, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_builds(place, server)
    spoil(place, "UPDATE build SET status = 'running', owner = 'dead'")
    put_back = store_of_builds.put_back

    def fails_for_one(tx: Any, build: Any, *rest: Any) -> bool:
        if build.id == 1:
            raise RuntimeError("a fault of ours")
        return put_back(tx, build, *rest)

    monkeypatch.setattr(reconciler.builds, "put_back", fails_for_one)
    server.reconcile()
    assert [(build.id, build.status) for build in sorted(place.builds(), key=lambda build: build.id)] == [
        (1, BuildStatus.RUNNING),
        (2, BuildStatus.QUEUED),
    ]


def test_a_schedule_that_cannot_be_worked_out_holds_up_no_other(
    place: Installation, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, cron in (("bad", "7 * * * *"), ("good", "* * * * *")):
        place.job(name, kind="cron", schedule={"cron": cron}, source={"type": "image", "image": "busybox"})
    place.clock.advance(3600)
    due = scheduler_module.due

    def fails_for_one(schedule: Any, *rest: Any) -> Any:
        if "7 *" in str(schedule):
            raise RuntimeError("a fault of ours")
        return due(schedule, *rest)

    monkeypatch.setattr(scheduler_module, "due", fails_for_one)
    scheduler = Scheduler(place.db, place.clock, place.names, ClockChanges(place.db, place.clock))
    assert scheduler.step()
    assert not scheduler.step()  # it is looked at again in an hour
    verdicts = [(job, rule) for _, job, _, rule in place.verdicts()]
    assert ("bad", "fault") in verdicts
    assert ("good", "schedule") in verdicts


def test_a_build_that_was_lost_and_came_back_is_built_on_by_whoever_has_it(
    place: Installation, server: Server
) -> None:
    """In one process: whoever lost it finds out at its end, and takes nothing from the other."""
    place.job()
    place.push(A, B)
    server.intake.step()

    def lost_and_back(_should_stop: object) -> None:
        spoil(place, "UPDATE build SET status = 'queued', owner = NULL, token = token + 1")
        assert server.builder.step()
        assert [build.status for build in place.builds()] == [BuildStatus.SUCCEEDED]

    place.backend.before_end[B].append(lost_and_back)
    assert server.builder.step()
    assert server.builder.stopping == {}
    assert place.backend.built[B] == 2


def test_a_run_that_was_lost_and_came_back_is_watched_until_its_end(
    place: Installation, server: Server
) -> None:
    place.job()
    place.push(A, B)
    server.intake.step()
    server.builder.step()
    (first,) = place.runs()
    active, second = server.runner.active, replace(first, token=first.token + 1)
    with active.watching(second, 1) as by_second:
        with active.watching(first, 1):
            pass
        assert active.all() == [by_second]
    assert active.all() == []


@pytest.mark.parametrize("loop", ["deployment_worker", "flow_worker", "notification_worker"])
def test_a_store_that_is_away_is_no_fault_of_a_row(
    place: Installation, server: Server, monkeypatch: pytest.MonkeyPatch, loop: str
) -> None:
    """The loop says so once in a while; a row's fault would be told of with all that led to it, each time."""
    job = place.job()
    place.app("shop", job)
    message = {
        "name": "tell",
        "type": "message",
        "url": place.box.seal("https://example.com", of_message(place.project.id, 1, "tell")),
    }
    place.start(place.flow({**message, "message": "Hello"}))
    place.push(A, B)
    server.intake.step()
    server.builder.step()
    if loop == "notification_worker":
        server.flow_worker.step()

    def away() -> NoReturn:
        raise StoreUnavailable("The database does not answer.")

    monkeypatch.setattr(server.db, "write", away)
    with pytest.raises(StoreUnavailable):
        getattr(server, loop).step()


def test_a_delivery_of_which_nothing_can_be_stored_is_taken_again(
    place: Installation, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever works on one in the background has nobody to tell."""
    place.job()
    place.push(A, B, guid="one")
    write, claims = server.db.write, count()

    def once() -> Any:
        if next(claims):
            raise StoreUnavailable("The database does not answer.")
        return write()

    with monkeypatch.context() as patch:
        patch.setattr(server.db, "write", once)
        assert server.intake.step()
    assert place.delivery("one").status == "received"
    server.reconcile()
    assert server.intake.step()
    assert (place.delivery("one").status, place.delivery("one").tries) == ("processed", 1)
