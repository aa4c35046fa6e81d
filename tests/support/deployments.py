"""An app with hooks of every kind, what its jobs have, and what was decided about its deployments."""

from __future__ import annotations

from typing import Any

from app.domain.job.records import Job
from app.store import jobs
from app.store.apps import App
from tests.support.installation import Installation

CRON: dict[str, Any] = {"kind": "cron", "schedule": {"cron": "0 3 * * *", "time_zone": "UTC"}}


def shop(place: Installation, **changes: Any) -> App:
    """migrate before, seed before, nightly by cron, smoke and report after, notice on failure."""
    return place.app(
        "shop",
        place.job("migrate", deploy_trigger="pre-deploy", **changes),
        place.job("nightly", **CRON, **changes),
        place.job("seed", deploy_trigger="pre-deploy", **changes),
        place.job("smoke", deploy_trigger="post-deploy", **changes),
        place.job("notice", deploy_trigger="failed-deploy", **changes),
    )


def live(place: Installation, app: App) -> dict[str, str | None]:
    """The commit that each job of the app has."""
    with place.db.read() as tx:
        found = [jobs.with_id(tx, member.job_id) for member in app.members]
    return {job.name: job.deployed and job.deployed.sha for job in found}


def all_have(app: App, sha: str | None) -> dict[str, str | None]:
    return {member.job: sha for member in app.members}


def of_deployments(place: Installation) -> list[tuple[str | None, str, str]]:
    """(job, verdict, rule) of the decisions about deployments."""
    return [(job, verdict, rule) for event, job, verdict, rule in place.verdicts() if event == "deployment"]


def job_with_id(place: Installation, job_id: int) -> Job:
    with place.db.read() as tx:
        return jobs.with_id(tx, job_id)
