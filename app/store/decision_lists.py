"""Decisions over all jobs: the pages of them that a filter leaves, and how many there are."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement
from sqlmodel import col

from app.domain.decisions import Decision, EventType, Verdict
from app.store import decisions, lists
from app.store.database import Tx
from app.store.lists import Conditions, Count, Place, Sought, Stretch
from app.store.schema import DecisionRow
from app.store.unreadable import values_of


@dataclass(frozen=True)
class DecisionFilter:
    """Which decisions are wanted; None stands for any. `within` are the projects that are looked at."""

    within: Set[int] | None = None
    project_id: int | None = None
    job_id: int | None = None
    verdict: Verdict | None = None
    event: EventType | None = None
    since: datetime | None = None
    until: datetime | None = None


def page(tx: Tx, wanted: DecisionFilter, place: Place, limit: int) -> tuple[list[Decision], Stretch]:
    """Decisions, newest first; what can't be read is left out."""

    def read(ids: Sequence[int]) -> list[Decision]:
        query = decisions.decisions_query().where(col(DecisionRow.id).in_(ids))
        values = {each.id: each for each in values_of(tx, decisions.decision_value, tx.exec(query))}
        return [values[each] for each in ids if each in values]

    return lists.page(tx, _sought(wanted), place, limit, read)


def count(tx: Tx, wanted: DecisionFilter) -> Count:
    return lists.count(tx, _sought(wanted))


def _sought(wanted: DecisionFilter) -> Sought:
    """What is sought along one of the indexes that end with the time."""
    times: list[ColumnElement[bool]] = []
    if wanted.since is not None:
        times.append(col(DecisionRow.at) >= wanted.since)
    if wanted.until is not None:
        times.append(col(DecisionRow.at) <= wanted.until)
    filters: list[ColumnElement[bool]] = []
    if wanted.verdict is not None:
        # Said so that no database takes it for a reason to read all of a verdict.
        filters.append(
            col(DecisionRow.verdict).not_in([each for each in Verdict if each is not wanted.verdict])
        )
    if wanted.event is not None:
        filters.append(
            col(DecisionRow.event_type).not_in([each for each in EventType if each is not wanted.event])
        )
    bases = [[*base, *times] for base in _bases(wanted)]
    return Sought([col(DecisionRow.at), col(DecisionRow.id)], bases, filters)


def _bases(wanted: DecisionFilter) -> list[Conditions]:
    if wanted.job_id is not None:
        return [[col(DecisionRow.job_id) == wanted.job_id]]
    if wanted.project_id is not None:
        return [[col(DecisionRow.project_id) == wanted.project_id]]
    if wanted.within is not None:
        return [[col(DecisionRow.project_id) == each] for each in sorted(wanted.within)]
    return [[]]
