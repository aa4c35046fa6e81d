"""What a plan would remove, counted and weighed for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.domain.retention import Kind, Plan, Share, Why
from app.runtime.log_storage import LogStorage
from app.store import history
from app.store.database import Database, Tx

WITH_LOGS = (Kind.RUNS, Kind.BUILDS)


@dataclass(frozen=True)
class Part:
    """What goes of one job, or of whatever else has rows of the kind; names are empty where it is no more."""

    project: str
    name: str
    going: int
    bytes: int


@dataclass(frozen=True)
class Portion:
    """What goes of a kind, in all and by whose it is, most first; and why the rest stays.

    `bytes` are of files and of bodies: what the database needs for its rows is not counted. `within_limits` are those
    that stay as they are neither too old nor too many.
    """

    kind: Kind
    going: int
    bytes: int
    parts: Sequence[Part]
    staying: Sequence[tuple[Why, int]]
    within_limits: int


def portions(db: Database, log_storage: LogStorage, plan: Plan) -> list[Portion]:
    """Return what goes and what stays of every kind; logs are those of this server."""
    with db.read() as tx:
        counts = history.counts(tx)
    return [_portion(db, log_storage, kind, share, counts[kind]) for kind, share in plan.shares.items()]


def _portion(db: Database, log_storage: LogStorage, kind: Kind, share: Share, count: int) -> Portion:
    with db.read() as tx:
        names = history.owners(tx, kind, [owner for owner in share.going if owner is not None])
        bodies = _bodies(tx, kind, share)
    parts = [
        Part(*names.get(owner or 0, ("", "")), len(ids), _logs(log_storage, kind, ids))
        for owner, ids in share.going.items()
    ]
    staying = sorted(share.staying.items(), key=lambda each: -each[1])
    return Portion(
        kind=kind,
        going=share.count,
        bytes=bodies + sum(part.bytes for part in parts),
        parts=sorted(parts, key=lambda part: (-part.going, part.project, part.name)),
        staying=staying,
        within_limits=max(0, count - share.count - sum(share.staying.values())),
    )


def _bodies(tx: Tx, kind: Kind, share: Share) -> int:
    return history.bytes_of_deliveries(tx, share.ids) if kind is Kind.DELIVERIES else 0


def _logs(log_storage: LogStorage, kind: Kind, ids: Sequence[int]) -> int:
    return sum(log_storage.size(kind, each) for each in ids) if kind in WITH_LOGS else 0
