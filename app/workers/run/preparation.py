"""What a run needs before its containers start: its image, and the secrets that are kept elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from app.commands.rebuilds import after_waiting
from app.domain.errors import EngineUnavailable, UserError
from app.domain.external_secrets import SecretRefused, SecretUnavailable
from app.domain.references import Ours
from app.domain.runs import Again, Attempt, Container, Final, Outcome, Reason, Run, epoch_of_key, no_answer
from app.engines.base import Engine, RegistryLogin, ResolvedImage
from app.runtime.ports import Clock, SecretSource, Vault
from app.store import run_attempts
from app.store.database import Database
from app.workers.run.active import Active, ActiveRun, StopRequested
from app.workers.run.conclusions import Conclusions
from app.workers.run.container_specs import labels_of
from app.workers.run.external_values import ExternalValues, TakenOver, wanted_by
from app.workers.run.images import Origin, image_of
from app.workers.run.outcomes import outcome_of_start_error, with_next_step
from app.workers.run.patience import Patience
from app.workers.run.starter import is_ours_still


@dataclass(frozen=True)
class Preparation:
    """Finds what the run needs, or settles it by `ends` where that can't be had, or not yet.

    `new_patience` is with an engine or a source that gives no answer, which is asked again every `asked_every` seconds.
    """

    db: Database
    clock: Clock
    engine: Engine
    vault: Vault
    ours: Ours
    secret_source: SecretSource
    active: Active
    ends: Conclusions
    engine_is_up: Callable[[], bool]
    new_patience: Callable[[], Patience]
    asked_every: float
    epoch: str

    def with_image(self, run: Run, now: datetime) -> tuple[Run, Origin] | None:
        """The run with what it executes; None if it is settled, as it can't have that, or not yet."""
        if run.awaited_build_id is not None:
            with self.db.write() as tx:
                waited = after_waiting(tx, run, now)
                if not isinstance(waited, Run):
                    run_attempts.conclude(tx, run, None, Outcome(Reason.IMAGE_UNAVAILABLE), waited, now)
            if not isinstance(waited, Run):
                self.ends.forget(run, waited)
                return None
            run = waited
        try:
            with self.active.watching(run, run.attempts + 1) as active:
                return image_of(self.db, partial(self.resolve, active), self.vault, self.ours, run)
        except StopRequested:
            self.ends.conclude(run, None, Outcome(Reason.CANCELLED))
        except UserError as error:
            # There is none, it can't be had, is another project's, or its credential is for another registry.
            self.ends.settle_failed(run, Reason.IMAGE_UNAVAILABLE, with_next_step(error))
        except EngineUnavailable as error:
            self.ends.settle(run, Outcome(Reason.ENGINE_FAILED), self._no_answer(run, error, now))
        return None

    def external_of_new(self, run: Run, now: datetime) -> ExternalValues | None:
        """The secrets that are kept elsewhere; None if the run is settled, as it can't have them, or not yet."""
        wanted, reason = wanted_by(run), Reason.SECRET_UNAVAILABLE
        if not wanted:
            return ExternalValues()
        try:
            with self.active.watching(run, run.attempts + 1) as active:
                read = partial(self.secret_source.read, wanted, run.project)
                return ExternalValues(active.unless_stopped(f"secrets-{run.id}", read))
        except StopRequested:
            self.ends.conclude(run, None, Outcome(Reason.CANCELLED))
        except SecretRefused as error:
            self.ends.settle_failed(run, reason, str(error))
        except SecretUnavailable as error:
            self.ends.settle(run, Outcome(reason), no_answer(run, str(error), now, reason=reason))
        return None

    def external_of_taken_over(
        self, run: Run, attempt: Attempt, containers: Sequence[Container]
    ) -> ExternalValues | None:
        """Those of an attempt that is gone on with; None if it is concluded, as its engine can't tell them."""

        def say(run: Run, sentence: str) -> bool:
            return is_ours_still(self.db, run, sentence, self.clock.now())

        taken_over = TakenOver(self.engine, self.secret_source, self.new_patience, self.asked_every, say)
        ours = [each for each in containers if epoch_of_key(each.key) == self.epoch]
        try:
            with self.active.watching(run, attempt.number) as active:
                return taken_over.find(active, run, ours, labels_of(run, attempt))
        except EngineUnavailable as error:
            self.ends.conclude(run, attempt, outcome_of_start_error(error, run))
            return None

    def resolve(self, active: ActiveRun, reference: str, login: RegistryLogin | None) -> ResolvedImage:
        """However long a registry takes, the run can be cancelled meanwhile. Nothing is started by it."""
        ask = partial(self.engine.resolve, reference, login)
        return active.unless_stopped(f"image-{active.run.id}", ask)

    def _no_answer(self, run: Run, error: EngineUnavailable, now: datetime) -> Final | Again:
        return no_answer(run, str(error), now, engine_is_down=not self.engine_is_up())
