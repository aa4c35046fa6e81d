"""`POST /webhooks/flows/{token}`: start the release flow that the token is for. The address itself is the secret."""

from __future__ import annotations

from typing import Any

from pydantic_core import to_jsonable_python
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.commands.flow_runs import start_flow_run
from app.commands.flows import flow_of_webhook
from app.domain.flows import FlowTrigger, FlowTriggerType
from app.web.bodies import read_at_most
from app.web.problems import problem_of, problem_response
from app.web.schemas.flow import flow_run_answer
from app.web.server_context import ServerContext, server_of

LIMIT = 64 * 1024


async def start_by_webhook(request: Request) -> Response:
    """202 with the flow's run; what the body says makes no difference."""
    try:
        await read_at_most(request, LIMIT)
        started = await run_in_threadpool(_start, server_of(request), request.path_params["token"])
    except Exception as error:
        return problem_response(problem_of(error))
    return JSONResponse(started, 202)


def _start(server: ServerContext, token: str) -> Any:
    """A run of the flow, as the API shows it; a stranger costs no more than a read."""
    with server.db.read() as tx:
        flow = flow_of_webhook(tx, token)
    server.disk.require_room()
    with server.db.write() as tx:
        run = start_flow_run(tx, flow, FlowTrigger(FlowTriggerType.WEBHOOK), server.clock.now())
        return to_jsonable_python(flow_run_answer(run))
