"""Runs of release flows: start, look, answer, cancel."""

from __future__ import annotations

from typing import Any

from app.commands import flow_runs as commands
from app.commands.flow_runs import answer_approval, start_flow_run
from app.domain.flows import FlowTrigger, FlowTriggerType
from app.domain.principals import Right
from app.store import flows
from app.web.api.idempotency import once
from app.web.api.lists import paged
from app.web.api.operations import ApiContext, Operation
from app.web.schemas.base import Empty, Page, Paging
from app.web.schemas.flow import FlowRunAnswer, FlowStartForm, flow_run_answer
from app.web.scope import flow_of, flow_run_of


def list_flow_runs(ctx: ApiContext[Empty, Paging]) -> Any:
    with ctx.server.db.read() as tx:
        flow = flow_of(ctx, tx)
        return paged(
            ctx,
            lambda limit, before: flows.runs_page(tx, flow.id, limit, before),
            lambda found: [flow_run_answer(run) for run in found],
        )


def create_flow_run(ctx: ApiContext[FlowStartForm, Empty]) -> Any:
    with ctx.server.db.write() as tx:
        flow = flow_of(ctx, tx)

        def make() -> FlowRunAnswer:
            type_ = FlowTriggerType.MANUAL if ctx.principal.is_browser else FlowTriggerType.API
            trigger = FlowTrigger(type_, ctx.who, ctx.body.sha)
            return flow_run_answer(start_flow_run(tx, flow, trigger, ctx.now))

        return once(ctx, tx, make)


def show_flow_run(ctx: ApiContext[Empty, Empty]) -> Any:
    with ctx.server.db.read() as tx:
        return flow_run_answer(flow_run_of(ctx, tx))


def cancel_flow_run(ctx: ApiContext[Empty, Empty]) -> Any:
    with ctx.server.db.write() as tx:
        run = flow_run_of(ctx, tx)
        return flow_run_answer(commands.cancel_flow_run(tx, ctx.server.names, run, ctx.who, ctx.now))


def approve_node(ctx: ApiContext[Empty, Empty]) -> Any:
    return _decide(ctx, approved=True)


def decline_node(ctx: ApiContext[Empty, Empty]) -> Any:
    return _decide(ctx, approved=False)


def _decide(ctx: ApiContext[Empty, Empty], *, approved: bool) -> Any:
    with ctx.server.db.write() as tx:
        run = flow_run_of(ctx, tx)
        node = ctx.path("node")
        answered = answer_approval(tx, run, node, approved=approved, who=ctx.who, now=ctx.now)
        return flow_run_answer(answered)


OF_FLOW = "/projects/{p}/flows/{f}/runs"
PATH = "/flows/runs/{id}"
OPERATIONS = (
    Operation("GET", OF_FLOW, "List a flow's runs", list_flow_runs, query=Paging, answer=Page[FlowRunAnswer]),
    Operation(
        "POST",
        OF_FLOW,
        "Start a flow; it waits or is refused while a run of it is going, as its concurrency says",
        create_flow_run,
        Right.RUN,
        body=FlowStartForm,
        answer=FlowRunAnswer,
        status=202,
        idempotent=True,
    ),
    Operation(
        "GET", PATH, "Show a flow's run with its nodes and their logs", show_flow_run, answer=FlowRunAnswer
    ),
    Operation(
        "POST",
        PATH + "/cancel",
        "Cancel a flow's run, and what its nodes wait for",
        cancel_flow_run,
        Right.RUN,
        answer=FlowRunAnswer,
        status=202,
    ),
    Operation(
        "POST",
        PATH + "/nodes/{node}/approve",
        "Say yes to an approval that waits, so that the flow goes on",
        approve_node,
        Right.RUN,
        answer=FlowRunAnswer,
    ),
    Operation(
        "POST",
        PATH + "/nodes/{node}/decline",
        "Say no to an approval that waits, which fails the flow",
        decline_node,
        Right.RUN,
        answer=FlowRunAnswer,
    ),
)
