"""An id for every request, which its answer carries as `X-Request-Id`."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.runtime import request_id

HEADER = b"x-request-id"
BEGINNINGS = ("http.response.start", "websocket.accept", "websocket.http.response.start")  # of an answer


class RequestIds:
    """Plain ASGI, so that streams pass through untouched."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        offered = next((value for name, value in scope["headers"] if name == HEADER), b"")
        given = request_id.begin(offered.decode("latin-1")).encode()

        async def send_with_id(message: Message) -> None:
            if message["type"] in BEGINNINGS:
                message["headers"] = [*message.get("headers", []), (HEADER, given)]
            await send(message)

        await self.app(scope, receive, send_with_id)
