"""From a queued run to its end: claim ▶ image ▶ attempt ▶ (start ▶ follow ▶ wait) per container ▶ conclude ▶ remove.

The same steps serve a run taken over from a server that died: starting is idempotent per key, following goes on after
the last stored byte, and what is gone is settled. Stopping is never done here: the watcher stops containers, and the
wait ends by itself.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from app.commands.rebuilds import after_waiting, wait_for_image
from app.domain.crashes import is_given_up
from app.domain.errors import EngineUnavailable, UserError
from app.domain.external_secrets import SecretRefused, SecretUnavailable
from app.domain.outages import PATIENCE
from app.domain.plans import Plan
from app.domain.redaction import Redactor
from app.domain.references import Ours
from app.domain.retention import Kind
from app.domain.runs import (
    Again,
    Attempt,
    Container,
    Final,
    Outcome,
    Reason,
    Run,
    RunStatus,
    cancelled,
    conclude,
    epoch_of_key,
    given_up,
    is_past_deadline,
    no_answer,
    out_of_time,
)
from app.engines.base import (
    ContainerSpec,
    Engine,
    Handle,
    ImageUnavailable,
    RegistryLogin,
    ResolvedImage,
    StartRefused,
    StartUncertain,
)
from app.runtime.disk import WAITED_FOR, Disk
from app.runtime.external_secrets import ExternalSecrets
from app.runtime.log_storage import LogStorage
from app.runtime.ports import Clock, SecretSource, Vault
from app.runtime.threads import map_in_threads, running_beside
from app.store import kept_logs, projects, run_attempts, runs
from app.store.database import Database, StoreUnavailable
from app.workers.claims import ClaimRegistry
from app.workers.log_recording import Recording
from app.workers.run.active import Active, ActiveRun, HealthVerdict, StopRequested
from app.workers.run.container_specs import Specs, labels_of
from app.workers.run.external_values import ExternalValues, TakenOver, wanted_by
from app.workers.run.images import Origin, image_of, origin_of
from app.workers.run.log_follower import Follower
from app.workers.run.outcomes import (
    combined,
    outcome_left_behind,
    outcome_of_start_error,
    stopped_for_another,
    with_health_verdict,
    with_next_step,
)
from app.workers.run.patience import Patience
from app.workers.run.starter import ClaimLost, Starter

log = logging.getLogger(__name__)
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
class Runner:
    """Executes one run at a time; several runners work side by side. `epoch` as the engine has it.

    `disk_bytes` is what each container may write to its own files, as in `ContainerSpec`.

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
    claim_registry: ClaimRegistry = field(default_factory=ClaimRegistry)
    patience: float = PATIENCE.total_seconds()
    asked_every: float = 1.0

    def step(self) -> bool:
        """Execute what has waited longest; False if nothing is due, or there is no room for its log."""
        if self.disk.trouble:
            return False
        with self.claim_registry.turn:
            with self.db.write() as tx:
                run = runs.claim(tx, self.owner, self.clock.now())
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
                external = self._external_of(run, *unfinished)
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
            self._conclude(run, attempt, Outcome(Reason.INTERRUPTED, sentence=sentence))
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
        return Specs(self.vault, self.plans, self.disk_bytes)

    @property
    def _starter(self) -> Starter:
        ask = self._resolve
        return Starter(self.db, self.clock, self.engine, self.vault, ask, self._patience, self.asked_every)

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
            self._settle(run, Outcome(run.cancel_reason), cancelled(run))
        elif is_past_deadline(self._counted(run, now), now):
            self._settle(run, Outcome(Reason.TIME_LIMIT), out_of_time(run))
        else:
            found = self._with_image(run, now)
            external = None if found is None else self._read_external(found[0], now)
            if found is not None and external is not None:
                self._begin_attempt(*found, external, now)

    def _with_image(self, run: Run, now: datetime) -> tuple[Run, Origin] | None:
        """The run with what it executes; None if it is settled, as it can't have that, or not yet."""
        if run.awaited_build_id is not None:
            with self.db.write() as tx:
                waited = after_waiting(tx, run, now)
                if not isinstance(waited, Run):
                    run_attempts.conclude(tx, run, None, Outcome(Reason.IMAGE_UNAVAILABLE), waited, now)
            if not isinstance(waited, Run):
                self._forget(run, waited)
                return None
            run = waited
        try:
            with self.active.watching(run, run.attempts + 1) as active:
                return image_of(self.db, partial(self._resolve, active), self.vault, self.ours, run)
        except StopRequested:
            self._conclude(run, None, Outcome(Reason.CANCELLED))
        except UserError as error:
            # There is none, it can't be had, is another project's, or its credential is for another registry.
            self._settle_without_attempt(run, Reason.IMAGE_UNAVAILABLE, with_next_step(error))
        except EngineUnavailable as error:
            self._settle(run, Outcome(Reason.ENGINE_FAILED), self._no_answer(run, error, now))
        return None

    def _no_answer(self, run: Run, error: EngineUnavailable, now: datetime) -> Final | Again:
        return no_answer(run, str(error), now, engine_is_down=not self.engine_is_up())

    def _read_external(self, run: Run, now: datetime) -> ExternalValues | None:
        """The secrets that are kept elsewhere; None if the run is settled, as it can't have them, or not yet."""
        wanted, reason = wanted_by(run), Reason.SECRET_UNAVAILABLE
        if not wanted:
            return ExternalValues()
        try:
            with self.active.watching(run, run.attempts + 1) as active:
                read = partial(self.secret_source.read, wanted, run.project)
                return ExternalValues(active.unless_stopped(f"secrets-{run.id}", read))
        except StopRequested:
            self._conclude(run, None, Outcome(Reason.CANCELLED))
        except SecretRefused as error:
            self._settle_without_attempt(run, reason, str(error))
        except SecretUnavailable as error:
            self._settle(run, Outcome(reason), no_answer(run, str(error), now, reason=reason))
        return None

    def _begin_attempt(self, run: Run, origin: Origin, external: ExternalValues, now: datetime) -> None:
        try:
            self._specs.invocation(run, origin)
        except UserError as error:
            with self.db.write() as tx:
                runs.fix_image(tx, run, now)
            self._settle_without_attempt(run, Reason.ENGINE_FAILED, str(error))
            return
        with self.db.write() as tx:
            attempt = run_attempts.begin_attempt(tx, run, now, self.epoch)
            containers = run_attempts.containers_of(tx, attempt.id) if attempt else ()
        if attempt is not None:
            self._attempt(run, attempt, containers, origin, external, is_new=True)

    def _external_of(
        self, run: Run, attempt: Attempt, containers: Sequence[Container]
    ) -> ExternalValues | None:
        """Those of an attempt that is gone on with; None if it is concluded, as its engine can't tell them."""
        say = self._starter.is_ours_still
        taken_over = TakenOver(self.engine, self.secret_source, self._patience, self.asked_every, say)
        ours = [each for each in containers if epoch_of_key(each.key) == self.epoch]
        try:
            with self.active.watching(run, attempt.number) as active:
                return taken_over.find(active, run, ours, labels_of(run, attempt))
        except EngineUnavailable as error:
            self._conclude(run, attempt, outcome_of_start_error(error, run))
            return None

    def _resolve(self, active: ActiveRun, reference: str, login: RegistryLogin | None) -> ResolvedImage:
        """However long a registry takes, the run can be cancelled meanwhile. Nothing is started by it."""
        ask = partial(self.engine.resolve, reference, login)
        return active.unless_stopped(f"image-{active.run.id}", ask)

    def _settle_without_attempt(self, run: Run, reason: Reason, sentence: str) -> None:
        self._settle(run, Outcome(reason), Final(RunStatus.FAILED, reason, sentence))

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
        write = partial(self.log_storage.write_attempt, run.id, attempt.number, Redactor(secrets))
        path = self.log_storage.attempt_path(run.id, attempt.number)
        with self.db.read() as tx:
            at_least = projects.hardening_of(tx, run.project_id)
        with (
            self.active.watching(run, attempt.number) as active,
            Recording(path, write, self.disk, anew=is_new) as recording,
        ):

            def one(container: Container) -> tuple[Outcome, Handle | None]:

                def spec() -> ContainerSpec:
                    given = external.of(container)
                    return self._specs.spec(run, attempt, container, given, origin, at_least)

                return self._container(active, run, container, spec, recording, is_new=is_new)

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
        if self._conclude(run, attempt, outcome, unsaved) and is_new:
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

    def _container(
        self,
        active: ActiveRun,
        run: Run,
        container: Container,
        spec: Callable[[], ContainerSpec],
        recording: Recording,
        *,
        is_new: bool,
    ) -> tuple[Outcome, Handle | None]:
        handle = Handle.from_json(container.handle) if container.handle else None
        if container.finished_at is not None:
            return _stored(container), handle
        if container.reason is Reason.UNHEALTHY:
            active.set_unhealthy(container.instance, HealthVerdict(run.created_at, container.sentence))
        try:
            if epoch_of_key(container.key) != self.epoch:
                outcome = outcome_left_behind(container, self.clock.now())
                recording.note(self.clock.now(), outcome.sentence)
            elif handle is not None:
                active.started(container.instance, handle)
                with suppress(EngineUnavailable):  # the next to take the run over asks again
                    self.engine.end_shells(handle)
                outcome = self._follower.follow(active, container, handle, recording, threading.Event())
            else:
                handle = self._starter.start(active, run, container.key, spec(), is_new=is_new)
                spoke = threading.Event()
                save = partial(self._started, active, run, container, handle, spoke)
                with running_beside(f"start-{container.key}", save):
                    outcome = self._follower.follow(active, container, handle, recording, spoke)
        except START_ERRORS as error:
            outcome = outcome_of_start_error(error, run)
        now = self.clock.now()
        outcome = with_health_verdict(outcome, active.unhealthy.get(container.instance), now)
        if container.instance in active.pointless & active.told_to_stop and not active.stop_is_requested:
            outcome = stopped_for_another(outcome)
        if run.spec.instances > 1:  # the end of an only one is saved with the attempt's
            saved = self.disk.patiently(
                f"the end of {container.key}", partial(self._container_ended, run, container, outcome, now)
            )
            if saved is None:
                raise ClaimLost
            outcome = saved
        active.ended(container.instance, failed=outcome.reason is not None)
        return outcome, handle

    def _started(
        self, active: ActiveRun, run: Run, container: Container, handle: Handle, spoke: threading.Event
    ) -> None:
        """Save the start, beside the reading of what the container says, whose first words go before."""
        spoke.wait(FIRST_WORDS_SECONDS)
        save = partial(self._container_started, run, container, handle)
        try:
            current = save()
        except StoreUnavailable:
            active.started(container.instance, handle)  # it may have to be stopped meanwhile
            current = self.disk.patiently(f"the start of {container.key}", save)
        if current is None:
            raise ClaimLost
        active.started(container.instance, handle, current)

    def _container_started(self, run: Run, container: Container, handle: Handle) -> Run | None:
        with self.db.write() as tx:
            return run_attempts.container_started(tx, run, container, handle.to_json(), self.clock.now())

    def _container_ended(
        self, run: Run, container: Container, outcome: Outcome, now: datetime
    ) -> Outcome | None:
        with self.db.write() as tx:
            return run_attempts.container_ended(tx, run, container, outcome, now)

    def _conclude(
        self,
        run: Run,
        attempt: Attempt | None,
        outcome: Outcome,
        ended: Sequence[tuple[Container, Outcome]] = (),
    ) -> bool:
        """False if the run is another server's by now, and so are its containers."""
        return self.disk.patiently(
            f"the end of run {run.name}", partial(self._try_to_conclude, run, attempt, outcome, ended)
        )

    def _try_to_conclude(
        self,
        run: Run,
        attempt: Attempt | None,
        outcome: Outcome,
        ended: Sequence[tuple[Container, Outcome]],
    ) -> bool:
        log_bytes = self.log_storage.size(Kind.RUNS, run.id)
        with self.db.write() as tx:
            current, now = runs.with_id(tx, run.id), self.clock.now()
            verdict = conclude(self._counted(current, now), outcome, now)
            settled = run_attempts.conclude(tx, run, attempt, outcome, verdict, now, ended)
            if settled is not None:
                kept_logs.measured(tx, Kind.RUNS, run.id, log_bytes)
        self._forget(run, verdict)
        if settled is None:
            log.warning("run %s was concluded elsewhere", run.name)
        return settled is not None

    def _settle(self, run: Run, outcome: Outcome, verdict: Final | Again) -> None:
        """Conclude a run without an attempt, whatever the outcome would mean for one."""
        with self.db.write() as tx:
            run_attempts.conclude(tx, run, None, outcome, verdict, self.clock.now())
        self._forget(run, verdict)

    def _counted(self, run: Run, now: datetime) -> Run:
        return self.active.timers.as_counted(run, now, self.clock.ticks())

    def _forget(self, run: Run, verdict: Final | Again) -> None:
        if isinstance(verdict, Final):
            self.active.timers.forget(run.id)

    def _remove(self, handles: Sequence[Handle]) -> None:
        for handle in handles:
            try:
                self.engine.remove(handle)
            except EngineUnavailable:
                log.info("container %s is left for the reconciler to remove", handle.name)


def _stored(container: Container) -> Outcome:
    """Return how a container ended that another server had already followed to its end."""
    how = container.reason, container.exit_code, container.sentence, container.finished_at
    is_gone = container.reason is Reason.IMAGE_UNAVAILABLE and container.handle is None
    return Outcome(*how, left_behind=container.reason is Reason.INTERRUPTED, image_is_gone=is_gone)
