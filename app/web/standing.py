"""How jobs are doing, in one word that anybody may know where their project is public."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from app.domain.errors import NotFound
from app.domain.job.records import Job
from app.domain.pipelines import Pipeline
from app.domain.runs import RunStatus
from app.store import apps, conditions, jobs, overview, projects, strips
from app.store.database import Tx
from app.store.overview import Bar
from app.store.projects import Project
from app.store.strips import Mark

MOST = 200  # jobs on a public page
CONCLUDED = (RunStatus.SUCCEEDED, RunStatus.FAILED)


class Standing(enum.StrEnum):
    """What a badge says."""

    PASSING = "passing"  # the latest run that ended by itself succeeded
    FAILING = "failing"  # the latest run, or the latest build of the branch, failed
    NO_RUNS = "no runs"  # none has ended by itself yet


@dataclass(frozen=True)
class PublicJob:
    """What a public page shows of a job: `marks` are its latest runs, newest first."""

    title: str
    standing: Standing
    is_running: bool
    latest: Bar | None
    marks: Sequence[Mark]


def public_project(tx: Tx, name: str) -> Project:
    """Raises NotFound, in the same words for a project that isn't public and for one that isn't there."""
    project = projects.find(tx, name)
    if project is None or not project.public:
        raise NotFound(f"There is no public project {name}.")
    return project


def public_jobs(tx: Tx, project_id: int) -> list[PublicJob]:
    """The project's jobs, those that fail first, then by name; not more than `MOST`."""
    found = conditions.standings(tx, project_id=project_id)
    found = sorted(found, key=lambda each: (not each.is_failing, each.name))[:MOST]
    drawn = strips.strips(tx, {each.job_id: each.latest_run_id for each in found})
    titles = jobs.display_names(tx, [each.job_id for each in found])
    return [
        PublicJob(
            titles.get(each.job_id, each.name),
            _of_runs(drawn[each.job_id].marks, is_failing=each.is_failing),
            each.is_running,
            drawn[each.job_id].latest,
            drawn[each.job_id].marks,
        )
        for each in found
    ]


def of_jobs(tx: Tx, found: Sequence[Job]) -> Standing:
    """All of them in one word: one that fails is what counts."""
    if conditions.failing_of(tx, [job.id for job in found]):
        return Standing.FAILING
    has_passed = any(_of_runs(overview.strip(tx, job.id)) is Standing.PASSING for job in found)
    return Standing.PASSING if has_passed else Standing.NO_RUNS


def jobs_of(tx: Tx, pipeline: Pipeline) -> list[Job]:
    """The jobs of a pipeline's stages, those of its apps included."""
    ids: list[int] = []
    for component in (each for stage in pipeline.stages for each in stage.components):
        if component.kind == "app":
            ids += [member.job_id for member in apps.with_id(tx, component.id).members]
        else:
            ids.append(component.id)
    return [job for job in jobs.with_ids(tx, ids).values() if job.deleted_at is None]


def _of_runs(latest: Sequence[Bar | Mark], *, is_failing: bool = False) -> Standing:
    if is_failing:
        return Standing.FAILING
    concluded = next((each.status for each in latest if each.status in CONCLUDED), None)
    if concluded is None:
        return Standing.NO_RUNS
    return Standing.PASSING if concluded is RunStatus.SUCCEEDED else Standing.FAILING
