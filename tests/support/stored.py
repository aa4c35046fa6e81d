"""Jobs, builds and runs put straight into a store."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from app.domain.errors import NotFound
from app.domain.job.records import Job
from app.domain.job.spec import BuildConfig
from app.domain.runs import Trigger, TriggerType
from app.store import builds, jobs, projects, runs
from app.store.database import Database
from tests.support.loops import definition_of

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
EFFECTIVE: dict[str, Any] = {
    "retry_limit": 1,
    "retry_backoff": "fixed",
    "time_limit_seconds": None,
    "grace_period_seconds": 30,
    "instances": 1,
    "env": {},
}
SOURCE = {"url": "https://github.com/acme/report", "repo_key": "github.com/acme/report", "branch": "main"}


def add_job(db: Database, name: str = "report", project: str = "reports", **source: Any) -> Job:
    fields = {**SOURCE, "build": BuildConfig().to_json(), "ci_enabled": True, **source}
    with db.write() as tx:
        try:
            project_id = projects.named(tx, project).id
        except NotFound:
            project_id = projects.create(tx, project, None, NOW).id
        return jobs.create(tx, project_id, definition_of(name), fields, NOW)


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
        "trigger": {"type": "push"},
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
            effective={**EFFECTIVE, **fields},
            now=NOW,
            image="sha256:abc",
        )
