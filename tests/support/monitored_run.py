"""A run that goes on, watched by hand: its health, its measurements, its end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

from app.domain.job.effective import merge
from app.domain.runs import Attempt, Container, Run, Trigger, TriggerType
from app.engines.fake import FakeEngine, Script
from app.runtime.threads import KeyedThreadPool
from app.store import run_attempts, runs
from app.workers.run.active import ActiveRun
from app.workers.run.health_checks import HealthChecks
from app.workers.run.metrics import Sampler
from tests.support.clock import Clock
from tests.support.fakes import image_of
from tests.support.installation import Installation
from tests.support.loops import Server
from tests.support.mortal import Killed
from tests.support.waiting import eventually

FOREVER = Script(output=[b"up\n"], exit_code=None)


class AtOnce(KeyedThreadPool):
    """Works in the caller's thread."""

    def __init__(self) -> None:
        super().__init__("at once", 0)

    def give(self, key: Hashable, call: Callable[[], None]) -> bool:
        call()
        return True


class MonitoredRun:
    """A server with one run that goes on until its containers end; loops are turned by hand."""

    def __init__(self, place: Installation, **fields: Any) -> None:
        self.place = place
        self.clock = Clock()
        place.clock = self.clock  # type: ignore[assignment]
        place.engine = FakeEngine(self.clock.now, place.world).script("run-*", FOREVER)
        job = place.job(**{"retry_backoff": "none", **fields})
        with place.db.write() as tx:
            self.run_id = runs.enqueue(
                tx,
                name="report-1",
                project_id=place.project.id,
                job_id=job.id,
                trigger=Trigger(TriggerType.API, by="ada"),
                spec=merge(job.spec.run).spec,
                now=self.clock.now(),
                image=image_of("1"),
                digest=image_of("1"),
            )
        self.serve("first").reconcile()

    def serve(self, name: str) -> Server:
        self.server = self.place.server(name)
        active, engine = self.server.runner.active, self.place.engine
        self.health = HealthChecks(
            self.place.db, self.clock, engine, active, self.place.log_storage, AtOnce()
        )
        self.sampler = Sampler(
            self.clock, engine, active, self.place.log_storage, timedelta(seconds=2), AtOnce()
        )
        return self.server

    @property
    def run(self) -> Run:
        with self.place.db.read() as tx:
            return runs.with_id(tx, self.run_id)

    @property
    def attempts(self) -> list[tuple[Attempt, list[Container]]]:
        with self.place.db.read() as tx:
            return [
                (each, list(run_attempts.containers_of(tx, each.id)))
                for each in run_attempts.attempts_of(tx, self.run_id)
            ]

    @property
    def active(self) -> ActiveRun:
        (active,) = self.server.runner.active.all()
        return active

    def key(self, attempt: int = 1, instance: int = 0) -> str:
        return f"run-{self.run_id}-{attempt}-{instance}"

    @contextmanager
    def running(self, containers: int = 1) -> Iterator[None]:
        """An attempt goes on inside, and is over afterwards."""

        def step() -> None:
            with suppress(Killed):
                self.server.runner.step()

        thread = threading.Thread(target=step, daemon=True)
        thread.start()
        eventually(lambda: any(len(each.handles) == containers for each in self.server.runner.active.all()))
        yield
        thread.join(20)
        assert not thread.is_alive(), "the attempt goes on"

    def pass_time(self, seconds: float) -> None:
        """Look whenever a look is due, as the loop does."""
        end = self.clock.now() + timedelta(seconds=seconds)
        while self.clock.now() < end:
            self.health.step()  # an answer rings for another look
            wait = min(self.health.step(), self.sampler.step())
            self.clock.advance(seconds=min(wait, (end - self.clock.now()).total_seconds()))

    def watch(self) -> None:
        self.server.watcher.step()
