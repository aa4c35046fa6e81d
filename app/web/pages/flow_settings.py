"""`/projects/{p}/new/flow` and a flow's settings: its nodes in order, each with the fields of its type, and a graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pydantic import ValidationError
from starlette.responses import Response
from starlette.routing import Route

from app.commands.flows import check_flow, save_flow
from app.domain.documents import Json
from app.domain.errors import UserError
from app.domain.flow_codec import shown_steps
from app.domain.flow_nodes import NodeType
from app.domain.principals import Right
from app.store import apps, flows, jobs, pipelines
from app.store.database import Tx
from app.store.flows import Flow
from app.store.projects import Project
from app.web.pages import projects
from app.web.pages.context import PageContext, get, post, see
from app.web.pages.flow_env import ELSEWHERE, PLAIN, SECRETS
from app.web.pages.flow_form import OF_RUN, TypedFlow, nodes_by_name, stored_flow, typed_flow
from app.web.pages.flow_graph import graph_of
from app.web.pages.form_errors import placed, refused, require_named
from app.web.pages.form_versions import require_unchanged, version_of
from app.web.problems import Problem
from app.web.reading import read_value
from app.web.schemas.flow import FlowForm
from app.web.scope import flow_of, project_of

LISTED = 1000  # jobs, apps and pipelines to choose among
BLANK = TypedFlow("", "queue", "", ())


def address(flow: Flow) -> str:
    return f"/projects/{flow.project}/flows/{flow.name}"


def show_new(ctx: PageContext) -> Response:
    return _page(ctx, None, BLANK)


def make_flow(ctx: PageContext) -> Response:
    return _take(ctx, None)


def show_settings(ctx: PageContext) -> Response:
    with ctx.server.db.read() as tx:
        flow = flow_of(ctx, tx)
    return _page(ctx, flow, stored_flow(_shown(flow)))


def save_settings(ctx: PageContext) -> Response:
    with ctx.server.db.read() as tx:
        flow = flow_of(ctx, tx)
    return _take(ctx, flow)


def _take(ctx: PageContext, flow: Flow | None) -> Response:
    """Show the form as a button asks for, check it, or save it."""
    typed = typed_flow(ctx)
    if flow is not None:
        typed = replace(typed, name=flow.name)
    pressed = ctx.field("do")
    if pressed and pressed != "check":
        return _page(ctx, flow, typed)
    try:
        if pressed == "check":
            _check(ctx, flow, typed)
            return _page(ctx, flow, typed, is_checked=True)
        saved = _save(ctx, flow, typed)
    except (UserError, Problem, ValidationError) as error:
        return _page(ctx, flow, typed, problem=refused(error))
    return see(f"{address(saved)}/settings?saved=1" if flow else address(saved))


def _check(ctx: PageContext, flow: Flow | None, typed: TypedFlow) -> None:
    """Raises as saving would, but for what only storing it finds out."""
    body = typed.body(nodes_by_name(_shown(flow)) if flow else {})
    form = read_value(FlowForm, body, ctx.server)
    with ctx.server.db.read() as tx:
        check_flow(tx, project_of(ctx, tx), form.draft())


def _save(ctx: PageContext, flow: Flow | None, typed: TypedFlow) -> Flow:
    server = ctx.server
    with server.db.write() as tx:
        project = project_of(ctx, tx)
        known = None if flow is None else flow_of(ctx, tx)
        if known is not None:
            require_unchanged(ctx, _shown(known), f"flow {known.name}")
        form = read_value(FlowForm, typed.body(nodes_by_name(_shown(known)) if known else {}), server)
        return save_flow(tx, project, form.draft(), known, vault=server.vault, ours=server.ours, now=ctx.now)


def delete_flow(ctx: PageContext) -> Response:
    with ctx.server.db.read() as tx:
        flow = flow_of(ctx, tx)
    try:
        require_named(ctx, flow.name, "flow")
        with ctx.server.db.write() as tx:
            flows.delete(tx, flow_of(ctx, tx).id)
    except UserError as error:
        return _page(ctx, flow, stored_flow(_shown(flow)), undeleted=refused(error))
    return see("/flows")


def _shown(flow: Flow) -> Json:
    """What is stored as it could be given again; secrets are there without their values."""
    return {
        "name": flow.name,
        "nodes": shown_steps(flow.steps),
        "concurrency": str(flow.concurrency),
        "on_push": flow.push_job,
    }


def _choices(tx: Tx, project: Project) -> Mapping[str, list[str]]:
    """The names of what nodes can be about."""
    found = pipelines.page(tx, project_id=project.id, limit=LISTED)
    known = jobs.page(tx, project_id=project.id, limit=LISTED)
    return {
        "job": sorted(job.name for job in known),
        "built": sorted(job.name for job in known if job.source is not None),
        "app": sorted(app.name for app in apps.page(tx, project_id=project.id, limit=LISTED)),
        "pipeline": sorted(each.name for each in found),
        "component": sorted(one.name for each in found for stage in each.stages for one in stage.components),
    }


def _page(
    ctx: PageContext,
    flow: Flow | None,
    typed: TypedFlow,
    *,
    problem: Problem | None = None,
    undeleted: Problem | None = None,
    is_checked: bool = False,
) -> Response:
    with ctx.server.db.read() as tx:
        project = project_of(ctx, tx)
        choices = _choices(tx, project)
        seen = "" if flow is None else version_of(_shown(flow_of(ctx, tx)))
    given = typed.given()
    fields = {*given, "add", *(f"{name}.{node.key}" for node in typed.nodes for name in NODE_FIELDS)}
    errors, left = placed(problem, frozenset(fields), typed.field_of)
    said = problem or undeleted
    return ctx.page(
        "flow_settings.html",
        200 if said is None else said.status,
        project=project,
        flow=flow,
        address=address(flow) if flow else "/flows",
        action=f"{address(flow)}/settings" if flow else f"{projects.address(project)}/new/flow",
        given={**given, "add": ""},
        nodes=typed.nodes,
        types=list(NodeType),
        different=(*OF_RUN, PLAIN, SECRETS, ELSEWHERE),
        choices=choices,
        graph=graph_of([[(node.name, node.type, node.key) for node in group] for group in typed.groups]),
        seen=seen,
        errors=errors,
        left=left,
        retype=typed.to_retype(),
        saved=bool(ctx.query("saved")),
        is_checked=is_checked,
        undeleted="" if undeleted is None else undeleted.detail,
    )


NODE_FIELDS = (
    "node", "type", "job", "ref", "sha", "retries", "pipeline", "from", "to", "to_stage", "app", "build", "message",
    "url", "env", "secrets", "command", "plan", "time_limit_seconds", "wait",
)  # fmt: skip


def routes() -> list[Route]:
    new, path = "/projects/{project}/new/flow", "/projects/{project}/flows/{flow}/settings"
    return [
        get(new, show_new, Right.CHANGE),
        post(new, make_flow, Right.CHANGE),
        get(path, show_settings, Right.CHANGE),
        post(path, save_settings, Right.CHANGE),
        post(f"{path}/delete", delete_flow, Right.CHANGE),
    ]
