"""The containers of an attempt as a table: how each is, what it uses, and whether a shell can be opened in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from app.domain.job.checks import Check
from app.domain.runs import Attempt, Container, Reason, RunStatus
from app.runtime.telemetry import Vitals
from app.web.pages import vitals as of_vitals
from app.web.pages.vitals import Result

_CANCELLED = (Reason.CANCELLED, Reason.REPLACED)


@dataclass(frozen=True)
class Row:
    """One container. `instance` counts from 0, as JOBYARD_INSTANCE_INDEX does; `name` is the engine's,
    and `node` the machine it is on where the engine has several.
    """

    instance: int
    status: RunStatus
    exit_code: int | None
    sentence: str
    name: str
    node: str
    started_at: datetime | None
    finished_at: datetime | None
    uses: str
    results: Sequence[Result]

    @property
    def is_running(self) -> bool:
        return self.status is RunStatus.RUNNING


def rows(
    attempt: Attempt, containers: Sequence[Container], checks: Sequence[Check], vitals: Vitals
) -> list[Row]:
    found = []
    for each in containers:
        status = status_of(attempt, each)
        uses = of_vitals.now_used(vitals, each.instance) if status is RunStatus.RUNNING else ""
        found.append(
            Row(
                instance=each.instance,
                status=status,
                exit_code=each.exit_code,
                sentence=each.sentence,
                name=(each.handle or {}).get("name", ""),
                node=(each.handle or {}).get("node", ""),
                started_at=each.started_at,
                finished_at=each.finished_at,
                uses=uses,
                results=of_vitals.results(checks, vitals, each.instance),
            )
        )
    return found


def status_of(attempt: Attempt, container: Container) -> RunStatus:
    """In a run's words; one whose own end is not known has that of its attempt."""
    if container.finished_at is None:
        if attempt.finished_at is not None:
            return attempt.status
        return RunStatus.QUEUED if container.started_at is None else RunStatus.RUNNING
    if container.reason is None:
        return RunStatus.SUCCEEDED
    return RunStatus.CANCELLED if container.reason in _CANCELLED else RunStatus.FAILED
