"""What is open just now, for /metrics: read from indexes that hold what is open, however much is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, literal_column, text
from sqlmodel import col, select

from app.domain.backups import BackupState
from app.domain.builds import BuildStatus
from app.domain.deployments import DeploymentStatus
from app.domain.flows import FlowStatus
from app.domain.runs import RunStatus
from app.store import backups, builds, commit_statuses, mails, notifications, runs, schedules
from app.store.database import Tx
from app.store.schema import (
    BuildRow,
    CommitStatusRow,
    DeliveryRow,
    DeploymentRow,
    FlowRunRow,
    MailRow,
    NotificationRow,
    RunRow,
    ServerRow,
)

WAITING: Any = literal_column("'received'")  # in the words of the index that holds these alone
OPEN: Mapping[str, tuple[Any, tuple[str, ...]]] = {
    "run": (RunRow, (RunStatus.QUEUED, RunStatus.RUNNING)),
    "build": (BuildRow, (BuildStatus.QUEUED, BuildStatus.RUNNING)),
    "deployment": (DeploymentRow, (DeploymentStatus.PENDING, DeploymentStatus.RUNNING)),
    "flow_run": (FlowRunRow, (FlowStatus.QUEUED, FlowStatus.RUNNING)),
}
UNSENT: Mapping[str, Any] = {
    "notification": NotificationRow,
    "commit_status": CommitStatusRow,
    "mail": MailRow,
}


@dataclass(frozen=True)
class Gauges:
    """`open` is by what and status. A time is that since which something is due; None while nothing is.

    `outboxes` has the time of the next message of each kind, which lies ahead while it is being sent or put off.
    """

    open: Mapping[tuple[str, str], int]
    run_due_at: datetime | None
    build_due_at: datetime | None
    schedule_due_at: datetime | None
    delivery_received_at: datetime | None
    outboxes: Mapping[str, datetime | None]
    servers: int
    backups: BackupState | None
    database_bytes: int


def read(tx: Tx) -> Gauges:
    oldest = select(DeliveryRow.received_at).where(DeliveryRow.status == WAITING)
    return Gauges(
        open=_open(tx),
        run_due_at=runs.due_at(tx),
        build_due_at=builds.due_at(tx),
        schedule_due_at=schedules.next_due_at(tx),
        delivery_received_at=tx.exec(oldest.order_by(col(DeliveryRow.id)).limit(1)).first(),
        outboxes={
            "notifications": notifications.due_at(tx),
            "commit_statuses": commit_statuses.next_due_at(tx),
            "mails": mails.due_at(tx),
        },
        servers=tx.exec(select(func.count()).select_from(ServerRow)).one(),
        backups=backups.read(tx),
        database_bytes=_size(tx),
    )


def _open(tx: Tx) -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    for what, (table, statuses) in OPEN.items():
        for status in statuses:
            query = select(func.count()).select_from(table).where(table.status == str(status))
            found[what, str(status)] = tx.exec(query).one()
    for what, unsent in UNSENT.items():
        query = select(func.count()).select_from(unsent).where(unsent.due_at.is_not(None))
        found[what, "due"] = tx.exec(query).one()
    waiting = select(func.count()).select_from(DeliveryRow).where(DeliveryRow.status == WAITING)
    return {**found, ("delivery", "received"): tx.exec(waiting).one()}


def _size(tx: Tx) -> int:
    """Return the bytes of the database's file, or of all that PostgreSQL has for it."""
    connection = tx.connection()
    if connection.dialect.name == "sqlite":
        pages, size = (connection.scalar(text(f"PRAGMA {name}")) for name in ("page_count", "page_size"))
        return int(pages) * int(size)
    return int(connection.scalar(select(func.pg_database_size(func.current_database()))))
