"""The steps of a build under way."""

from __future__ import annotations

from contextlib import suppress

from app.domain.build_parts import BuildStep
from app.domain.builds import Build
from app.runtime.ports import Clock
from app.store import builds
from app.store.database import Database, StoreUnavailable
from builders.backends.base import Step

STEPS_SAVED_EVERY = 0.5  # seconds


class StepRecorder:
    """A build's steps, stored now and then as they happen."""

    def __init__(self, db: Database, clock: Clock, build: Build) -> None:
        self._db = db
        self._clock = clock
        self._build = build
        self._steps: dict[int, BuildStep] = {}
        self._saved_at = clock.ticks()

    def add(self, step: Step) -> None:
        self._steps[step.index] = BuildStep(**vars(step))
        if self._clock.ticks() - self._saved_at >= STEPS_SAVED_EVERY:
            with suppress(StoreUnavailable):  # the next time, or at the end
                self.save()

    def save(self) -> None:
        self._saved_at = self._clock.ticks()
        steps = sorted(self._steps.values(), key=lambda step: (step.started, step.index))
        with self._db.write() as tx:
            builds.save_steps(tx, self._build, steps)
