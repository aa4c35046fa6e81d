"""`/backups`: those by the schedule, and whether each was whole, one now, and the way back."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.responses import Response
from starlette.routing import Route

from app.commands.backup_list import Backups as Listed
from app.domain.backups import BackupPlan, BackupState, due_at
from app.domain.errors import Conflict
from app.domain.principals import Right
from app.store import backups
from app.store.audit_recorder import note
from app.store.database import Tx
from app.web.pages.context import PageContext, get, post, see


@dataclass(frozen=True)
class Backups:
    """What is known of backups that are made by themselves; `state` is None before the first look at them."""

    plan: BackupPlan
    state: BackupState | None
    due_at: object
    is_being_made: bool


def backups_of(ctx: PageContext, tx: Tx) -> Backups | None:
    """None where none is made by itself."""
    plan = ctx.server.backups
    if plan is None:
        return None
    state = backups.read(tx)
    due = due_at(state or BackupState(ctx.now), plan.schedule)
    is_being_made = state is not None and backups.is_being_made(tx, state, ctx.now)
    return Backups(plan, state, due, is_being_made)


def show_backups(ctx: PageContext) -> Response:
    with ctx.server.db.read() as tx:
        found, whole = backups_of(ctx, tx), frozenset(backups.found_whole(tx))
    listed = ctx.server.backup_list.look() if ctx.server.backup_list else Listed()
    return ctx.page(
        "backups.html", backups=found, listed=listed, whole=whole, is_asked=bool(ctx.query("asked"))
    )


def make_one(ctx: PageContext) -> Response:
    """Have the servers' loop make one as soon as it looks, which is within seconds."""
    if ctx.server.backups is None:
        raise Conflict("No backup is made by itself, so none can be asked for: that needs JOBYARD_BACKUP_TO.")
    with ctx.server.db.write() as tx:
        state = backups.read(tx)
        if state is None:
            backups.begin(tx, ctx.now)
            state = backups.read(tx)
        assert state is not None
        if backups.is_being_made(tx, state, ctx.now):
            raise Conflict("A backup is being made already.")
        if backups.ask(tx, state, ctx.now) is None:
            raise Conflict("A backup is begun just now.")
    note(ctx.server.db)
    return see("/backups?asked=1")


def routes() -> list[Route]:
    return [get("/backups", show_backups, Right.PRUNE), post("/backups", make_one, Right.PRUNE)]
