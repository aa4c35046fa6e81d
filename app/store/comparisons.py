"""Looks at the branches that sources track: what was seen last, and which looks are due."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import update
from sqlmodel import col, select

from app.domain.comparing import Seen
from app.domain.events import BRANCH_PREFIX
from app.store.database import Tx, touch
from app.store.schema import ComparisonRow, SourceRow


@dataclass(frozen=True)
class Watched:
    """A source whose CI is on, and what is known of its branch.

    `is_new` says that this branch is tracked only since the last look, or that its pushes built nothing until then.
    """

    source_id: int
    project_id: int
    url: str
    repo_key: str
    branch: str
    credential_id: int | None
    seen: Seen | None
    is_new: bool
    failures: int
    looked_at: datetime | None
    due_at: datetime | None

    @property
    def ref(self) -> str:
        return BRANCH_PREFIX + self.branch

    @property
    def remote(self) -> tuple[int, str, int | None]:
        """Return what one look is for: a project's repository, by one credential."""
        return self.project_id, self.url, self.credential_id


@dataclass(frozen=True)
class Comparison:
    """The comparison of one branch with its remote, as people see it."""

    url: str
    branch: str
    compared_at: datetime | None
    sentence: str


def watched(tx: Tx, source_ids: Sequence[int] | None = None) -> Sequence[Watched]:
    """The sources whose CI is on, or those of them with these ids."""
    query = _watched().where(col(SourceRow.ci_enabled).is_(True)).order_by(col(SourceRow.id))
    if source_ids is not None:
        query = query.where(col(SourceRow.id).in_(source_ids))
    return [_value(*found) for found in tx.exec(query)]


def switched_off(tx: Tx) -> Sequence[int]:
    """The sources whose CI is off by now, and of whose branches something is known."""
    query = select(ComparisonRow.source_id).join(SourceRow, col(SourceRow.id) == col(ComparisonRow.source_id))
    return tx.exec(query.where(col(SourceRow.ci_enabled).is_(False), ComparisonRow.ref != "")).all()


def forget(tx: Tx, source_ids: Sequence[int]) -> None:
    """Their pushes are not caught up with: the next look only takes the branch as it is."""
    known = update(ComparisonRow).where(col(ComparisonRow.source_id).in_(source_ids))
    tx.connection().execute(known.values(ref="", sentence="", failures=0))


def save(tx: Tx, each: Watched, seen: Seen, now: datetime, due_at: datetime) -> None:
    """A look was answered."""
    row = _row(tx, each, now)
    row.url, row.ref = each.url, each.ref
    row.head, row.position, row.found, row.found_at = seen.head, seen.position, seen.found, seen.found_at
    row.looked_at, row.compared_at, row.due_at = now, now, due_at
    row.failures, row.sentence = 0, ""
    tx.flush()
    touch(tx, "comparisons")


def postpone(tx: Tx, each: Watched, now: datetime, due_at: datetime) -> None:
    """A look was answered, but nothing can be said yet: what was known stays so."""
    row = _row(tx, each, now)
    row.looked_at, row.due_at = now, due_at
    tx.flush()


def save_failure(tx: Tx, each: Watched, sentence: str, now: datetime, due_at: datetime) -> None:
    """A look was not answered: what was known stays so."""
    row = _row(tx, each, now)
    row.looked_at, row.due_at = now, due_at
    row.failures, row.sentence = row.failures + 1, sentence
    tx.flush()
    touch(tx, "comparisons")


def of_project(tx: Tx, project_id: int, limit: int) -> Sequence[Comparison]:
    """Return the state of each repository and branch that is compared: failed ones first, then by their age."""
    query = (
        select(SourceRow.url, SourceRow.branch, ComparisonRow.compared_at, ComparisonRow.sentence)
        .join(ComparisonRow, col(ComparisonRow.source_id) == col(SourceRow.id))
        .where(SourceRow.project_id == project_id, col(SourceRow.ci_enabled).is_(True))
        .order_by(col(ComparisonRow.failures).desc(), col(ComparisonRow.compared_at))
    )
    found: dict[tuple[str, str], Comparison] = {}
    for row in tx.exec(query):
        found.setdefault((row[0], row[1]), Comparison(*row))
    return list(found.values())[:limit]


def _row(tx: Tx, each: Watched, now: datetime) -> ComparisonRow:
    row = tx.get(ComparisonRow, each.source_id)
    if row is None:
        row = ComparisonRow(source_id=each.source_id, looked_at=now, due_at=now)
        tx.add(row)
    return row


def _watched() -> Any:
    columns: Any = (
        SourceRow.id,
        SourceRow.project_id,
        SourceRow.url,
        SourceRow.repo_key,
        SourceRow.branch,
        SourceRow.credential_id,
        ComparisonRow,
    )
    return select(*columns).outerjoin(ComparisonRow, col(ComparisonRow.source_id) == col(SourceRow.id))


def _value(
    id_: int,
    project_id: int,
    url: str,
    repo_key: str,
    branch: str,
    credential_id: int | None,
    row: ComparisonRow | None,
) -> Watched:
    is_looked_at = row is not None and row.compared_at is not None
    is_same = row is not None and (row.url, row.ref) == (url, BRANCH_PREFIX + branch)
    seen = Seen(row.head, row.position, row.found, row.found_at) if row is not None and is_same else None
    return Watched(
        source_id=id_,
        project_id=project_id,
        url=url,
        repo_key=repo_key,
        branch=branch,
        credential_id=credential_id,
        seen=seen,
        is_new=is_looked_at and not is_same,
        failures=0 if row is None else row.failures,
        looked_at=None if row is None else row.looked_at,
        due_at=row.due_at if row is not None and (is_same or row.failures > 0) else None,
    )
