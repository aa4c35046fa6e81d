"""Rows that hold sealed values, as they are stored: found, and changed where nobody else changed them meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import JSON, Select, Text, cast, column, or_, select, table, update

from app.domain.documents import Stored
from app.store.database import Tx
from app.store.schema.columns import BigInt

FORMS = ("v1.", "v2.")


@dataclass(frozen=True)
class SealedRow:
    """What is sealed in a row, by column: a text, or JSON with texts in it.

    `parent` is the row's job, flow or (of a mail) user, and `project_id` 0 where it is of no project.
    """

    table: str
    id: int
    project_id: int
    parent: int
    values: Stored


@dataclass(frozen=True)
class _Shape:
    texts: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()
    parent: str = "id"


_SHAPES = {
    "project": _Shape(texts=("webhook_secret",)),
    "source": _Shape(texts=("webhook_secret",)),
    "credential": _Shape(texts=("secret",)),
    "github_app": _Shape(texts=("webhook_secret",)),
    "secret_group": _Shape(documents=("env",)),
    "job": _Shape(documents=("definition", "shared_env", "effective")),
    "flow": _Shape(documents=("definition",)),
    "flow_node": _Shape(documents=("spec",), parent="flow_run_id"),
    "build": _Shape(documents=("env",)),
    "run": _Shape(documents=("effective",), parent="job_id"),
    "mail": _Shape(texts=("link",), parent="user_id"),
    "job_draft": _Shape(texts=("content",)),
    "notification_target": _Shape(texts=("address",)),
}
TABLES = tuple(_SHAPES)
_WITHOUT_PROJECT_ID = ("project", "flow_node", "mail", "job_draft")


def ids_after(tx: Tx, name: str, after: int, limit: int) -> Sequence[int]:
    """The next rows of a table, by id, that may hold something sealed: the form's beginning is somewhere in them."""
    source, shape = _table(name), _SHAPES[name]
    columns = [source.c[each] for each in (*shape.texts, *shape.documents)]
    may_hold = or_(*(cast(each, Text).like(f"%{form}%") for each in columns for form in FORMS))
    query: Select[Any] = select(source.c.id).where(source.c.id > after, may_hold)
    return list(tx.connection().execute(query.order_by(source.c.id).limit(limit)).scalars())


def locked(tx: Tx, name: str, row_id: int) -> SealedRow | None:
    """A row that nobody else changes until the transaction ends; None if it is gone."""
    source, shape = _table(name), _SHAPES[name]
    query: Select[Any] = select(source).where(source.c.id == row_id).with_for_update()
    found = tx.connection().execute(query).mappings().first()
    if found is None:
        return None
    values = {each: found[each] for each in (*shape.texts, *shape.documents)}
    if name == "flow_node":
        run = table("flow_run", column("id"), column("project_id"), column("flow_id"))
        of_flow = select(run.c.project_id, run.c.flow_id).where(run.c.id == found["flow_run_id"])
        project_id, flow_id = tx.connection().execute(of_flow).one()
        return SealedRow(name, row_id, project_id, flow_id, values)
    project_id = row_id if name == "project" else found.get("project_id", 0)
    return SealedRow(name, row_id, project_id, found[shape.parent], values)


def change(tx: Tx, row: SealedRow, values: Stored) -> None:
    source = _table(row.table)
    tx.connection().execute(update(source).where(source.c.id == row.id).values(**values))


def _table(name: str) -> Any:
    shape = _SHAPES[name]
    plain = {"id", shape.parent} | ({"project_id"} if name not in _WITHOUT_PROJECT_ID else set())
    return table(
        name,
        *(column(each, BigInt) for each in sorted(plain)),
        *(column(each, Text) for each in shape.texts),
        *(column(each, JSON) for each in shape.documents),
    )
