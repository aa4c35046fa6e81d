"""Jobs without success: a target that watches for that is told once, some hours after the last one.

The hours begin with the last success, or where that was earlier, when the target began to watch: some minutes at most
after it was made, the job was, or the job was resumed.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from app.commands import notice_items as items
from app.store import notification_targets, notifications, projects, standings
from app.store.database import Tx
from app.store.notification_targets import Target


def look(tx: Tx, now: datetime) -> datetime | None:
    """Tell what is due, and return when the next absence will be; None if nobody watches for one."""
    due: list[datetime] = []
    for target in notification_targets.watching_for_absence(tx):
        due += _look(tx, target, now)
    return min(due, default=None)


def _look(tx: Tx, target: Target, now: datetime) -> list[datetime]:
    project, hours = projects.with_id(tx, target.project_id).name, target.absence_hours or 1
    jobs = standings.watched_jobs(tx, target.project_id, target.job_ids)
    known = standings.watched_by(tx, target.id)
    standings.unwatch(tx, target.id, [job_id for job_id in known if job_id not in jobs])
    due = []
    for job_id in jobs.keys() - known.keys():
        standings.watch(tx, target.id, job_id, now)
    for watched in standings.watched_by(tx, target.id).values():
        success = _last_success(tx, watched.job_id)
        at = max(watched.counted_from, success or watched.counted_from) + timedelta(hours=hours)
        if at > now:
            due.append(at)
        elif watched.told_at is None and standings.tell_absence(tx, watched, now):
            name = jobs[watched.job_id]
            item = items.of_absence(name, project, hours, success, now)
            notifications.gather(tx, target.id, item, now)
    return due


def _last_success(tx: Tx, job_id: int) -> datetime | None:
    known = standings.of_job(tx, job_id)
    return standings.last_success(tx, job_id) if known is None or known[1] is None else known[1]
