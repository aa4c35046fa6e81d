"""The one way to a project's things: found by the path, and only as far as the caller may see and do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from app.domain.builds import Build
from app.domain.deployments import Deployment
from app.domain.errors import InvalidValue, NotFound
from app.domain.flows import FlowRun
from app.domain.job.records import Job
from app.domain.pipelines import Pipeline
from app.domain.principals import Role
from app.domain.runs import Run
from app.store import apps, builds, deliveries, deployments, flows, jobs, pipelines, projects, runs
from app.store.apps import App
from app.store.database import Tx
from app.store.deliveries import Delivery
from app.store.flows import Flow
from app.store.projects import Project
from app.web.api.operations import ApiContext
from app.web.numbers import whole_number
from app.web.problems import Problem
from app.web.schemas.base import Confirm, Paging


class OfProject(Protocol):
    @property
    def project_id(self) -> int: ...


class Numbered(Protocol):
    @property
    def id(self) -> int: ...


Thing = TypeVar("Thing", bound=OfProject)
Row = TypeVar("Row", bound=Numbered)
AnyContext = ApiContext[Any, Any]


def project_of(ctx: AnyContext, tx: Tx, role: Role = Role.VIEWER) -> Project:
    return project_named(ctx, tx, ctx.path("p"), role)


def project_named(ctx: AnyContext, tx: Tx, name: str, role: Role = Role.VIEWER) -> Project:
    missing = f"There is no project {name}, or not for this token."
    try:
        project = projects.named(tx, name)
    except NotFound:
        raise NotFound(missing) from None
    if not ctx.reaches(project.id):
        raise NotFound(missing)
    ctx.require(role, project.id)
    return project


def job_of(ctx: AnyContext, tx: Tx, role: Role = Role.VIEWER) -> Job:
    project = project_of(ctx, tx)
    name = ctx.path("j")
    return within(ctx, role, f"job {name}", lambda: jobs.named(tx, project.name, name))


def job_once_named(tx: Tx, project: Project, name: str) -> Job:
    """The job of that name or, where there is none any more, the one that had it last: its history stays."""
    job = jobs.last_named(tx, project.id, name)
    if job is None:
        raise NotFound(f"There is no job {name}, or not for this token.")
    return job


def history_wanted(ctx: AnyContext, tx: Tx, project: str | None, job: str | None) -> dict[str, Any]:
    """What lists of runs and decisions are of, by the names in a query, and no more than the caller may see."""
    if project is None:
        if job is not None:
            raise InvalidValue("project", "project is missing: the name of a job needs it.")
        return {"project_id": ctx.principal.project_id}
    found = project_named(ctx, tx, project)
    return {"project_id": found.id, "job_id": None if job is None else job_once_named(tx, found, job).id}


def build_of(ctx: AnyContext, tx: Tx, role: Role = Role.VIEWER) -> Build:
    ref = ctx.path("id")
    return within(ctx, role, f"build {ref}", lambda: builds.with_id(tx, number(ref)))


def app_of(ctx: AnyContext, tx: Tx, role: Role = Role.VIEWER) -> App:
    project = project_of(ctx, tx)
    name = ctx.path("a")
    return within(ctx, role, f"app {name}", lambda: apps.named(tx, project.name, name))


def deployment_of(ctx: AnyContext, tx: Tx, role: Role = Role.VIEWER) -> Deployment:
    ref = ctx.path("id")
    return within(ctx, role, f"deployment {ref}", lambda: deployments.with_id(tx, number(ref)))


def pipeline_of(ctx: AnyContext, tx: Tx, role: Role = Role.VIEWER) -> Pipeline:
    project = project_of(ctx, tx)
    name = ctx.path("pl")
    return within(ctx, role, f"pipeline {name}", lambda: pipelines.named(tx, project.name, name))


def flow_of(ctx: AnyContext, tx: Tx, role: Role = Role.VIEWER) -> Flow:
    project = project_of(ctx, tx)
    name = ctx.path("f")
    return within(ctx, role, f"flow {name}", lambda: flows.named(tx, project.name, name))


def flow_run_of(ctx: AnyContext, tx: Tx, role: Role = Role.VIEWER) -> FlowRun:
    ref = ctx.path("id")
    return within(ctx, role, f"flow run {ref}", lambda: flows.run_with_id(tx, number(ref)))


def run_of(ctx: AnyContext, tx: Tx, role: Role = Role.VIEWER) -> Run:
    return run_called(ctx, tx, ctx.path("id"), role)


def run_called(ctx: AnyContext, tx: Tx, ref: str, role: Role = Role.VIEWER) -> Run:
    """A run by its id or its name."""

    def find() -> Run:
        return runs.with_id(tx, number(ref)) if ref.isdecimal() else runs.named(tx, ref)

    return within(ctx, role, f"run {ref}", find)


def delivery_called(ctx: AnyContext, tx: Tx, guid: str) -> Delivery:
    """A delivery that a secret of the caller's project verified."""
    missing = f"There is no delivery {guid}, or not for this token."
    try:
        delivery = deliveries.find(tx, guid)
    except NotFound:
        raise NotFound(missing) from None
    if ctx.principal.project_id is not None and not scopes_of(ctx, tx).intersection(delivery.scopes):
        raise NotFound(missing)
    return delivery


def scopes_of(ctx: AnyContext, tx: Tx) -> frozenset[str]:
    """The webhook secrets that speak for the one project the caller is limited to."""
    assert ctx.principal.project_id is not None
    return projects.scopes_of(tx, ctx.principal.project_id)


def within(ctx: AnyContext, role: Role, what: str, find: Callable[[], Thing]) -> Thing:
    """What `find` finds; out of reach is the same 404 as what does not exist, so that nothing leaks."""
    missing = f"There is no {what}, or not for this token."
    try:
        thing = find()
    except NotFound:
        raise NotFound(missing) from None
    if not ctx.reaches(thing.project_id):
        raise NotFound(missing)
    ctx.require(role, thing.project_id)
    return thing


def number(text: str) -> int:
    """An id from a path. Raises NotFound for what can't be one."""
    found = whole_number(text)
    if found is None:
        raise NotFound(f"{text} is no id.")
    return found


def confirmed(ctx: ApiContext[Any, Confirm], name: str) -> None:
    """Raises 422 unless the query names what is to be deleted."""
    if ctx.query.confirm != name:
        message = f"confirm must name what is deleted: add ?confirm={name}."
        raise Problem(422, message, [{"field": "confirm", "message": message}])


def paged(
    ctx: ApiContext[Any, Any],
    fetch: Callable[[int, int | None], Sequence[Row]],
    show: Callable[[Sequence[Row]], Sequence[Any]],
) -> dict[str, Any]:
    """A page of what `fetch(limit, before)` gives, newest first; `show` makes answers of the rows."""
    paging: Paging = ctx.query
    rows = fetch(paging.limit + 1, paging.cursor)
    kept = rows[: paging.limit]
    return {"items": list(show(kept)), "next": kept[-1].id if len(rows) > len(kept) else None}
