"""Jobs, builds and runs put straight into a store."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from app.domain.build_parts import BuildTrigger, BuildTriggerType
from app.domain.errors import NotFound
from app.domain.job.records import Job, SourceSettings
from app.domain.job.spec import RunSpec
from app.domain.retry import Backoff
from app.domain.runs import Trigger, TriggerType
from app.store import builds, jobs, projects, runs
from app.store.database import Database
from tests.support.samples import spec_of

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
SPEC = RunSpec(retry_limit=1, retry_backoff=Backoff.FIXED)
SOURCE = SourceSettings("https://github.com/acme/report", "github.com/acme/report", "main")


def add_job(db: Database, name: str = "report", project: str = "reports", **source: Any) -> Job:
    with db.write() as tx:
        try:
            project_id = projects.named(tx, project).id
        except NotFound:
            project_id = projects.create(tx, project, None, NOW).id
        return jobs.create(tx, project_id, spec_of(name), replace(SOURCE, **source), NOW)


def add_build(db: Database, job: Job, **fields: Any) -> int:
    assert job.source is not None
    given = {
        "project_id": job.project_id,
        "source_id": job.source.id,
        "key": "key",
        "url": job.source.url,
        "ref": "refs/heads/main",
        "sha": "a" * 40,
        "config": job.source.build,
        "trigger": BuildTrigger(BuildTriggerType.PUSH),
        "now": NOW,
        **fields,
    }
    with db.write() as tx:
        return builds.enqueue(tx, **given)


def add_run(db: Database, job: Job, name: str = "report-1", **fields: Any) -> int:
    with db.write() as tx:
        return runs.enqueue(
            tx,
            name=name,
            project_id=job.project_id,
            job_id=job.id,
            trigger=Trigger(TriggerType.MANUAL, cause="Started manually."),
            spec=replace(SPEC, **fields),
            now=NOW,
            image="sha256:abc",
        )
