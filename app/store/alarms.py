"""Alarms: something is amiss with a server. Each is told to the projects that want to know, once until it is over."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import delete
from sqlmodel import col, select

from app.domain.notifications import Rule, What
from app.store import notices, notification_targets
from app.store.database import Tx
from app.store.notice_subjects import Alarm, alarm_value
from app.store.schema import AlarmRow

KEPT = timedelta(days=90)


def ongoing(tx: Tx, name: str) -> Alarm | None:
    query = select(AlarmRow).where(AlarmRow.name == name, col(AlarmRow.over_at).is_(None))
    row = tx.exec(query.order_by(col(AlarmRow.id).desc()).limit(1)).first()
    return None if row is None else alarm_value(row)


def begin(tx: Tx, name: str, headline: str, sentence: str, now: datetime) -> None:
    """Store an alarm, unless it goes on, and have it told."""
    if ongoing(tx, name) is not None:
        return
    tx.connection().execute(delete(AlarmRow).where(col(AlarmRow.began_at) < now - KEPT))
    row = AlarmRow(name=name, headline=headline, sentence=sentence, began_at=now)
    tx.add(row)
    tx.flush()
    _note(tx, What.ALARM, row.id)


def end(tx: Tx, name: str, now: datetime) -> None:
    alarm = ongoing(tx, name)
    if alarm is None:
        return
    tx.get_one(AlarmRow, alarm.id).over_at = now
    tx.flush()
    _note(tx, What.ALARM_OVER, alarm.id)


def _note(tx: Tx, what: What, alarm_id: int) -> None:
    for project_id in notification_targets.projects_with(tx, Rule.ALARM):
        notices.note(tx, what, project_id, alarm_id)
