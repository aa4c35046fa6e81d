"""Movements of branches: what each source took, and the order that the sources of a project agree on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlmodel import col, select

from app.domain.job.records import Source
from app.domain.pushes import Movement
from app.store.database import Tx
from app.store.schema import MovementRow, ProjectRow

WHAT: Any = (MovementRow.before, MovementRow.after, MovementRow.position)
ALL: Any = (*WHAT, MovementRow.is_found)
REMEMBERED = 50


def lock_projects(tx: Tx, project_ids: Sequence[int]) -> None:
    """Keep others from placing movements in these projects until the transaction ends."""
    query = select(ProjectRow.id).where(col(ProjectRow.id).in_(project_ids)).order_by(col(ProjectRow.id))
    tx.exec(query.with_for_update(key_share=True)).all()


def known(tx: Tx, project_id: int, repo_key: str, ref: str) -> Sequence[Movement]:
    """The latest movements of a branch that any source of the project took, newest first."""
    query = select(*WHAT).where(
        MovementRow.project_id == project_id, MovementRow.repo_key == repo_key, MovementRow.ref == ref
    )
    return _newest(tx, query)


def taken(tx: Tx, source: Source, ref: str) -> Sequence[Movement]:
    """Return the movements that this source took."""
    query = select(*ALL).where(
        MovementRow.source_id == source.id, MovementRow.repo_key == source.repo_key, MovementRow.ref == ref
    )
    return _newest(tx, query)


def newest_taken(tx: Tx, source_id: int, repo_key: str, ref: str) -> Movement | None:
    query = select(*ALL).where(
        MovementRow.source_id == source_id, MovementRow.repo_key == repo_key, MovementRow.ref == ref
    )
    row = tx.exec(query.order_by(col(MovementRow.position).desc()).limit(1)).first()
    return None if row is None else Movement(*row)


def _newest(tx: Tx, query: Any) -> Sequence[Movement]:
    newest = query.distinct().order_by(col(MovementRow.position).desc()).limit(REMEMBERED)
    return [Movement(*row) for row in tx.exec(newest)]


def take(tx: Tx, source: Source, ref: str, movement: Movement, delivery_id: int) -> None:
    """The source decided about a movement because of a delivery."""
    tx.add(
        MovementRow(
            project_id=source.project_id,
            source_id=source.id,
            repo_key=source.repo_key,
            ref=ref,
            delivery_id=delivery_id,
            **vars(movement),
        )
    )
    tx.flush()


def of_delivery(tx: Tx, delivery_id: int, source: Source) -> tuple[Movement, bool] | None:
    """The movement that a delivery told this source's project of, and whether the source itself took it from there."""
    query = select(MovementRow).where(
        MovementRow.delivery_id == delivery_id,
        MovementRow.project_id == source.project_id,
        MovementRow.repo_key == source.repo_key,
    )
    rows = tx.exec(query).all()
    if not rows:
        return None
    row = rows[0]
    movement = Movement(row.before, row.after, row.position, row.is_found)
    return movement, any(each.source_id == source.id for each in rows)
