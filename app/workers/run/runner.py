"""From a queued run to its end: claim ▶ image ▶ attempt ▶ (start ▶ follow ▶ wait) per container ▶ conclude ▶ remove.

The same steps serve a run taken over from a server that died: starting is idempotent per key, following goes on after
the last stored byte, and what is gone is settled. Stopping is never done here: the watcher stops containers, and the
wait ends by itself.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from app.commands.rebuilds import wait_for_image
from app.domain.crashes import is_given_up
from app.domain.errors import EngineUnavailable, UserError
from app.domain.outages import PATIENCE
from app.domain.plans import Plan
from app.domain.redaction import Redactor
from app.domain.references import Ours
from app.domain.runs import (
    Attempt,
    Container,
    Outcome,
    Reason,
    Run,
    RunStatus,
    cancelled,
    given_up,
    is_past_deadline,
    out_of_time,
)
from app.engines.base import (
    ContainerSpec,
    Engine,
    Handle,
)
from app.runtime.disk import WAITED_FOR, Disk
from app.runtime.external_secrets import ExternalSecrets
from app.runtime.log_storage import LogStorage
from app.runtime.ports import Clock, SecretSource, Vault
from app.runtime.threads import map_in_threads
from app.store import jobs, projects, run_attempts, runs
from app.store.database import Database
from app.workers.claims import ClaimRegistry
from app.workers.log_recording import Recording
from app.workers.run.active import Active, ActiveRun
from app.workers.run.conclusions import Conclusions
from app.workers.run.container_life import ContainerLife
from app.workers.run.container_specs import Specs
from app.workers.run.external_values import ExternalValues
from app.workers.run.images import Origin, origin_of
from app.workers.run.log_follower import Follower
from app.workers.run.outcomes import (
    combined,
)
from app.workers.run.patience import Patience
from app.workers.run.preparation import Preparation
from app.workers.run.starter import ClaimLost, Starter

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Runner:
    """Executes one run at a time; several runners work side by side. `epoch` as the engine has it.

    `disk_bytes` is what each container may write to its own files, as in `ContainerSpec`.

    `engine_id` tells the engine from those of other servers, and is empty until it has answered: what was begun on
    another is theirs to go on with. It is None where there is no other server.

    An engine that gives no answer is asked again every `asked_every` seconds, for `patience` seconds at most.
    """

    db: Database
    clock: Clock
    owner: str
    engine: Engine
    vault: Vault
    log_storage: LogStorage
    plans: Mapping[str, Plan]
    ours: Ours
    epoch: str = ""
    disk_bytes: int = 0
    active: Active = field(default_factory=Active)
    disk: Disk = field(default_factory=Disk)
    secret_source: SecretSource = field(default_factory=ExternalSecrets)
    engine_is_up: Callable[[], bool] = lambda: True
    engine_id: Callable[[], str | None] = lambda: None
    claim_registry: ClaimRegistry = field(default_factory=ClaimRegistry)
    patience: float = PATIENCE.total_seconds()
    asked_every: float = 1.0

    def step(self) -> bool:
        """Execute what has waited longest; False if nothing is due, or there is no room for its log."""
        if self.disk.trouble:
            return False
        with self.claim_registry.turn:
            with self.db.write() as tx:
                run = runs.claim(tx, self.owner, self.clock.now(), self.engine_id())
            if run is None:
                return False
            self.claim_registry.take(run)
        self.execute(run)
        return True

    def execute(self, run: Run) -> None:
        """Bring a claimed run to its end or back into the queue. Also goes on with one that was taken over."""
        with self.claim_registry.until_done(run):
            goes_on = False
            while not self._execute(run, goes_on=goes_on):
                self.disk.pause()
                goes_on = True

    def _execute(self, run: Run, *, goes_on: bool) -> bool:
        """False if it has to wait for the disk or the store, and to be called again: then it `goes_on`."""
        try:
            if goes_on:
                run = self._still_ours(run)
            unfinished = self._unfinished(run) if run.attempts else None
            if self._is_given_up(run):
                log.error("run %s is given up: too many servers ended while they worked on it", run.name)
            elif unfinished is not None:
                with self.db.read() as tx:
                    origin = origin_of(tx, run)
                is_new = unfinished[0].token == run.token and not goes_on
                external = self._preparation.external_of_taken_over(run, *unfinished)
                if external is not None:
                    self._attempt(run, *unfinished, origin, external, is_new=is_new)
            else:
                self._begin(run)
        except ClaimLost:
            log.warning("run %s is another server's by now", run.name)
        except WAITED_FOR as error:
            self.disk.failed(error)
            if not goes_on:
                log.warning("run %s waits: %s", run.name, error)
            return False
        except Exception:
            log.exception("run %s met a fault of Jobyard", run.name)
            sentence = "Jobyard failed while running this; the server's log has more."
            attempt, _ = self._unfinished(run) or (None, ())
            self._ends.conclude(run, attempt, Outcome(Reason.INTERRUPTED, sentence=sentence))
        return True

    def _still_ours(self, run: Run) -> Run:
        """Return the run as it is stored now. Raises ClaimLost."""
        with self.db.read() as tx:
            if not runs.is_claimed(tx, run):
                raise ClaimLost
            return runs.with_id(tx, run.id)

    def _is_given_up(self, run: Run) -> bool:
        """Ends a run that would take one server after the other down. Its containers are left to the sweep."""
        if not is_given_up(run.crashes):
            return False
        attempt, _ = self._unfinished(run) or (None, ())
        verdict = given_up(run)
        with self.db.write() as tx:
            outcome = Outcome(verdict.reason, sentence=verdict.sentence)
            run_attempts.conclude(tx, run, attempt, outcome, verdict, self.clock.now())
        return True

    @property
    def _follower(self) -> Follower:
        return Follower(self.engine, self.disk, self._patience, self.asked_every)

    @property
    def _specs(self) -> Specs:
        return Specs(self.vault, self.plans, self.disk_bytes, self.engine.lacks())

    @property
    def _starter(self) -> Starter:
        ask = self._preparation.resolve
        return Starter(self.db, self.clock, self.engine, self.vault, ask, self._patience, self.asked_every)

    @property
    def _ends(self) -> Conclusions:
        return Conclusions(self.db, self.clock, self.log_storage, self.active, self.disk)

    @property
    def _preparation(self) -> Preparation:
        return Preparation(
            self.db,
            self.clock,
            self.engine,
            self.vault,
            self.ours,
            self.secret_source,
            self.active,
            self._ends,
            self.engine_is_up,
            self._patience,
            self.asked_every,
            self.epoch,
        )

    def _lives(self, active: ActiveRun, run: Run, recording: Recording, *, is_new: bool) -> ContainerLife:
        return ContainerLife(
            self.db,
            self.clock,
            self.engine,
            self.disk,
            self._follower,
            self._starter,
            self.epoch,
            active,
            run,
            recording,
            is_new,
        )

    def _patience(self) -> Patience:
        return Patience(self.clock, self.patience, self.engine_is_up)

    def _unfinished(self, run: Run) -> tuple[Attempt, Sequence[Container]] | None:
        with self.db.read() as tx:
            last = next(iter(reversed(run_attempts.attempts_of(tx, run.id))), None)
            if last is None or last.status is not RunStatus.RUNNING:
                return None
            return last, run_attempts.containers_of(tx, last.id)

    def _begin(self, run: Run) -> None:
        now = self.clock.now()
        if run.cancel_requested_at is not None:
            self._ends.settle(run, Outcome(run.cancel_reason), cancelled(run))
        elif is_past_deadline(self._ends.counted(run, now), now):
            self._ends.settle(run, Outcome(Reason.TIME_LIMIT), out_of_time(run))
        else:
            found = self._preparation.with_image(run, now)
            external = None if found is None else self._preparation.external_of_new(found[0], now)
            if found is not None and external is not None:
                self._begin_attempt(*found, external, now)

    def _begin_attempt(self, run: Run, origin: Origin, external: ExternalValues, now: datetime) -> None:
        try:
            self._specs.invocation(run, origin)
        except UserError as error:
            with self.db.write() as tx:
                runs.fix_image(tx, run, now)
            self._ends.settle_failed(run, Reason.ENGINE_FAILED, str(error))
            return
        with self.db.write() as tx:
            attempt = run_attempts.begin_attempt(tx, run, now, self.epoch, self.engine_id() or "")
            containers = run_attempts.containers_of(tx, attempt.id) if attempt else ()
        if attempt is not None:
            self._attempt(run, attempt, containers, origin, external, is_new=True)

    def _attempt(
        self,
        run: Run,
        attempt: Attempt,
        containers: Sequence[Container],
        origin: Origin,
        external: ExternalValues,
        *,
        is_new: bool,
    ) -> None:
        """Make one try: all its containers side by side, then the conclusion, then the clean-up."""
        secrets = [*self._specs.secrets(run), *external.hidden()]
        write = partial(
            self.log_storage.write_attempt, run.id, attempt.number, Redactor(secrets), token=run.token
        )
        path = self.log_storage.attempt_path(run.id, attempt.number)
        with self.db.read() as tx:
            at_least = projects.hardening_of(tx, run.project_id)
            may_overlap = jobs.with_id(tx, run.job_id).spec.may_overlap
        with (
            self.active.watching(run, attempt.number) as active,
            Recording(path, write, self.disk, anew=is_new) as recording,
        ):
            lives = self._lives(active, run, recording, is_new=is_new)

            def one(container: Container) -> tuple[Outcome, Handle | None]:
                def spec() -> ContainerSpec:
                    given = external.of(container)
                    return self._specs.spec(
                        run, attempt, container, given, origin, at_least, may_overlap=may_overlap
                    )

                return lives.live(container, spec)

            ended = map_in_threads(f"run-{run.id}", one, containers)
            outcomes = [outcome for outcome, _ in ended]
            if is_new:
                for sentence in external.warnings():
                    recording.note(self.clock.now(), sentence)
            for sentence in dict.fromkeys(outcome.sentence for outcome, handle in ended if handle is None):
                recording.note(self.clock.now(), sentence)  # nothing else says why it wrote nothing
            self._follower.complete(recording, [(each, ended[n][1]) for n, each in enumerate(containers)])
        if self._waits_for_image(run, attempt, ended):
            return
        unsaved = list(zip(containers, outcomes, strict=True)) if run.spec.instances == 1 else []
        # What was taken over stays for the sweep: the former owner may still be about to start its container.
        outcome = combined(outcomes, is_stopped=active.stop_is_requested)
        if self._ends.conclude(run, attempt, outcome, unsaved) and is_new:
            self._remove([handle for _, handle in ended if handle is not None])

    def _waits_for_image(
        self, run: Run, attempt: Attempt, ended: Sequence[tuple[Outcome, Handle | None]]
    ) -> bool:
        """Return whether the image is gone and is made again: as nothing was started, the attempt is taken back until
        then.
        """
        is_gone = any(outcome.image_is_gone for outcome, _ in ended)
        if not is_gone or any(handle is not None for _, handle in ended):
            return False
        return self.disk.patiently(f"run {run.name}", partial(self._try_to_wait, run, attempt))

    def _try_to_wait(self, run: Run, attempt: Attempt) -> bool:
        with self.db.write() as tx:
            return wait_for_image(tx, run, attempt, self.clock.now())

    def _remove(self, handles: Sequence[Handle]) -> None:
        for handle in handles:
            try:
                self.engine.remove(handle)
            except EngineUnavailable:
                log.info("container %s is left for the reconciler to remove", handle.name)
