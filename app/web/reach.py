"""The one way to a project's things: found by name or id, and only as far as the caller may see and do.

What is out of reach is the same 404 as what does not exist, so that nothing leaks. What is within reach needs the
right that the request's route declares (`RequestContext.right`), in the project that it is of.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from app.domain.builds import Build
from app.domain.deployments import Deployment
from app.domain.errors import Conflict, InvalidValue, NotFound, Unreadable
from app.domain.flows import FlowRun
from app.domain.job.records import Job
from app.domain.pipelines import Pipeline
from app.domain.runs import Run
from app.runtime.ports import IdentityProvider
from app.store import (
    apps,
    builds,
    deliveries,
    deployments,
    flows,
    github_apps,
    jobs,
    pipelines,
    projects,
    runs,
)
from app.store.apps import App
from app.store.database import Tx
from app.store.deliveries import Delivery
from app.store.flows import Flow
from app.store.github_apps import GithubApp
from app.store.projects import Project
from app.web.auditing import tell_found
from app.web.numbers import whole_number
from app.web.problems import Problem
from app.web.request_context import RequestContext


class OfProject(Protocol):
    @property
    def id(self) -> int: ...

    @property
    def project_id(self) -> int: ...


class Numbered(Protocol):
    @property
    def id(self) -> int: ...


Thing = TypeVar("Thing", bound=OfProject)
Row = TypeVar("Row", bound=Numbered)


def look_up(ctx: RequestContext, what: str, find: Callable[[], Thing]) -> Thing:
    """What `find` finds. Raises NotFound for what is not there or out of reach, 403 for a right that is lacking.

    Whose a row is that can't be read is not known: it is there only for whom all projects are.
    """
    missing = f"There is no {what}, or not for {ctx.whom}."
    try:
        thing = find()
    except NotFound:
        raise NotFound(missing) from None
    except Unreadable:
        if ctx.projects is None:
            raise
        raise NotFound(missing) from None
    if not ctx.reaches(thing.project_id):
        raise NotFound(missing)
    tell_found(thing)
    ctx.require(ctx.right, thing.project_id)
    return thing


def project_named(ctx: RequestContext, tx: Tx, name: str) -> Project:
    missing = f"There is no project {name}, or not for {ctx.whom}."
    try:
        project = projects.named(tx, name)
    except NotFound:
        raise NotFound(missing) from None
    if not ctx.reaches(project.id):
        raise NotFound(missing)
    tell_found(project)
    ctx.require(ctx.right, project.id)
    return project


def job_named(ctx: RequestContext, tx: Tx, project: Project, name: str) -> Job:
    return look_up(ctx, f"job {name}", lambda: jobs.named(tx, project.name, name))


def job_once_named(ctx: RequestContext, tx: Tx, project: Project, name: str) -> Job:
    """The job of that name or, where there is none any more, the one that had it last: its history stays."""
    job = jobs.last_named(tx, project.id, name)
    if job is None:
        raise NotFound(f"There is no job {name}, or not for {ctx.whom}.")
    return job


def named_in(
    ctx: RequestContext, tx: Tx, project: str | None, job: str | None
) -> tuple[Project | None, Job | None]:
    """What a list is of by the names in a query; None for all that is within reach. Also a job that was deleted."""
    if project is None:
        if job is not None:
            raise InvalidValue("project", "project is missing: the name of a job needs it.")
        return None, None
    found = project_named(ctx, tx, project)
    return found, None if job is None else job_once_named(ctx, tx, found, job)


def app_named(ctx: RequestContext, tx: Tx, project: Project, name: str) -> App:
    return look_up(ctx, f"app {name}", lambda: apps.named(tx, project.name, name))


def pipeline_named(ctx: RequestContext, tx: Tx, project: Project, name: str) -> Pipeline:
    return look_up(ctx, f"pipeline {name}", lambda: pipelines.named(tx, project.name, name))


def flow_named(ctx: RequestContext, tx: Tx, project: Project, name: str) -> Flow:
    return look_up(ctx, f"flow {name}", lambda: flows.named(tx, project.name, name))


def github_app_named(ctx: RequestContext, tx: Tx, project: Project, name: str) -> GithubApp:
    """A GitHub App, which is a credential to the audit log."""
    what = f"GitHub App {name}"
    found = look_up(ctx, what, lambda: github_apps.named(tx, project.id, name).credential)
    app = github_apps.find(tx, found.id)
    assert app is not None  # in this transaction it was there
    return app


def build_numbered(ctx: RequestContext, tx: Tx, ref: str) -> Build:
    return look_up(ctx, f"build {ref}", lambda: builds.with_id(tx, number(ref)))


def deployment_numbered(ctx: RequestContext, tx: Tx, ref: str) -> Deployment:
    return look_up(ctx, f"deployment {ref}", lambda: deployments.with_id(tx, number(ref)))


def flow_run_numbered(ctx: RequestContext, tx: Tx, ref: str) -> FlowRun:
    return look_up(ctx, f"flow run {ref}", lambda: flows.run_with_id(tx, number(ref)))


def run_called(ctx: RequestContext, tx: Tx, ref: str) -> Run:
    """A run by its id or its name."""

    def find() -> Run:
        return runs.with_id(tx, number(ref)) if ref.isdecimal() else runs.named(tx, ref)

    return look_up(ctx, f"run {ref}", find)


def delivery_called(ctx: RequestContext, tx: Tx, guid: str, forge: str | None = None) -> Delivery:
    """A delivery that a secret of one of the caller's projects verified."""
    missing = f"There is no delivery {guid}, or not for {ctx.whom}."
    try:
        delivery = deliveries.find(tx, guid, forge)
    except NotFound:
        raise NotFound(missing) from None
    scopes = scopes_within(ctx, tx)
    if scopes is not None and not scopes.intersection(delivery.scopes):
        raise NotFound(missing)
    tell_found(delivery)
    return delivery


def require_all_of(ctx: RequestContext, tx: Tx, delivery: Delivery) -> None:
    """Raises 403 unless the caller has the right in every project that the delivery is for."""
    scopes = scopes_within(ctx, tx)
    if scopes is not None and not scopes.issuperset(delivery.scopes):
        raise Problem(
            403, "This delivery is for other projects too: replaying it needs the right in all of them."
        )


def scopes_within(ctx: RequestContext, tx: Tx) -> frozenset[str] | None:
    """The webhook secrets that speak for the projects where the caller has the right; None stands for all."""
    if ctx.projects is None:
        return None
    return frozenset().union(*(projects.scopes_of(tx, each) for each in ctx.projects))


def newest(ctx: RequestContext, fetch: Callable[[int | None], Sequence[Row]], limit: int) -> Sequence[Row]:
    """The newest `limit` within reach of what `fetch` gives of a project, or (None) of all, newest first."""
    if ctx.projects is None:
        return fetch(None)
    found = [row for project_id in ctx.projects for row in fetch(project_id)]
    return sorted(found, key=lambda row: row.id, reverse=True)[:limit]


def provider_of(ctx: RequestContext) -> IdentityProvider:
    """Raises Conflict where there is none."""
    if ctx.server.provider is None:
        raise Conflict(
            "There is no identity provider: JOBYARD_OIDC_ISSUER and what belongs to it are not set."
        )
    return ctx.server.provider


def number(text: str) -> int:
    """An id from a path. Raises NotFound for what can't be one."""
    found = whole_number(text)
    if found is None:
        raise NotFound(f"{text} is no id.")
    return found
