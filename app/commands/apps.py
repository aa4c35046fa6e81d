"""Apps as people define and change them: which jobs deploy together, and the hold of a rollback."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from app.commands.branch_tracking import follow_branch
from app.domain.documents import Json
from app.domain.errors import Conflict, InvalidValue, NotFound
from app.domain.job.records import Job
from app.runtime.ports import Names
from app.store import apps, deployments, jobs, pipelines
from app.store.apps import App
from app.store.audit_recorder import told
from app.store.database import Tx
from app.store.projects import Project


def define_app(
    tx: Tx, project: Project, name: str, job_names: Sequence[str], hooks: Sequence[str], now: datetime
) -> App:
    """Make an app of these jobs, in this order; `hooks` are post-deploy if they have no deploy trigger.

    Raises InvalidValue, or Conflict for a name or a job that is taken.
    """
    app_id = apps.create(tx, project.id, name, now)
    _set_members(tx, app_id, project.name, job_names, hooks)
    made = apps.with_id(tx, app_id)
    told({}, _members(made))
    return made


def change_app(tx: Tx, app: App, job_names: Sequence[str] | None, hooks: Sequence[str] | None) -> App:
    """Take other jobs or hooks for the app; None leaves them. Raises InvalidValue or Conflict."""
    names = job_names or [member.job for member in app.members]
    kept = [member.job for member in app.members if member.hook == "post-deploy" and member.job in names]
    _set_members(tx, app.id, app.project, names, kept if hooks is None else hooks)
    changed = apps.with_id(tx, app.id)
    told(_members(app), _members(changed))
    return changed


def _members(app: App) -> Json:
    """The jobs of an app and which of them are hooks, as the audit log tells it."""
    return {
        "jobs": [member.job for member in app.members],
        "hooks": [member.job for member in app.members if member.hook] or None,
    }


def remove_app(tx: Tx, app: App) -> None:
    """Delete an app. Raises Conflict while it is being deployed, or a pipeline has it."""
    going = deployments.unfinished_of(tx, app.id)
    if going:
        raise Conflict(f"Deployment {going[0]} of app {app.name} is not over: cancel it or wait.")
    stage = pipelines.of_component(tx, "app", app.id)
    if stage is not None:
        raise Conflict(f"App {app.name} is in stage {stage[1]} of pipeline {stage[0]}: take it out first.")
    apps.delete(tx, app.id)
    told(_members(app), {})


def release_hold(tx: Tx, names: Names, app: App, *, who: str, now: datetime) -> App:
    """Let builds deploy the app again after a rollback, beginning with the latest ones.

    Raises Conflict if it is not held.
    """
    if app.held_by is None:
        raise Conflict(f"App {app.name} is not held: pushes deploy it as its jobs say.")
    apps.hold(tx, app.id, None)
    for member in app.members:
        why = f"Hold of app {app.name} released by {who}"
        follow_branch(tx, names, jobs.with_id(tx, member.job_id), why=why, who=who, now=now)
    return apps.with_id(tx, app.id)


def _set_members(tx: Tx, app_id: int, project: str, names: Sequence[str], hooks: Sequence[str]) -> None:
    for field, listed in (("jobs", names), ("hooks", hooks)):
        twice = next((name for name in listed if listed.count(name) > 1), None)
        if twice is not None:
            raise InvalidValue(field, f"{field} names {twice} twice.")
    stranger = next((name for name in hooks if name not in names), None)
    if stranger is not None:
        raise InvalidValue("hooks", f"hooks must be among the app's jobs, which {stranger} is not.")
    found = [_job(tx, project, name) for name in names]
    apps.set_members(tx, app_id, {job.id: "post-deploy" if job.name in hooks else None for job in found})


def _job(tx: Tx, project: str, name: str) -> Job:
    try:
        job = jobs.named(tx, project, name)
    except NotFound:
        message = f"jobs must name jobs of project {project}, which {name} is not."
        raise InvalidValue("jobs", message) from None
    stage = pipelines.of_component(tx, "job", job.id)
    if stage is not None:
        message = (
            f"Job {name} is in stage {stage[1]} of pipeline {stage[0]} by itself: take it out there first."
        )
        raise Conflict(message)
    return job
