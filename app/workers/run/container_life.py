"""One container of an attempt, from its start to how it ended."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from app.domain.errors import EngineUnavailable
from app.domain.external_secrets import SecretRefused, SecretUnavailable
from app.domain.runs import Container, Outcome, Reason, Run, epoch_of_key
from app.engines.base import (
    ContainerSpec,
    Engine,
    Handle,
    ImageUnavailable,
    StartRefused,
    StartUncertain,
)
from app.runtime.disk import Disk
from app.runtime.ports import Clock
from app.runtime.threads import running_beside
from app.store import run_attempts
from app.store.database import Database, StoreUnavailable
from app.workers.log_recording import Recording
from app.workers.run.active import ActiveRun, HealthVerdict, StopRequested
from app.workers.run.log_follower import Follower
from app.workers.run.outcomes import (
    outcome_left_behind,
    outcome_of_start_error,
    stopped_for_another,
    with_health_verdict,
)
from app.workers.run.starter import ClaimLost, Starter

FIRST_WORDS_SECONDS = 0.05
START_ERRORS = (
    ImageUnavailable,
    SecretRefused,
    SecretUnavailable,
    StartRefused,
    EngineUnavailable,
    StartUncertain,
    StopRequested,
)


@dataclass(frozen=True)
class ContainerLife:
    """Starts containers of one attempt, or goes on with them, and follows each to its end.

    `is_new` says that this server began the attempt, so that nothing of it was started before.
    """

    db: Database
    clock: Clock
    engine: Engine
    disk: Disk
    follower: Follower
    starter: Starter
    epoch: str
    active: ActiveRun
    run: Run
    recording: Recording
    is_new: bool

    def live(self, container: Container, spec: Callable[[], ContainerSpec]) -> tuple[Outcome, Handle | None]:
        """Return how the container ended, and its handle if it was started. Raises ClaimLost."""
        handle = Handle.from_json(container.handle) if container.handle else None
        if container.finished_at is not None:
            return _stored(container), handle
        if container.reason is Reason.UNHEALTHY:
            verdict = HealthVerdict(self.run.created_at, container.sentence)
            self.active.set_unhealthy(container.instance, verdict)
        try:
            if epoch_of_key(container.key) != self.epoch:
                outcome = self._left_behind(container)
            elif handle is not None:
                outcome = self._gone_on_with(container, handle)
            else:
                handle = self.starter.start(self.active, self.run, container.key, spec(), is_new=self.is_new)
                outcome = self._begun(container, handle)
        except START_ERRORS as error:
            outcome = outcome_of_start_error(error, self.run)
        return self._ended(container, outcome), handle

    def _left_behind(self, container: Container) -> Outcome:
        outcome = outcome_left_behind(container, self.clock.now())
        self.recording.note(self.clock.now(), outcome.sentence)
        return outcome

    def _gone_on_with(self, container: Container, handle: Handle) -> Outcome:
        self.active.started(container.instance, handle)
        with suppress(EngineUnavailable):  # the next to take the run over asks again
            self.engine.end_shells(handle)
        return self.follower.follow(self.active, container, handle, self.recording, threading.Event())

    def _begun(self, container: Container, handle: Handle) -> Outcome:
        spoke = threading.Event()
        save = partial(self._save_start, container, handle, spoke)
        with running_beside(f"start-{container.key}", save):
            return self.follower.follow(self.active, container, handle, self.recording, spoke)

    def _ended(self, container: Container, outcome: Outcome) -> Outcome:
        active, now = self.active, self.clock.now()
        outcome = with_health_verdict(outcome, active.unhealthy.get(container.instance), now)
        if container.instance in active.pointless & active.told_to_stop and not active.stop_is_requested:
            outcome = stopped_for_another(outcome)
        if self.run.spec.instances > 1:  # the end of an only one is saved with the attempt's
            save = partial(self._store_end, container, outcome, now)
            saved = self.disk.patiently(f"the end of {container.key}", save)
            if saved is None:
                raise ClaimLost
            outcome = saved
        active.ended(container.instance, failed=outcome.reason is not None)
        return outcome

    def _save_start(self, container: Container, handle: Handle, spoke: threading.Event) -> None:
        """Save the start, beside the reading of what the container says, whose first words go before."""
        spoke.wait(FIRST_WORDS_SECONDS)
        save = partial(self._store_start, container, handle)
        try:
            current = save()
        except StoreUnavailable:
            self.active.started(container.instance, handle)  # it may have to be stopped meanwhile
            current = self.disk.patiently(f"the start of {container.key}", save)
        if current is None:
            raise ClaimLost
        self.active.started(container.instance, handle, current)

    def _store_start(self, container: Container, handle: Handle) -> Run | None:
        with self.db.write() as tx:
            now = self.clock.now()
            return run_attempts.container_started(tx, self.run, container, handle.to_json(), now)

    def _store_end(self, container: Container, outcome: Outcome, now: datetime) -> Outcome | None:
        with self.db.write() as tx:
            return run_attempts.container_ended(tx, self.run, container, outcome, now)


def _stored(container: Container) -> Outcome:
    """Return how a container ended that another server had already followed to its end."""
    how = container.reason, container.exit_code, container.sentence, container.finished_at
    is_gone = container.reason is Reason.IMAGE_UNAVAILABLE and container.handle is None
    return Outcome(*how, left_behind=container.reason is Reason.INTERRUPTED, image_is_gone=is_gone)
