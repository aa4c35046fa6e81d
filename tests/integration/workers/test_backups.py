"""Backups by a schedule, stepped by hand: when they are made, by which server, and what is kept."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from app.domain.backups import BackupPlan, BackupState, Made, delay_after, name_of
from app.domain.errors import UserError
from app.domain.schedule import Schedule
from app.store import backups, claims
from app.store.database import Database
from app.workers.backups import LOOK_SECONDS, BackupWorker
from tests.support.clock import START, Clock
from tests.support.installation import Installation
from tests.support.mortal import Fuse, Killed, Mortal, MortalDatabase

PLAN = BackupPlan("/backups", Schedule.parse("0 3 * * *"), keep=3)
FIRST = datetime(2026, 2, 1, 3, 0, tzinfo=UTC)


@dataclass
class Shelf:
    """A place of backups in memory; `while_making` is done in the middle of each."""

    held: list[str] = field(default_factory=list)
    trouble: Exception | None = None
    while_making: Callable[[], object] = lambda: None

    def make(self, now: datetime) -> Made:
        self.while_making()
        if self.trouble is not None:
            raise self.trouble
        name = name_of(now, "0123456789ab", "")
        self.held.append(name)
        return Made(name, f"/backups/{name}", 10)

    def names(self) -> list[str]:
        return list(self.held)

    def remove(self, name: str) -> None:
        self.held.remove(name)


@pytest.fixture
def place(tmp_path: Path, other_database: Database | None) -> Iterator[Installation]:
    with Installation(tmp_path / "place", other_database, clock=Clock()) as place:
        yield place


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def started(place: Installation, shelf: Shelf, name: str = "one", fuse: Fuse | None = None) -> BackupWorker:
    """The loop of a server that is known as alive."""
    fuse = fuse or Fuse()
    place.server(name, alone=False).reconciler.register()
    mortal: Any = Mortal(shelf, fuse)
    return BackupWorker(MortalDatabase(place.db, fuse), place.clock, name, PLAN, mortal)


def state_of(place: Installation) -> BackupState:
    with place.db.read() as tx:
        state = backups.read(tx)
    assert state is not None
    return state


def is_due(place: Installation, worker: BackupWorker) -> bool:
    with place.db.read() as tx:
        return worker.is_due(tx)


def to(place: Installation, at: datetime) -> None:
    place.clock.advance((at - place.clock.now()).total_seconds())


def test_one_is_made_at_each_time_of_the_schedule(place: Installation, shelf: Shelf) -> None:
    worker = started(place, shelf)
    assert not is_due(place, worker)
    assert worker.step() == 300
    to(place, FIRST - timedelta(seconds=40))
    assert (worker.step(), is_due(place, worker), shelf.held) == (40, False, [])
    to(place, FIRST)
    assert (is_due(place, worker), worker.step(), worker.step()) == (True, 0, 300)
    assert shelf.held == ["jobyard-20260201T030000Z-0123456789ab.tar"]
    state = state_of(place)
    assert (state.made_at, state.where, state.bytes) == (FIRST, f"/backups/{shelf.held[0]}", 10)
    to(place, FIRST + timedelta(days=1))
    assert (worker.step(), len(shelf.held)) == (0, 2)


def test_what_was_missed_is_made_once(place: Installation, shelf: Shelf) -> None:
    started(place, shelf).step()
    to(place, FIRST + timedelta(days=5, hours=2))
    worker = started(place, shelf, "two")
    assert (worker.step(), worker.step(), len(shelf.held)) == (0, 300, 1)
    to(place, FIRST + timedelta(days=6))
    assert (worker.step(), len(shelf.held)) == (0, 2)


def test_one_that_fails_says_why_and_is_tried_again_later_and_later(
    place: Installation, shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    worker = started(place, shelf)
    worker.step()
    to(place, FIRST)
    shelf.trouble = UserError("The disk is full.")
    for minutes in (1, 2, 4):
        assert worker.step() == 0
        assert f"no backup was made, which is tried again in {minutes} min: The disk is full." in caplog.text
        assert worker.step() == min(minutes * 60, 300)
        place.clock.advance(minutes * 60)
    state = state_of(place)
    assert (state.failures, state.trouble, state.owner) == (3, "The disk is full.", "")
    shelf.trouble = None
    caplog.set_level(logging.INFO)
    assert worker.step() == 0
    state = state_of(place)
    assert (state.failures, state.trouble, state.retry_at) == (0, "", None)
    assert f"made the backup /backups/{shelf.held[0]}, 10 bytes, and found it whole" in caplog.text
    assert worker.step() == 300


def test_a_fault_of_jobyard_is_tried_again_no_more_often(
    place: Installation, shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    worker = started(place, shelf)
    worker.step()
    to(place, FIRST)
    shelf.trouble = RuntimeError("a word that may be secret")
    assert (worker.step(), worker.step()) == (0, 60)
    said = "Jobyard met a fault of its own, of which the server's log has more."
    assert state_of(place).trouble == said
    assert "a backup met a fault of Jobyard" in caplog.text


def test_waits_grow_to_an_hour() -> None:
    minutes = [delay_after(failures) / timedelta(minutes=1) for failures in range(1, 10)]
    assert minutes == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert delay_after(10**9) == timedelta(hours=1)


@pytest.mark.parametrize("trouble", [None, UserError("The disk is full.")])
def test_a_clock_that_was_set_back_holds_none_up(
    place: Installation, shelf: Shelf, trouble: Exception | None
) -> None:
    """It was set forward by a year before, and a backup was made, or failed."""
    worker = started(place, shelf)
    worker.step()
    place.clock.set_by(365 * 86400.0)
    shelf.trouble = trouble
    worker.step()
    shelf.trouble = None
    place.clock.set_by(-365 * 86400.0)
    assert is_due(place, worker)
    assert worker.step() == 0
    made = len(shelf.held)
    to(place, FIRST)
    assert (worker.step(), worker.step(), len(shelf.held)) == (0, 300, made + 1)
    assert shelf.held[-1][8:24] == "20260201T030000Z"


def test_the_newest_are_kept_and_what_is_not_known_stays(
    place: Installation, shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    worker = started(place, shelf)
    worker.step()
    for day in range(5):
        to(place, FIRST + timedelta(days=day))
        assert worker.step() == 0
    assert [name[8:16] for name in shelf.held] == ["20260203", "20260204", "20260205"]
    said = "removed what is beyond the 3 backups to keep: jobyard-20260201T030000Z-0123456789ab.tar"
    assert said in caplog.text
    place.clock.set_by(-30 * 86400.0)
    assert worker.step() == 0
    place.clock.advance(days=1)
    assert worker.step() == 0
    assert "20260107" in shelf.held[-1]  # though by its name it is the oldest
    worker.plan = BackupPlan("/backups", PLAN.schedule, keep=0)
    to(place, FIRST + timedelta(days=9))
    assert (worker.step(), len(shelf.held)) == (0, 4)


def test_old_ones_that_can_not_be_removed_hold_up_nothing(
    place: Installation, shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    worker = started(place, shelf)
    worker.step()
    to(place, FIRST)

    def names() -> list[str]:
        raise UserError("Who knows.")

    shelf.names = names  # type: ignore[method-assign]
    assert worker.step() == 0
    assert "older backups stay until the next one is made: Who knows." in caplog.text
    assert state_of(place).failures == 0


def test_of_two_servers_one_makes_it(place: Installation, shelf: Shelf) -> None:
    started(place, shelf).step()
    to(place, FIRST)
    one, two = started(place, shelf), started(place, shelf, "two")
    waited: list[float] = []
    shelf.while_making = lambda: waited.append(two.step())
    assert one.step() == 0
    assert (waited, len(shelf.held)) == ([LOOK_SECONDS], 1)
    assert two.step() == 300


def test_of_two_that_claim_at_once_one_is_first(place: Installation, shelf: Shelf) -> None:
    started(place, shelf).step()
    state = state_of(place)
    with place.db.write() as tx:
        first = backups.claim(tx, state, "one", FIRST)
    with place.db.write() as tx:
        assert (first is not None, backups.claim(tx, state, "two", FIRST)) == (True, None)


def test_one_that_was_taken_for_dead_stores_nothing_and_removes_none(
    place: Installation, shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    one, two = started(place, shelf), started(place, shelf, "two")
    one.step()
    to(place, FIRST)
    for trouble in (None, UserError("Too late.")):
        caplog.clear()

        def meanwhile(trouble: Exception | None = trouble) -> None:
            shelf.while_making = lambda: None
            bury(place, "one")
            shelf.trouble = None
            assert two.step() == 0
            shelf.trouble = trouble

        shelf.while_making = meanwhile
        before = len(shelf.held)
        assert one.step() == 0
        state = state_of(place)
        assert (state.owner, state.failures, state.where) == ("", 0, f"/backups/{shelf.held[before]}")
        assert "no backup was made" not in caplog.text
        place.server("one", alone=False).reconciler.register()
        place.clock.advance(days=1)
        shelf.trouble = None


def bury(place: Installation, server: str) -> None:
    """Others know now that it is dead."""
    with place.db.write() as tx:
        now = claims.time_of_servers(tx, place.clock.now())
        assert server in claims.expire_servers(tx, now, alone=True, me="two")


def test_a_server_that_is_not_heard_of_for_a_while_is_dead(place: Installation, shelf: Shelf) -> None:
    started(place, shelf).step()
    claimed = BackupState(START, owner="one")
    with place.db.read() as tx:
        now = claims.time_of_servers(tx, place.clock.now())
    with place.db.write() as tx:
        claims.heartbeat(tx, "one", now - claims.DEAD_AFTER + timedelta(seconds=1))
        assert backups.is_being_made(tx, claimed, now)
        claims.heartbeat(tx, "one", now - claims.DEAD_AFTER - timedelta(seconds=1))
        assert not backups.is_being_made(tx, claimed, now)


def test_a_server_that_dies_at_any_moment_is_taken_over_from(place: Installation, shelf: Shelf) -> None:
    """Or the same one goes on, if it was its loop alone that ended."""
    worker = started(place, shelf, "two")
    worker.step()
    points: set[str] = set()
    for day in range(40):
        shelf.held.clear()
        to(place, FIRST + timedelta(days=day))
        fuse = Fuse(day + 1)
        one = started(place, shelf, "one", fuse)
        try:
            one.step()
        except Killed:
            points.add(fuse.burnt[-1])
        if state_of(place).owner == "one":
            assert worker.step() == LOOK_SECONDS
        bury(place, "one")
        worker.step()
        state = state_of(place)
        assert (state.owner, state.made_at, state.where[9:]) == ("", place.clock.now(), shelf.held[-1])
        assert worker.step() == 300
        if not fuse.is_blown:
            break
    assert not fuse.is_blown
    assert {"before commit", "after commit", "before make", "after make", "before names"} <= points
