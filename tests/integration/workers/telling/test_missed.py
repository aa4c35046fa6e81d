"""Scheduled times that were missed are told, once for each gap; of what else a schedule decides nothing is."""

from __future__ import annotations

from pathlib import Path

from app.store import notices
from app.store.database import Database
from app.workers.clock_changes import ClockChanges
from app.workers.scheduler import Scheduler
from tests.support.installation import Installation
from tests.support.telling import Told

OFTEN = {
    "kind": "cron",
    "schedule": {"cron": "*/10 * * * *"},
    "source": {"type": "image", "image": "busybox"},
}


def fire(place: Installation) -> None:
    changes = ClockChanges(place.db, place.clock)
    changes.step()
    scheduler = Scheduler(place.db, place.clock, place.names, changes)
    while scheduler.step():
        pass


def test_a_gap_is_told_once(tmp_path: Path, other_database: Database | None) -> None:
    with Installation(tmp_path / "place", other_database) as place:
        told = Told(place)
        place.job("often", **OFTEN)
        place.job("other", **OFTEN)
        ops = told.target("ops", "missed", jobs=["often"])
        fire(place)
        told.wait(hours=3)
        fire(place)
        told.tell()
        assert told.headlines(ops) == [["often missed its schedule"]]
        (item,) = told.deliveries(ops)[0].items
        assert "scheduled times from" in item.sentence
        assert item.path == "/projects/reports/jobs/often/decisions"
        told.wait(minutes=10)
        fire(place)
        told.tell(30)
        assert len(told.headlines(ops)) == 1, "a time that started is none that was missed"


def test_nothing_is_noticed_of_a_project_without_a_target(tmp_path: Path) -> None:
    with Installation(tmp_path / "place") as place:
        place.job("often", **OFTEN)
        fire(place)
        place.clock.advance(3 * 3600)
        fire(place)
        with place.db.read() as tx:
            assert not notices.is_any(tx)
