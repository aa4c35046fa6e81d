"""Starting one container, however long the engine takes to answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from app.commands.remote_access import registry_access_of_job
from app.domain.errors import EngineUnavailable
from app.domain.outages import asked_again, unanswered_for
from app.domain.runs import Run
from app.engines.base import (
    ContainerSpec,
    Engine,
    Handle,
    ImageUnavailable,
    RegistryLogin,
    ResolvedImage,
    StartUncertain,
    StartWaits,
)
from app.runtime.ports import Clock, Vault
from app.store import jobs, runs
from app.store.database import Database
from app.workers.run.active import ActiveRun
from app.workers.run.patience import Patience

LONGEST_PAUSE = 10.0  # seconds, between questions


class ClaimLost(Exception):
    """Another server took the run over, as this one was silent for too long: it goes on there."""


@dataclass(frozen=True)
class Starter:
    """`resolve` asks the engine for an image; it ends early when the run is to stop. `new_patience` is with an engine
    that doesn't answer, `asked_every` the first pause before it is asked again, in seconds."""

    db: Database
    clock: Clock
    engine: Engine
    vault: Vault
    resolve: Callable[[ActiveRun, str, RegistryLogin | None], ResolvedImage]
    new_patience: Callable[[], Patience]
    asked_every: float

    def start(self, active: ActiveRun, run: Run, key: str, spec: ContainerSpec, *, is_new: bool) -> Handle:
        """An engine that doesn't answer is asked again, with the same key, as long as the run is still ours.

        Meanwhile the run's sentence says so.
        """
        patience, pause, said = self.new_patience(), self.asked_every, ""
        while True:
            patience.ask()
            try:
                return self._once(active, run, key, spec, is_new=is_new)
            except (EngineUnavailable, StartUncertain) as error:
                if active.stop_is_requested:
                    raise
                if patience.is_over(is_to_end=False):
                    raise EngineUnavailable(unanswered_for(str(error), patience.seconds)) from error
                waits = isinstance(error, StartWaits)
                sentence = str(error) if waits else asked_again(str(error), patience.left)
            is_new = False
            if not is_ours_still(self.db, run, "" if sentence == said else sentence, self.clock.now()):
                raise ClaimLost
            said = sentence
            if not waits:
                active.pause(pause)
                pause = min(pause * 2, LONGEST_PAUSE)

    def _once(self, active: ActiveRun, run: Run, key: str, spec: ContainerSpec, *, is_new: bool) -> Handle:
        """An image that the engine has no more is pulled again, by its digest."""
        if "@" not in spec.image:
            return self.engine.start(spec, key, run.token, is_new=is_new)
        with self.db.read() as tx:
            login = registry_access_of_job(tx, self.vault, jobs.with_id(tx, run.job_id), spec.image)
        spec = replace(spec, login=login)
        try:
            return self.engine.start(spec, key, run.token, is_new=is_new)
        except ImageUnavailable:
            self.resolve(active, spec.image, login)
        return self.engine.start(spec, key, run.token)


def is_ours_still(db: Database, run: Run, sentence: str, now: datetime) -> bool:
    """Return whether the run is this claim's still; a new sentence is stored with it."""
    if not sentence:
        with db.read() as tx:
            return runs.is_claimed(tx, run)
    with db.write() as tx:
        return runs.say(tx, run, sentence, now) is not None
