"""The strips of many jobs: of each the latest runs, as a picture shows them, in one statement."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from itertools import groupby
from typing import Any, NamedTuple

from sqlalchemy import bindparam, select, union_all

from app.domain.runs import RunStatus
from app.store.database import STRIPS, Tx
from app.store.overview import STRIP, Bar, bar_columns, bar_of
from app.store.schema import metadata

AT_ONCE = 25  # jobs in one statement: it is always the same one, so databases plan it once
REMEMBERED = 1000  # strips, of a kilobyte or two


class Mark(NamedTuple):
    """A run in a strip: when it began (or was made, if it didn't), and how long it took, or `since` when it goes on."""

    id: int
    status: RunStatus
    at: datetime
    seconds: float
    since: datetime | None = None

    def lasted(self, now: datetime) -> float:
        return self.seconds if self.since is None else max((now - self.since).total_seconds(), 0.0)


@dataclass(frozen=True)
class Strip:
    """A job's latest runs, newest first, of which `latest` is known in full."""

    marks: tuple[Mark, ...]
    latest: Bar | None = None

    @property
    def typical(self) -> timedelta | None:
        """The median of those that succeeded; None if none did."""
        lasted = sorted(mark.seconds for mark in self.marks if mark.status is RunStatus.SUCCEEDED)
        return timedelta(seconds=lasted[len(lasted) // 2]) if lasted else None


NONE = Strip(())


def strips(tx: Tx, latest: Mapping[int, int | None]) -> dict[int, Strip]:
    """The strip of each job, by its id; `latest` has the id of its newest run, if there is one.

    A run that is over changes no more. So a strip of such runs is remembered for as long as its newest run is that,
    also where the oldest ones in it are removed meanwhile.
    """
    remembered: OrderedDict[int, Strip] = tx.info[STRIPS]
    found: dict[int, Strip] = {}
    for job_id, run_id in latest.items():
        known = NONE if run_id is None else remembered.get(job_id)
        if known is not None and (run_id is None or (known.latest and known.latest.id == run_id)):
            found[job_id] = known
    for job_id, bars in _bars(tx, [job_id for job_id in latest if job_id not in found]):
        strip = found[job_id] = Strip(tuple(mark_of(bar) for bar in bars), bars[0])
        if all(bar.finished_at is not None for bar in bars):
            remembered.pop(job_id, None)
            remembered[job_id] = strip  # at the end: the oldest go first
    while len(remembered) > REMEMBERED:
        remembered.popitem(last=False)
    return {job_id: found.get(job_id, NONE) for job_id in latest}


def mark_of(bar: Bar) -> Mark:
    is_over = bar.finished_at is not None or bar.started_at is None
    seconds = bar.lasted(bar.finished_at or bar.created_at).total_seconds() if is_over else 0.0
    return Mark(
        bar.id, bar.status, bar.started_at or bar.created_at, seconds, None if is_over else bar.started_at
    )


def _bars(tx: Tx, job_ids: Sequence[int]) -> Iterator[tuple[int, list[Bar]]]:
    for first in range(0, len(job_ids), AT_ONCE):
        some = [*job_ids[first : first + AT_ONCE], *[0] * AT_ONCE][:AT_ONCE]
        parameters = {f"job_{number}": job_id for number, job_id in enumerate(some)}
        rows = tx.connection().execute(_strips_query(), parameters)
        for job_id, of_job in groupby(rows, lambda row: row[0]):
            yield job_id, [bar_of(row[1:]) for row in of_job]


@cache
def _strips_query() -> Any:
    run = metadata.tables["run"].c
    of_each = [
        select(
            select(run.job_id, *bar_columns())
            .where(run.job_id == bindparam(f"job_{number}"))
            .order_by(run.id.desc())
            .limit(STRIP)
            .subquery()
        )
        for number in range(AT_ONCE)
    ]
    return union_all(*of_each)
