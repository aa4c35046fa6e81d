"""Release flows: define, change, and the address that starts one."""

from __future__ import annotations

from typing import Any

from app.commands.flow_warnings import warnings_of
from app.commands.flows import issue_webhook, save_flow
from app.domain.principals import Right
from app.store import flows
from app.store.database import Tx
from app.store.flows import Flow
from app.store.projects import Project
from app.web.api.lists import confirmed, paged
from app.web.api.operations import ApiContext, Operation
from app.web.patching import patched_flow, shown_flow
from app.web.schemas.base import Confirm, Empty, Page, Paging
from app.web.schemas.flow import FlowAnswer, FlowForm, FlowPatch, FlowWebhookAnswer
from app.web.scope import flow_of, project_of


def list_flows(ctx: ApiContext[Empty, Paging]) -> Any:
    with ctx.server.db.read() as tx:
        project = project_of(ctx, tx)
        return paged(
            ctx,
            lambda limit, before: flows.page(tx, project_id=project.id, limit=limit, before=before),
            lambda found: [_answer(ctx, tx, each) for each in found],
        )


def create_flow(ctx: ApiContext[FlowForm, Empty]) -> Any:
    with ctx.server.db.write() as tx:
        return _save(ctx, tx, project_of(ctx, tx), ctx.body, None)


def show_flow(ctx: ApiContext[Empty, Empty]) -> Any:
    with ctx.server.db.read() as tx:
        return _answer(ctx, tx, flow_of(ctx, tx))


def change_flow(ctx: ApiContext[FlowPatch, Empty]) -> Any:
    with ctx.server.db.write() as tx:
        flow = flow_of(ctx, tx)
        return _save(ctx, tx, project_of(ctx, tx), patched_flow(flow, ctx.body.root, ctx.server), flow)


def delete_flow(ctx: ApiContext[Empty, Confirm]) -> None:
    with ctx.server.db.write() as tx:
        flow = flow_of(ctx, tx)
        confirmed(ctx, flow.name)
        flows.delete(tx, flow.id)


def create_flow_webhook(ctx: ApiContext[Empty, Empty]) -> Any:
    with ctx.server.db.write() as tx:
        token = issue_webhook(tx, flow_of(ctx, tx))
    return FlowWebhookAnswer(url=f"{ctx.address}/webhooks/flows/{token}")


def delete_flow_webhook(ctx: ApiContext[Empty, Confirm]) -> None:
    with ctx.server.db.write() as tx:
        flow = flow_of(ctx, tx)
        confirmed(ctx, flow.name)
        flows.set_webhook(tx, flow.id, None)


def _save(
    ctx: ApiContext[Any, Any], tx: Tx, project: Project, form: FlowForm, kept: Flow | None
) -> FlowAnswer:
    server = ctx.server
    saved = save_flow(tx, project, form.draft(), kept, vault=server.vault, ours=server.ours, now=ctx.now)
    return _answer(ctx, tx, saved)


def _answer(ctx: ApiContext[Any, Any], tx: Tx, flow: Flow) -> FlowAnswer:
    return FlowAnswer(
        **shown_flow(flow),
        id=flow.id,
        project=flow.project,
        has_webhook=flow.has_webhook,
        warnings=warnings_of(tx, flow, ctx.server.vault),
        created_at=flow.created_at,
    )


PATH = "/projects/{p}/flows"
OPERATIONS = (
    Operation(
        "GET", PATH, "List a project's release flows", list_flows, query=Paging, answer=Page[FlowAnswer]
    ),
    Operation(
        "POST",
        PATH,
        "Make a release flow: nodes in order, some side by side",
        create_flow,
        Right.CHANGE,
        body=FlowForm,
        answer=FlowAnswer,
        status=201,
    ),
    Operation("GET", PATH + "/{f}", "Show a release flow", show_flow, answer=FlowAnswer),
    Operation(
        "PATCH",
        PATH + "/{f}",
        "Change a release flow; runs of it that were started go on as they began",
        change_flow,
        Right.CHANGE,
        body=FlowPatch,
        answer=FlowAnswer,
    ),
    Operation(
        "DELETE",
        PATH + "/{f}",
        "Delete a release flow with its runs; not while one is going",
        delete_flow,
        Right.CHANGE,
        query=Confirm,
        status=204,
    ),
    Operation(
        "POST",
        PATH + "/{f}/webhook",
        "Make the address that starts the flow; one that there was is void from now on",
        create_flow_webhook,
        Right.CHANGE,
        answer=FlowWebhookAnswer,
        status=201,
    ),
    Operation(
        "DELETE",
        PATH + "/{f}/webhook",
        "Make the address that starts the flow void",
        delete_flow_webhook,
        Right.CHANGE,
        query=Confirm,
        status=204,
    ),
)
