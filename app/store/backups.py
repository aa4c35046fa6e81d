"""Scheduled backups of an installation: what is known of them, and which server makes the next one.

It is one fact. Each change replaces what was read, so of several servers one is first and the others change nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import datetime
from typing import Any

from sqlalchemy import update
from sqlmodel import col

from app.domain.backups import BackupState, Made, brought_back, delay_after
from app.store import facts
from app.store.claims import DEAD_AFTER, time_of_servers
from app.store.database import Tx
from app.store.schema import ServerRow, SettingRow
from app.store.upsert import insert_unless_there

BACKUPS, FOUND_WHOLE = "backups", "backups_found_whole"
REMEMBERED = 1000  # names


def read(tx: Tx) -> BackupState | None:
    """None before the first server that was to make any."""
    text = facts.read(tx, BACKUPS)
    return None if text is None else _from_text(text)


def begin(tx: Tx, now: datetime) -> None:
    """Backups are scheduled from now on; nothing if they are already."""
    first = insert_unless_there(tx, SettingRow, name=BACKUPS, value=_to_text(BackupState(now)))
    tx.connection().execute(first)


def is_being_made(tx: Tx, state: BackupState, now: datetime) -> bool:
    """Whether a server that was heard of lately is at it."""
    row = tx.get(ServerRow, state.owner) if state.owner else None
    return row is not None and row.heartbeat_at >= time_of_servers(tx, now) - DEAD_AFTER


def bring_back(tx: Tx, state: BackupState, now: datetime) -> BackupState | None:
    """The state by a clock that was set back; None if it is no longer what was read."""
    return _changed(tx, state, brought_back(state, now))


def claim(tx: Tx, state: BackupState, server: str, now: datetime) -> BackupState | None:
    """The state with this server at work; None if it is no longer what was read."""
    return _changed(tx, state, replace(state, owner=server, token=state.token + 1, begun_at=now))


def ask(tx: Tx, state: BackupState, now: datetime) -> BackupState | None:
    """The state with the next one due at once; None if it is no longer what was read."""
    return _changed(tx, state, replace(state, retry_at=now))


def succeed(tx: Tx, claimed: BackupState, made: Made, now: datetime) -> bool:
    """False if another server has taken over since; then only is stored that it was found whole. Times until it was
    begun are done with.
    """
    whole = [made.name, *(name for name in found_whole(tx) if name != made.name)]
    facts.write(tx, FOUND_WHOLE, json.dumps(whole[:REMEMBERED]))
    after = BackupState(
        since=claimed.begun_at or now,
        token=claimed.token,
        made_at=now,
        where=made.where,
        bytes=made.bytes,
    )
    return _changed(tx, claimed, after) is not None


def found_whole(tx: Tx) -> list[str]:
    """The names of backups that were read to their end and found whole, the newest first."""
    found: list[str] = json.loads(facts.read(tx, FOUND_WHOLE) or "[]")
    return found


def fail(tx: Tx, claimed: BackupState, trouble: str, now: datetime) -> BackupState | None:
    """The state with the time of the next try; None if another server has taken over since."""
    failures = claimed.failures + 1
    after = replace(
        claimed,
        owner="",
        begun_at=None,
        failures=failures,
        failed_at=now,
        trouble=trouble,
        retry_at=now + delay_after(failures),
    )
    return _changed(tx, claimed, after)


def _changed(tx: Tx, before: BackupState, after: BackupState) -> BackupState | None:
    mine = update(SettingRow).where(
        col(SettingRow.name) == BACKUPS, col(SettingRow.value) == _to_text(before)
    )
    done = tx.connection().execute(mine.values(value=_to_text(after)))
    return after if done.rowcount == 1 else None


def _to_text(state: BackupState) -> str:
    return json.dumps({name: _plain(value) for name, value in vars(state).items()})


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _from_text(text: str) -> BackupState:
    given = json.loads(text)
    return BackupState(**{each.name: _reader(each.type)(given[each.name]) for each in fields(BackupState)})


def _reader(type_: Any) -> Callable[[Any], Any]:
    if "datetime" in str(type_):
        return lambda value: None if value is None else datetime.fromisoformat(value)
    return lambda value: value
