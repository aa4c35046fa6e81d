"""Starting one container, however long the engine takes to answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from app.domain.errors import EngineUnavailable
from app.domain.runs import Run
from app.engines.base import (
    ContainerSpec,
    Engine,
    Handle,
    ImageUnavailable,
    RegistryLogin,
    ResolvedImage,
    StartUncertain,
)
from app.orchestration.access import registry_access_of_job
from app.orchestration.execution.active import ActiveRun
from app.orchestration.ports import Clock, Vault
from app.store import jobs, runs
from app.store.database import Database


class ClaimLost(Exception):
    """Another server took the run over, as this one was silent for too long: it goes on there."""


@dataclass(frozen=True)
class Starter:
    """`resolve` asks the engine for an image; it ends early when the run is to stop. `patience` is how long an engine
    that doesn't answer is asked again, `asked_every` the pause between, both in seconds."""

    db: Database
    clock: Clock
    engine: Engine
    vault: Vault
    resolve: Callable[[ActiveRun, str, RegistryLogin | None], ResolvedImage]
    patience: float
    asked_every: float

    def start(self, active: ActiveRun, run: Run, key: str, spec: ContainerSpec, *, is_new: bool) -> Handle:
        """An engine that doesn't answer is asked again, with the same key, as long as the run is still ours."""
        give_up_at = self.clock.ticks() + self.patience
        while True:
            try:
                return self._once(active, run, key, spec, is_new=is_new)
            except (EngineUnavailable, StartUncertain):
                if active.stop_is_requested or self.clock.ticks() >= give_up_at:
                    raise
                active.pause(self.asked_every)
            is_new = False
            with self.db.read() as tx:
                if not runs.is_claimed(tx, run):
                    raise ClaimLost

    def _once(self, active: ActiveRun, run: Run, key: str, spec: ContainerSpec, *, is_new: bool) -> Handle:
        """An image that the engine has no more is pulled again, by its digest."""
        try:
            return self.engine.start(spec, key, run.token, is_new=is_new)
        except ImageUnavailable:
            if "@" not in spec.image:
                raise
        with self.db.read() as tx:
            login = registry_access_of_job(tx, self.vault, jobs.with_id(tx, run.job_id), spec.image)
        self.resolve(active, spec.image, login)
        return self.engine.start(spec, key, run.token)
