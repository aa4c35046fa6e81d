"""Backups by a schedule, as the database has them."""

from __future__ import annotations

from datetime import timedelta

from app.domain.backups import BackupPlan, Made
from app.domain.schedule import Schedule
from app.store import backups
from app.web.server_context import ServerContext
from tests.support.clock import START

PLAN = BackupPlan("/backups", Schedule.parse("0 3 * * *"), keep=14)


def back_up(context: ServerContext) -> None:
    """One was made 90 s ago, and a server began another and failed."""
    made = Made("x", "/backups/x", 12)
    with context.db.write() as tx:
        backups.begin(tx, START)
        state = backups.read(tx)
        assert state is not None
        claimed = backups.claim(tx, state, "one", START)
        assert claimed is not None
        backups.succeed(tx, claimed, made, START - timedelta(seconds=90))
        state = backups.read(tx)
        assert state is not None
        claimed = backups.claim(tx, state, "one", START)
        assert claimed is not None
        backups.fail(tx, claimed, "The disk is full.", START)
