"""What the topics of signals are about."""

from __future__ import annotations

from sqlalchemy import select

from app.store.database import Tx
from app.store.schema import metadata

_TABLES = {"run": "run", "build": "build", "job": "job", "flow-run": "flow_run"}


def project_of(tx: Tx, topic: str) -> int | None:
    """The id of the project that a topic such as `run:7` is of; None where there is no such thing."""
    kind, _, number = topic.partition(":")
    if kind not in _TABLES or not number.isascii() or not number.isdecimal() or len(number) > 18:
        return None
    table = metadata.tables[_TABLES[kind]].c
    found: int | None = tx.connection().scalar(select(table.project_id).where(table.id == int(number)))
    return found
