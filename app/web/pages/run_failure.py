"""What the page of a run that failed shows first: its last error lines, and what differs from the last green run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.commands.run_differences import Differences, differences, last_green
from app.domain.runs import Attempt, Run, RunStatus
from app.web.pages.containers import Row
from app.web.pages.context import PageContext
from app.web.pages.last_errors import Tail, last_errors


@dataclass(frozen=True)
class Failure:
    """`tail` is of the attempt that is shown, of `instance` where only one failed; `since_green` is None for a first
    run, and where none has succeeded of late.
    """

    tail: Tail | None
    instance: int | None
    since_green: Differences | None


def failure(ctx: PageContext, run: Run, attempt: Attempt | None, rows: Sequence[Row]) -> Failure | None:
    """None unless the run failed."""
    if run.status is not RunStatus.FAILED:
        return None
    with ctx.server.db.read() as tx:
        compared = last_green(tx, run)
    tail, instance = None, _failed_one(rows)
    if attempt is not None:
        tail = last_errors(ctx.server.log_storage.reader(run.id, attempt.number), instance)
    return Failure(
        tail, instance, None if compared is None else differences(compared, ctx.server.commit_ranges)
    )


def _failed_one(rows: Sequence[Row]) -> int | None:
    """The instance that failed first, of several; the others were stopped for it."""
    ended = [row for row in rows if row.status is RunStatus.FAILED and row.finished_at is not None]
    if len(rows) < 2 or not ended:
        return None
    return min(ended, key=lambda row: (row.finished_at, row.instance)).instance
