"""What a run comes to: stored once, by the server that has it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from app.domain.retention import Kind
from app.domain.runs import Again, Attempt, Container, Final, Outcome, Reason, Run, RunStatus, conclude
from app.runtime.disk import Disk
from app.runtime.log_storage import LogStorage
from app.runtime.ports import Clock
from app.store import kept_logs, run_attempts, runs
from app.store.database import Database
from app.workers.run.active import Active

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Conclusions:
    """Ends attempts and runs, or puts runs back into the queue, again and again while the disk has no room for that."""

    db: Database
    clock: Clock
    log_storage: LogStorage
    active: Active
    disk: Disk

    def conclude(
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
            verdict = conclude(self.counted(current, now), outcome, now)
            settled = run_attempts.conclude(tx, run, attempt, outcome, verdict, now, ended)
            if settled is not None:
                kept_logs.measured(tx, Kind.RUNS, run.id, log_bytes)
        self.forget(run, verdict)
        if settled is None:
            log.warning("run %s was concluded elsewhere", run.name)
        return settled is not None

    def settle(self, run: Run, outcome: Outcome, verdict: Final | Again) -> None:
        """Conclude a run without an attempt, whatever the outcome would mean for one."""
        with self.db.write() as tx:
            run_attempts.conclude(tx, run, None, outcome, verdict, self.clock.now())
        self.forget(run, verdict)

    def counted(self, run: Run, now: datetime) -> Run:
        return self.active.timers.as_counted(run, now, self.clock.ticks())

    def forget(self, run: Run, verdict: Final | Again) -> None:
        if isinstance(verdict, Final):
            self.active.timers.forget(run.id)

    def settle_failed(self, run: Run, reason: Reason, sentence: str) -> None:
        """End a run without an attempt, as no other one would go better."""
        self.settle(run, Outcome(reason), Final(RunStatus.FAILED, reason, sentence))
