"""Runs over all jobs: the pages of them that a filter leaves, how many there are, and how they went."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, exists, literal_column, select
from sqlmodel import col

from app.domain.events import BRANCH_PREFIX
from app.domain.runs import Run, RunStatus, TriggerType
from app.store import lists
from app.store.database import Tx
from app.store.lists import Conditions, Count, Place, Sought, Stretch
from app.store.run_values import run_value, runs_query
from app.store.schema import BuildRow, RunRow
from app.store.unreadable import values_of

SUMMED = 500  # of the newest runs, in a summary
# In the words of the index that holds these alone.
NOT_SUCCEEDED = (RunStatus.FAILED, RunStatus.CANCELLED)
LITERALS: dict[RunStatus, Any] = {status: literal_column(f"'{status}'") for status in RunStatus}


@dataclass(frozen=True)
class RunFilter:
    """Which runs are wanted; None and empty stand for any. `within` are the projects that are looked at."""

    within: Set[int] | None = None
    project_id: int | None = None
    job_id: int | None = None
    status: RunStatus | None = None
    trigger: TriggerType | None = None
    branch: str = ""  # that the run's build is of
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class Past:
    """How a run went, in what a summary needs."""

    status: RunStatus
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


def page(tx: Tx, wanted: RunFilter, place: Place, limit: int) -> tuple[list[Run], Stretch]:
    """Runs, newest first; what can't be read is left out."""

    def read(ids: Sequence[int]) -> list[Run]:
        rows = runs_query().where(col(RunRow.id).in_(ids)).order_by(col(RunRow.id).desc())
        return values_of(tx, run_value, tx.exec(rows))

    return lists.page(tx, _sought(tx, wanted), place, limit, read)


def count(tx: Tx, wanted: RunFilter) -> Count:
    return lists.count(tx, _sought(tx, wanted))


def newest(tx: Tx, wanted: RunFilter) -> list[Past]:
    """How the newest of them went, at most `SUMMED`, newest first."""
    found = lists.stretch(tx, _sought(tx, wanted), lists.NEWEST, SUMMED)
    query = select(
        col(RunRow.status), col(RunRow.created_at), col(RunRow.first_started_at), col(RunRow.finished_at)
    )
    rows = tx.connection().execute(query.where(col(RunRow.id).in_(found.ids)).order_by(col(RunRow.id).desc()))
    return [Past(RunStatus(status), made, began, ended) for status, made, began, ended in rows]


def _sought(tx: Tx, wanted: RunFilter) -> Sought:
    sought = Sought([col(RunRow.id)], _bases(wanted), _filters(wanted))
    made_at = col(RunRow.created_at)
    return sought.made_between(tx, col(RunRow.id), made_at, wanted.since, wanted.until)


def _bases(wanted: RunFilter) -> list[Conditions]:
    """What an index leads through, newest first."""
    if wanted.job_id is not None:
        return [[col(RunRow.job_id) == wanted.job_id]]
    if wanted.project_id is not None:
        return [[col(RunRow.project_id) == wanted.project_id]]
    if wanted.within is not None:
        return [[col(RunRow.project_id) == each] for each in sorted(wanted.within)]
    if wanted.status in NOT_SUCCEEDED:
        in_index = col(RunRow.status).in_([LITERALS[each] for each in NOT_SUCCEEDED])
        return [[in_index, col(RunRow.status) == LITERALS[wanted.status]]]
    if wanted.status is not None and not wanted.status.is_final:
        is_open = col(RunRow.status).in_([LITERALS[each] for each in RunStatus if not each.is_final])
        return [[is_open, col(RunRow.status) == LITERALS[wanted.status]]]
    return [[]]


def _filters(wanted: RunFilter) -> list[ColumnElement[bool]]:
    filters: list[ColumnElement[bool]] = []
    if wanted.status is not None:
        # Said so that no database takes it for a reason to read all of a status.
        filters.append(col(RunRow.status).not_in([each for each in RunStatus if each is not wanted.status]))
    if wanted.trigger is not None:
        filters.append(col(RunRow.trigger_type) == wanted.trigger)
    if wanted.branch:
        ref = BRANCH_PREFIX + wanted.branch
        filters.append(exists().where(col(BuildRow.id) == col(RunRow.build_id), col(BuildRow.ref) == ref))
    return filters
