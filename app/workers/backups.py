"""Backups by a schedule: one server makes each, checks it, and removes what is beyond the number to keep."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from app.domain.backups import BackupPlan, BackupState, Made, beyond, due_at, is_ahead
from app.domain.errors import JobyardError
from app.runtime.ports import Clock
from app.store import backups
from app.store.database import Database, Tx

log = logging.getLogger(__name__)
LOOK_SECONDS, LONGEST_LOOK_SECONDS = 10.0, 300.0

FAULT = "Jobyard met a fault of its own, of which the server's log has more."


class BackupPlace(Protocol):
    """Where backups go."""

    def make(self, now: datetime) -> Made:
        """Make one and read it to its end; it has its name when it is whole. Raises UserError."""
        ...

    def names(self) -> Sequence[str]:
        """The names of those that this installation made there. Raises UserError."""
        ...

    def remove(self, name: str) -> None:
        """Raises UserError."""
        ...


@dataclass
class BackupWorker:
    """A server that dies is taken over from when nothing was heard of it for `claims.DEAD_AFTER`."""

    db: Database
    clock: Clock
    server: str
    plan: BackupPlan
    place: BackupPlace

    def is_due(self, tx: Tx) -> bool:
        state, now = backups.read(tx), self.clock.now()
        if state is None:
            return False
        return is_ahead(state, now) or due_at(state, self.plan.schedule) <= now

    def step(self) -> float:
        """Make a backup if one is due; returns for how many seconds nothing has to be looked at."""
        now = self.clock.now()
        state = self._state(now)
        wait = (due_at(state, self.plan.schedule) - now).total_seconds()
        if wait > 0 and not is_ahead(state, now):
            return min(wait, LONGEST_LOOK_SECONDS)
        with self.db.read() as tx:
            is_others = state.owner != self.server and backups.is_being_made(tx, state, now)
        if is_others:
            return LOOK_SECONDS
        with self.db.write() as tx:
            if is_ahead(state, now):
                backups.bring_back(tx, state, now)
                return 0.0
            claimed = backups.claim(tx, state, self.server, now)
        if claimed is not None:
            self._carry_out(claimed)
        return 0.0

    def _state(self, now: datetime) -> BackupState:
        with self.db.read() as tx:
            state = backups.read(tx)
        if state is not None:
            return state
        with self.db.write() as tx:
            backups.begin(tx, now)
            begun = backups.read(tx)
        assert begun is not None
        return begun

    def _carry_out(self, claimed: BackupState) -> None:
        try:
            made = self.place.make(self.clock.now())
        except JobyardError as error:
            self._fail(claimed, str(error))
            return
        except Exception:
            log.exception("a backup met a fault of Jobyard")
            self._fail(claimed, FAULT)
            return
        with self.db.write() as tx:
            is_mine = backups.succeed(tx, claimed, made, self.clock.now())
        log.info("made the backup %s, %d bytes, and found it whole", made.where, made.bytes)
        if is_mine:
            self._remove_old(made)

    def _fail(self, claimed: BackupState, trouble: str) -> None:
        with self.db.write() as tx:
            failed = backups.fail(tx, claimed, trouble, self.clock.now())
        if failed is None or failed.retry_at is None or failed.failed_at is None:
            return  # it is another server's now
        minutes = (failed.retry_at - failed.failed_at).total_seconds() / 60
        log.warning("no backup was made, which is tried again in %d min: %s", minutes, trouble)

    def _remove_old(self, made: Made) -> None:
        try:
            old = beyond(self.place.names(), self.plan.keep, made.name)
            for name in old:
                self.place.remove(name)
        except JobyardError as error:
            log.warning("older backups stay until the next one is made: %s", error)
            return
        if old:
            log.info("removed what is beyond the %d backups to keep: %s", self.plan.keep, ", ".join(old))
