"""How far a project is on its way to the first run of a push: each step is done once what it needs has happened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from app.domain.builds import Build
from app.domain.runs import Run
from app.store import builds, comparisons, deliveries, projects, runs
from app.store.database import Tx
from app.store.projects import Project

RECENT, COMPARED = 50, 20


@dataclass(frozen=True)
class FirstSteps:
    """What has happened: `reached` that Git gave a commit or a branch of a repository, and the latest of each other."""

    reached: bool
    ping: datetime | None
    build: Build | None
    run: Run | None


def first_steps(tx: Tx, project: Project) -> FirstSteps | None:
    """None for a project that is past them, or has no repository."""
    if not any(scope.startswith("source:") for scope in projects.scopes_of(tx, project.id)):
        return None
    latest: Sequence[Run] = runs.page(tx, limit=1, project_id=project.id)
    run = next(iter(latest), None)
    if run is not None and run.status.is_final:
        return None
    build = next(iter(builds.page(tx, limit=1, project_id=project.id)), None)
    compared = comparisons.of_project(tx, project.id, COMPARED)
    reached = any(each.compared_at is not None and not each.sentence for each in compared)
    has_commit = build is not None and build.plan is not None
    return FirstSteps(reached or has_commit, ping_of(tx, project), build, run)


def ping_of(tx: Tx, project: Project) -> datetime | None:
    """When a webhook of the project's last called to say that it is there, if that is not long ago."""
    scopes = projects.scopes_of(tx, project.id)
    recent = deliveries.page(tx, RECENT)
    found = (each for each in recent if each.event == "ping" and scopes.intersection(each.scopes))
    return next((each.received_at for each in found), None)
