"""What `jobyard doctor` says of backups that are made by themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from app.cli.findings import Finding
from app.domain.errors import JobyardError

if TYPE_CHECKING:
    from datetime import datetime

    from app.config import Settings
    from app.domain.backups import BackupPlan, BackupState


def check_backups(settings: Settings) -> Iterator[Finding]:
    """Say what came of backups that are made by themselves; a store that can't be read gives nothing."""
    from app.store import backups
    from app.store.database import Database
    from app.system import SystemClock

    plan = settings.backups
    if plan is None or (settings.database_url is None and not (settings.data / "jobyard.db").is_file()):
        return
    db = Database(settings.store_url)
    try:
        with db.read() as tx:
            state = backups.read(tx)
    except JobyardError:
        return  # which `credentials` tells of
    finally:
        db.close()
    yield judge_backups(plan, state, SystemClock().now())


def judge_backups(plan: BackupPlan, state: BackupState | None, now: datetime) -> Finding:
    """Judge backups by the last one."""
    from app.cli.times import relative
    from app.domain.backups import due_at

    if state is None:
        return Finding(
            "warn", "backups", f"None was made yet in {plan.to}: no server with these settings ran."
        )
    next_ = f"the next one is due {relative(due_at(state, plan.schedule), now)}"
    made = f"{state.where}, {state.bytes} bytes" if state.made_at else ""
    if state.trouble and state.failed_at is not None:
        last = f"The last whole one is {made}." if made else "There is none yet."
        said = f"{state.trouble} That was {relative(state.failed_at, now)}; {next_}. {last}"
        return Finding("fail", "backups", said)
    if state.made_at is None:
        return Finding("ok", "backups", f"None was made yet in {plan.to}; {next_}.")
    said = f"{made}, was made and found whole {relative(state.made_at, now)}; {next_}."
    return Finding("ok", "backups", said)
