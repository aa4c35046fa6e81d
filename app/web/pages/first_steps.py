"""How far a project or a job is on its way to the first run: each step is done once what it needs has happened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from app.domain.builds import Build
from app.domain.job.records import Job
from app.domain.runs import Run, RunStatus
from app.store import builds, comparisons, deliveries, projects, runs
from app.store.database import Tx
from app.store.projects import Project

COMPARED = 20
RECENT = 20  # runs, of which none is over while a project takes its first steps


@dataclass(frozen=True)
class FirstSteps:
    """What has happened: `reached` that Git gave a commit or a branch of a repository, and the latest of each other.

    What has no repository has neither of the first steps, nor a build (`has_source`).
    """

    reached: bool
    ping: datetime | None
    build: Build | None
    run: Run | None
    has_source: bool = True


def first_steps(tx: Tx, project: Project) -> FirstSteps | None:
    """None for a project that is past them, or has no repository."""
    if not any(scope.startswith("source:") for scope in projects.scopes_of(tx, project.id)):
        return None
    recent = runs.page(tx, limit=RECENT, project_id=project.id)
    if any(run.status.is_final for run in recent):
        return None
    run = next(iter(recent), None)
    build = next(iter(builds.page(tx, limit=1, project_id=project.id)), None)
    compared = comparisons.of_project(tx, project.id, COMPARED)
    return FirstSteps(_is_reached(compared, build), ping_of(tx, project.id), build, run)


def first_steps_of_job(tx: Tx, job: Job) -> FirstSteps | None:
    """None for a job that has had a run that succeeded, or is no more."""
    if job.deleted_at or runs.page(tx, limit=1, job_id=job.id, statuses=[RunStatus.SUCCEEDED]):
        return None
    run = next(iter(runs.page(tx, limit=1, job_id=job.id)), None)
    source = job.source
    if source is None:
        return FirstSteps(False, None, None, run, has_source=False)
    build = next(iter(builds.page(tx, limit=1, source_id=source.id)), None)
    compared = [
        each
        for each in comparisons.of_project(tx, job.project_id, COMPARED)
        if (each.url, each.branch) == (source.url, source.branch)
    ]
    return FirstSteps(_is_reached(compared, build), ping_of(tx, job.project_id, source.id), build, run)


def _is_reached(compared: Sequence[comparisons.Comparison], build: Build | None) -> bool:
    is_compared = any(each.compared_at is not None and not each.sentence for each in compared)
    return is_compared or (build is not None and build.plan is not None)


def ping_of(tx: Tx, project_id: int, source_id: int | None = None) -> datetime | None:
    """When a webhook last called to say that it is there: the project's, or one of any source or (given) of that."""
    scopes = projects.scopes_of(tx, project_id)
    if source_id is not None:
        scopes &= {f"project:{project_id}", f"source:{source_id}"}
    return deliveries.last_ping(tx, scopes)
