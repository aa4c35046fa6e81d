"""Builds over all jobs: the pages of them that a filter leaves, and how many there are."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement
from sqlmodel import col

from app.domain.build_parts import BuildTriggerType
from app.domain.builds import Build, BuildStatus
from app.domain.events import BRANCH_PREFIX
from app.store import lists
from app.store.build_values import build_value, builds_query
from app.store.database import Tx
from app.store.lists import Conditions, Count, Place, Sought, Stretch
from app.store.schema import BuildRow, BuildSourceRow
from app.store.unreadable import values_of


@dataclass(frozen=True)
class BuildFilter:
    """Which builds are wanted; None and empty stand for any. `within` are the projects that are looked at.

    `source_id` is the job's source, 0 for a job that has none: nothing is built for it.
    """

    within: Set[int] | None = None
    project_id: int | None = None
    source_id: int | None = None
    status: BuildStatus | None = None
    trigger: BuildTriggerType | None = None
    branch: str = ""
    since: datetime | None = None
    until: datetime | None = None


def page(tx: Tx, wanted: BuildFilter, place: Place, limit: int) -> tuple[list[Build], Stretch]:
    """Builds, newest first; what can't be read is left out."""

    def read(ids: Sequence[int]) -> list[Build]:
        rows = builds_query().where(col(BuildRow.id).in_(ids)).order_by(col(BuildRow.id).desc())
        return values_of(tx, build_value, tx.exec(rows))

    return lists.page(tx, _sought(tx, wanted), place, limit, read)


def count(tx: Tx, wanted: BuildFilter) -> Count:
    return lists.count(tx, _sought(tx, wanted))


def _sought(tx: Tx, wanted: BuildFilter) -> Sought:
    sought = Sought([_key(wanted)], _bases(wanted), _filters(wanted))
    made_at = col(BuildRow.created_at)
    return sought.made_between(tx, col(BuildRow.id), made_at, wanted.since, wanted.until)


def _key(wanted: BuildFilter) -> Any:
    """Return the builds' ids, in the index that leads to the wanted ones."""
    return col(BuildRow.id) if wanted.source_id is None else col(BuildSourceRow.build_id)


def _bases(wanted: BuildFilter) -> list[Conditions]:
    if wanted.source_id is not None:
        return [[col(BuildSourceRow.source_id) == wanted.source_id]]
    if wanted.project_id is not None:
        return [[col(BuildRow.project_id) == wanted.project_id]]
    if wanted.within is not None:
        return [[col(BuildRow.project_id) == each] for each in sorted(wanted.within)]
    return [[]]


def _filters(wanted: BuildFilter) -> list[ColumnElement[bool]]:
    filters: list[ColumnElement[bool]] = []
    if wanted.status is not None:
        # Said so that no database takes it for a reason to read all of a status.
        filters.append(
            col(BuildRow.status).not_in([each for each in BuildStatus if each is not wanted.status])
        )
    if wanted.trigger is not None:
        filters.append(col(BuildRow.trigger)["type"].as_string() == wanted.trigger)
    if wanted.branch:
        filters.append(col(BuildRow.ref) == BRANCH_PREFIX + wanted.branch)
    is_timed = wanted.since is not None or wanted.until is not None
    if (filters or is_timed) and wanted.source_id is not None:
        filters.append(col(BuildRow.id) == col(BuildSourceRow.build_id))
    return filters
