"""Alarms of the server's disk and engine: told to who wants to know, once until they are over."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from app.domain.room import Level
from app.runtime.disk import LOOK_SECONDS, Alarm, Disk
from app.runtime.engine_health import EngineHealth
from app.store import projects
from app.workers.alarms import AlarmWorker
from tests.support.installation import Installation
from tests.support.telling import Told

LOW = "Little is free in /data."
DOWN = EngineHealth(is_up=False, sentence="The container engine gives no answer.")
UP = EngineHealth(is_up=True, sentence="docker 20.10 answers.")


@dataclass
class Machine:
    told: Told
    disk: Disk
    health: EngineHealth = UP

    def worker(self) -> AlarmWorker:
        place = self.told.place
        return AlarmWorker(place.db, place.clock, "ci-1", self.disk, lambda: self.health)

    def look(self, worker: AlarmWorker, seconds: float = LOOK_SECONDS) -> None:
        for _ in range(max(int(seconds / LOOK_SECONDS), 1)):
            worker.step()
            self.told.wait(seconds=LOOK_SECONDS)
        self.told.tell(61)


@pytest.fixture
def machine(told: Told) -> Machine:
    return Machine(told, Disk())


def test_a_disk_that_fills_up_is_told_once_and_its_end(machine: Machine, told: Told) -> None:
    ops, other, worker = told.target("ops", "alarm"), told.target("other", "failure"), machine.worker()
    machine.disk.alarm = Alarm(Level.LOW, LOW, "")
    machine.look(worker, 600)
    assert told.headlines(ops) == [["The disk of ci-1 is filling up"]]
    assert told.deliveries(ops)[0].items[0].sentence == LOW
    machine.disk.alarm = None
    machine.look(worker, 200)
    machine.disk.alarm = Alarm(Level.SHORT, LOW, "")
    machine.look(worker, 200)
    assert len(told.headlines(ops)) == 1, "it was well for less than five minutes"
    machine.disk.alarm = None
    machine.look(worker, 400)
    assert told.headlines(ops)[1:] == [["Over: The disk of ci-1 is filling up"]]
    assert told.deliveries(ops)[1].items[0].sentence.startswith("It lasted ")
    assert told.headlines(other) == []


def test_an_engine_that_is_away_for_a_moment_is_no_alarm(machine: Machine, told: Told) -> None:
    ops, worker = told.target("ops", "alarm"), machine.worker()
    machine.health = DOWN
    machine.look(worker, 45)
    machine.health = UP
    machine.look(worker, 15)
    assert told.headlines(ops) == []
    machine.health = DOWN
    machine.look(worker, 90)
    assert told.headlines(ops) == [["The container engine of ci-1 does not answer"]]


def test_a_server_that_starts_again_tells_nothing_twice(machine: Machine, told: Told) -> None:
    ops = told.target("ops", "alarm")
    machine.disk.alarm = Alarm(Level.LOW, LOW, "")
    machine.look(machine.worker())
    machine.look(machine.worker())
    assert len(told.headlines(ops)) == 1
    machine.disk.alarm = None
    machine.look(machine.worker(), 400)
    assert len(told.headlines(ops)) == 2


def test_every_project_that_wants_to_know_is_told(machine: Machine, told: Told, place: Installation) -> None:
    first = told.target("ops", "alarm")
    with place.db.write() as tx:
        place.project = projects.create(tx, "shop", None, place.clock.now())
    second = told.target("ops", "alarm", jobs=[])
    machine.disk.alarm = Alarm(Level.LOW, LOW, "")
    machine.look(machine.worker())
    assert told.headlines(first) == told.headlines(second) == [["The disk of ci-1 is filling up"]]
