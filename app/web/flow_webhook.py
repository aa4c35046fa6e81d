"""`POST /webhooks/flows/{token}`: start the release flow that the token is for. The address itself is the secret."""

from __future__ import annotations

from typing import Any

from pydantic_core import to_jsonable_python
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.commands.flow_runs import start_flow_run
from app.commands.flows import flow_of_webhook
from app.domain.audit import Action, Kind
from app.domain.errors import NotFound
from app.domain.flows import FlowTrigger, FlowTriggerType
from app.web.auditing import audited, refuse
from app.web.bodies import read_at_most
from app.web.problems import problem_of, problem_response
from app.web.schemas.flow import flow_run_answer
from app.web.server_context import ServerContext, server_of

LIMIT = 64 * 1024


async def start_by_webhook(request: Request) -> Response:
    """202 with the flow's run; what the body says makes no difference."""
    try:
        await read_at_most(request, LIMIT)
        started = await run_in_threadpool(_start, server_of(request), request)
    except Exception as error:
        return problem_response(problem_of(error))
    return JSONResponse(started, 202)


def _start(server: ServerContext, request: Request) -> Any:
    """A run of the flow, as the API shows it; a stranger costs no more than a read."""
    try:
        with server.db.read() as tx:
            flow = flow_of_webhook(tx, request.path_params["token"])
    except NotFound as error:
        refuse(request, None, Action.FLOW_RUN_START, str(error), Kind.LINK)
        raise
    server.disk.require_room()
    with audited(request, None, Action.FLOW_RUN_START, Kind.LINK), server.db.write() as tx:
        run = start_flow_run(tx, flow, FlowTrigger(FlowTriggerType.WEBHOOK), server.clock.now())
        return to_jsonable_python(flow_run_answer(run))
