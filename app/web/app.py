"""The Starlette application: webhooks, API and pages over one `ServerContext`."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from app.domain.errors import JobyardError
from app.runtime import request_id
from app.web import libraries
from app.web.api import OPERATIONS, api_routes
from app.web.api.reference import api_reference
from app.web.budget import BodyBudget
from app.web.compression import Compression
from app.web.file_schemas import schema_routes
from app.web.flow_webhook import start_by_webhook
from app.web.guide import Guide, guide_references
from app.web.headers import SecurityHeaders
from app.web.keyring import Keyring
from app.web.metrics import show_metrics
from app.web.pages import page_error, page_routes
from app.web.pages.logfollow import Feeds
from app.web.problems import answer_with_problem
from app.web.request_ids import HEADER, RequestIds
from app.web.server_context import ServerContext, server_of
from app.web.shell import shell_routes
from app.web.slashes import WithoutSlash
from app.web.webhooks import Receiver

STATIC = Path(__file__).parent / "static"
log = logging.getLogger(__name__)


def create_app(server: ServerContext, running: Callable[[], AbstractContextManager[None]]) -> Starlette:
    """The application; `running` is entered while it serves, and keeps the loops going meanwhile."""
    keyring = Keyring(server)
    receiver = Receiver(server, keyring)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        if trouble := libraries.missing():
            log.warning(trouble)
        with server.signals.listening(keyring.forget), running():
            yield

    app = Starlette(
        routes=[
            Route("/webhooks/flows/{token}", start_by_webhook, methods=["POST"]),
            Route("/webhooks/generic/{webhook}", receiver, methods=["POST"]),
            Route("/webhooks/{forge}", receiver, methods=["POST"]),
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/metrics", show_metrics),
            *schema_routes(),
            *shell_routes(),
            *api_routes(),
            Mount("/static", StaticFiles(directory=STATIC)),
            *page_routes(),
        ],
        middleware=[
            Middleware(RequestIds),
            Middleware(SecurityHeaders),
            Middleware(Compression),
            Middleware(BodyBudget),
            Middleware(WithoutSlash),
        ],
        lifespan=lifespan,
        exception_handlers={HTTPException: _http_error, Exception: _failed},
    )
    app.router.redirect_slashes = False  # a redirect loses what was posted, and names the host of the request
    app.state.server = server
    app.state.guide = Guide({**guide_references(), "api": api_reference(OPERATIONS), **server.references})
    app.state.log_feeds = Feeds()
    return app


async def _http_error(request: Request, error: Exception) -> Response:
    path = request.scope["path"]
    if (
        isinstance(error, HTTPException)
        and error.status_code == 404
        and path.strip("/")
        and path.endswith("/")
    ):
        query = request.scope["query_string"].decode("ascii", "replace")
        return RedirectResponse("/" + quote(path.strip("/")) + (f"?{query}" if query else ""), 307)
    if path.startswith(("/api/", "/webhooks/")):
        return await answer_with_problem(request, error)
    return await page_error(request, error)


async def _failed(request: Request, error: Exception) -> Response:
    """Starlette calls this outside of the middleware, which would have put the request's id in the answer."""
    answer = await _http_error(request, error)
    answer.headers[HEADER.decode()] = request_id.current()
    return answer


async def healthz(_request: Request) -> Response:
    """The process answers."""
    return JSONResponse({"status": "ok"})


def readyz(request: Request) -> Response:
    """There is room on the disk, and the store and the container engine answer; `disk` says where little is free, and
    `egress` what of JOBYARD_EGRESS is not enforced, and `run_disk` whether JOBYARD_RUN_DISK_MB is not.
    """
    server = server_of(request)
    if server.disk.trouble:
        return JSONResponse({"status": "not ready", "detail": server.disk.trouble}, 503)
    try:
        server.db.check()
    except JobyardError as error:
        return JSONResponse({"status": "not ready", "detail": str(error)}, 503)
    if server.drill:
        return JSONResponse({"status": "not ready", "detail": server.drill}, 503)
    health = server.engine_health()
    alarm = server.disk.alarm
    body = {
        "status": "ok" if health.is_up else "not ready",
        "detail": health.sentence,
        "disk": alarm.sentence if alarm else "",
        "egress": health.egress,
        "run_disk": health.run_disk,
        "lacks": dict(health.lacks),
    }
    return JSONResponse(body, 200 if health.is_up else 503)
