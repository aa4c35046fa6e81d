"""The epoch of an installation: what was begun since its data was last restored, or otherwise became a copy.

A copy has the ids of what it is a copy of, and gives out the same ones from there on. So what leaves the database with
an id of its own (containers, names of images) carries the epoch too; `app.engines.base` says what that keeps apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, update
from sqlmodel import col, select

from app.domain.builds import BuildStatus
from app.store import facts
from app.store.claims import DEAD_AFTER, time_of_servers
from app.store.database import Tx
from app.store.schema import BuildRow, ServerRow

EPOCH, ERA = "epoch", "era"
_REBUILT = "The data was restored from a copy that was made during this build; building again."


def current(tx: Tx) -> str:
    """Empty in the first one."""
    return facts.read(tx, EPOCH) or ""


def number(tx: Tx) -> int:
    """How many there were before this one."""
    return int(facts.read(tx, ERA) or 0)


def begin(tx: Tx, epoch: str, now: datetime) -> None:
    """No server works on this copy yet: those it names are another's. Running runs are settled by the first start."""
    facts.write(tx, EPOCH, epoch)
    facts.write(tx, ERA, str(number(tx) + 1))
    tx.connection().execute(delete(ServerRow))
    interrupted = (
        update(BuildRow)
        .where(
            col(BuildRow.status) == BuildStatus.RUNNING,
            col(BuildRow.cancel_requested_at).is_(None),
        )
        .values(
            status=BuildStatus.QUEUED,
            owner=None,
            token=BuildRow.token + 1,
            sentence=_REBUILT,
            available_at=now,
            started_at=None,
            steps=None,
            phases=None,
        )
    )
    tx.connection().execute(interrupted)


def servers_alive(tx: Tx, now: datetime) -> Sequence[str]:
    """Hosts of the servers that were heard of lately."""
    since = time_of_servers(tx, now) - DEAD_AFTER
    return list(tx.exec(select(ServerRow.host).where(col(ServerRow.heartbeat_at) >= since)))
