"""`/flows`: release flows, what each does in which order, and how its runs go node by node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from starlette.responses import Response
from starlette.routing import Route

from app.commands.flow_runs import answer_approval, cancel_flow_run, start_flow_run
from app.commands.flow_warnings import warnings_of
from app.commands.flows import issue_webhook
from app.domain.flow_nodes import NodeSpec, NodeType, RunNode, groups_of
from app.domain.flows import (
    FlowConcurrency,
    FlowRun,
    FlowStatus,
    FlowTrigger,
    FlowTriggerType,
    Node,
    NodeStatus,
)
from app.domain.job.codec import overrides_to_json
from app.domain.principals import Right
from app.store import flows
from app.store.database import Tx
from app.store.flows import Flow
from app.web.pages.context import PageContext, get, post, see
from app.web.pages.makers import projects_to_change
from app.web.reach import newest
from app.web.reading import read_value
from app.web.schemas.flow import FlowStartForm
from app.web.scope import flow_of, flow_run_of, project_of

FLOWS = 20
RUNS = 20
STARTED = {
    FlowTriggerType.MANUAL: "Started manually",
    FlowTriggerType.API: "Started through the API",
    FlowTriggerType.PUSH: "Started by a push",
    FlowTriggerType.WEBHOOK: "Started through its webhook address",
}
MEANWHILE = {
    FlowConcurrency.ALLOW: "another run goes beside it",
    FlowConcurrency.QUEUE: "another run waits for its end",
    FlowConcurrency.FORBID: "another run is refused",
}


@dataclass(frozen=True)
class Row:
    """A flow in the list; `latest` is its newest run."""

    flow: Flow
    latest: FlowRun | None


@dataclass(frozen=True)
class Said:
    """A line of a node's log."""

    at: datetime
    text: str


@dataclass(frozen=True)
class ShownNode:
    """One step as it is drawn; `node` is None in a flow's definition, where nothing has happened yet."""

    spec: NodeSpec
    node: Node | None = None

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def type(self) -> NodeType:
        return self.spec.type

    @property
    def asks(self) -> bool:
        return (
            self.type is NodeType.APPROVAL
            and self.node is not None
            and self.node.status is NodeStatus.RUNNING
        )

    @property
    def changes(self) -> Sequence[str]:
        """What its run has otherwise than the job."""
        overrides = self.spec.overrides if isinstance(self.spec, RunNode) else None
        given = {} if overrides is None else overrides_to_json(overrides)
        return [*given.get("env", {}), *(name for name in given if name != "env")]

    @property
    def said(self) -> Sequence[Said]:
        lines = (line.partition(" ") for line in (self.node.log if self.node else ()))
        return [Said(datetime.fromisoformat(at), text) for at, _, text in lines]


def show_flows(ctx: PageContext) -> Response:
    with ctx.server.db.read() as tx:
        project = ctx.request.path_params.get("project")
        before, limit = ctx.number("before"), FLOWS + 1
        if project is None:
            found = newest(
                ctx, lambda only: flows.page(tx, project_id=only, limit=limit, before=before), limit
            )
        else:
            found = flows.page(tx, project_id=project_of(ctx, tx).id, limit=limit, before=before)
        rows = [_row(tx, each) for each in found[:FLOWS]]
        makers = projects_to_change(ctx, tx) if project is None else _maker(ctx, tx)
    return ctx.page(
        "flows.html",
        project=project,
        rows=rows,
        makers=makers,
        started_by=started_by,
        groups_of=groups_of,
        more=found[FLOWS - 1].id if len(found) > FLOWS else None,
    )


def _maker(ctx: PageContext, tx: Tx) -> Sequence[str]:
    """The project of the page, if the reader may make something in it."""
    project = project_of(ctx, tx)
    return [project.name] if ctx.may(Right.CHANGE, project.id) else []


def _row(tx: Tx, flow: Flow) -> Row:
    latest = flows.runs_page(tx, flow.id, 1)
    return Row(flow, latest[0] if latest else None)


def started_by(flow: Flow) -> str:
    """What starts it, besides a person and the API."""
    push = f"each push that is built for {flow.push_job}" if flow.push_job else None
    webhook = "its webhook address" if flow.has_webhook else None
    return " and ".join(each for each in (push, webhook) if each)


def show_flow(ctx: PageContext) -> Response:
    return _flow_page(ctx)


def _flow_page(ctx: PageContext, made: str | None = None) -> Response:
    with ctx.server.db.read() as tx:
        flow = flow_of(ctx, tx)
        runs = flows.runs_page(tx, flow.id, RUNS + 1, ctx.number("before"))
        warnings = warnings_of(tx, flow, ctx.server.vault)
    groups = [[ShownNode(spec) for spec in group] for group in groups_of(flow.steps)]
    return ctx.page(
        "flow.html",
        flow=flow,
        made=made,
        groups=groups,
        builds=any(node.type is NodeType.BUILD for group in groups for node in group),
        warnings=warnings,
        runs=runs[:RUNS],
        more=runs[RUNS - 1].id if len(runs) > RUNS else None,
        started_by=started_by(flow),
        meanwhile=MEANWHILE[flow.concurrency],
        why=why,
    )


def show_flow_run(ctx: PageContext) -> Response:
    with ctx.server.db.read() as tx:
        run = flow_run_of(ctx, tx)
        live = flows.live_runs(tx, run.flow_id) if run.status is FlowStatus.QUEUED else []
    return ctx.page(
        "flow_run.html",
        run=run,
        groups=_groups(run),
        status_of=status_of,
        waits_for=next((each for each in live if each != run.id), None),
        why=why,
    )


def _groups(run: FlowRun) -> list[list[ShownNode]]:
    groups: dict[int, list[ShownNode]] = {}
    for node in run.nodes:
        groups.setdefault(node.group, []).append(ShownNode(node.spec, node))
    return list(groups.values())


def status_of(group: Sequence[ShownNode]) -> str:
    """What a group looks like as a whole: what is wrong or going on in it comes before what is done."""
    if any(each.asks for each in group):
        return "queued"
    statuses = {each.node.status for each in group if each.node is not None}
    order = (NodeStatus.RUNNING, NodeStatus.FAILED, NodeStatus.WAITING, NodeStatus.SKIPPED)
    return next((each for each in order if each in statuses), NodeStatus.SUCCEEDED)


def why(run: FlowRun) -> str:
    by = f" by {run.trigger.by}" if run.trigger.by else ""
    return f"{STARTED[run.trigger.type]}{by}"


def start(ctx: PageContext) -> Response:
    form = read_value(FlowStartForm, {"sha": ctx.field("sha").strip() or None}, ctx.server)
    with ctx.server.db.write() as tx:
        trigger = FlowTrigger(FlowTriggerType.MANUAL, ctx.who, form.sha)
        run = start_flow_run(tx, flow_of(ctx, tx), trigger, ctx.now)
    return _see(run.id)


def make_webhook(ctx: PageContext) -> Response:
    """The one answer that shows the address; it is not a redirect, as the token must be in no other address."""
    with ctx.server.db.write() as tx:
        token = issue_webhook(tx, flow_of(ctx, tx))
    return _flow_page(ctx, made=f"{ctx.address}/webhooks/flows/{token}")


def void_webhook(ctx: PageContext) -> Response:
    with ctx.server.db.write() as tx:
        flow = flow_of(ctx, tx)
        flows.set_webhook(tx, flow.id, None)
    return see(f"/projects/{flow.project}/flows/{flow.name}")


def cancel(ctx: PageContext) -> Response:
    with ctx.server.db.write() as tx:
        run = flow_run_of(ctx, tx)
        cancel_flow_run(tx, ctx.server.names, run, ctx.who, ctx.now)
    return _see(run.id)


def approve(ctx: PageContext) -> Response:
    return _answer(ctx, approved=True)


def decline(ctx: PageContext) -> Response:
    return _answer(ctx, approved=False)


def _answer(ctx: PageContext, *, approved: bool) -> Response:
    with ctx.server.db.write() as tx:
        run = flow_run_of(ctx, tx)
        answer_approval(tx, run, ctx.path("node"), approved=approved, who=ctx.who, now=ctx.now)
    return _see(run.id)


def _see(run_id: int) -> Response:
    return see(f"/flows/runs/{run_id}")


def routes() -> list[Route]:
    of_project = "/projects/{project}/flows"
    return [
        get("/flows", show_flows),
        get(of_project, show_flows),
        get(f"{of_project}/{{flow}}", show_flow),
        post(f"{of_project}/{{flow}}/start", start, Right.RUN),
        post(f"{of_project}/{{flow}}/webhook", make_webhook, Right.CHANGE),
        post(f"{of_project}/{{flow}}/webhook/void", void_webhook, Right.CHANGE),
        get("/flows/runs/{run}", show_flow_run),
        post("/flows/runs/{run}/cancel", cancel, Right.RUN),
        post("/flows/runs/{run}/nodes/{node}/approve", approve, Right.RUN),
        post("/flows/runs/{run}/nodes/{node}/decline", decline, Right.RUN),
    ]
