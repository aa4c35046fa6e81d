"""A pipeline of two stages."""

from __future__ import annotations

from typing import Any

from app.domain.job.records import Job
from app.domain.pipelines import Component, Stage
from app.store import jobs, pipelines
from tests.support.seed import World

SHA = "a8810fe" + "0" * 33


def job_of(made: World, job: Job) -> Job:
    with made.db.read() as tx:
        return jobs.with_id(tx, job.id)


def two_stages(made: World, **live: Any) -> tuple[Job, Job]:
    """`report` of staging has a build, `report-live` of production has nothing."""
    now = made.clock.now()
    report = made.job("report")
    target = made.job("report-live", repository=None, **live)
    made.build(report, now, sha=SHA)
    with made.db.write() as tx:
        pipeline_id = pipelines.create(tx, report.project_id, "main", now)
        stages = [
            Stage("staging", (Component("job", report.id, report.name),)),
            Stage("production", (Component("job", target.id, target.name),)),
        ]
        pipelines.set_stages(tx, pipeline_id, stages)
    return report, target
