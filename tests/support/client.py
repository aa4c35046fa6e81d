"""A client for an application in this process, for pages and the API."""

from __future__ import annotations

import asyncio
import threading
from functools import cache
from typing import Any
from urllib.parse import unquote

import httpx2
from starlette.applications import Starlette
from starlette.testclient import TestClient


class Client(TestClient):
    """Starlette's `TestClient` with one event loop for all requests of the process.

    Starlette's starts a loop and a thread for each request and passes every message between them; here an answer is
    handed over when it is whole. Exceptions of the application are raised, as there.
    """

    def __init__(self, app: Starlette, **more: Any) -> None:
        super().__init__(app, **more)
        self._transport = _Transport(app)


class _Transport(httpx2.BaseTransport):
    def __init__(self, app: Starlette) -> None:
        self._app = app

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        request.read()
        return asyncio.run_coroutine_threadsafe(self._answer(request), _loop()).result()

    async def _answer(self, request: httpx2.Request) -> httpx2.Response:
        body: list[bytes] = []
        started: dict[str, Any] = {}
        is_read, is_over = False, asyncio.Event()

        async def receive() -> dict[str, Any]:
            nonlocal is_read
            if is_read:
                await is_over.wait()
                return {"type": "http.disconnect"}
            is_read = True
            return {"type": "http.request", "body": request.content, "more_body": False}

        async def send(message: Any) -> None:
            assert not is_over.is_set(), f"The answer was over before {message}."
            if message["type"] == "http.response.start":
                assert not started, "The answer began twice."
                started.update(message)
                return
            assert started, f"The answer had not begun before {message}."
            body.append(bytes(message.get("body", b"")))
            if not message.get("more_body", False):
                is_over.set()

        await self._app(_scope(request), receive, send)
        assert is_over.is_set(), "The answer has no end."
        content = b"" if request.method == "HEAD" else b"".join(body)
        return httpx2.Response(
            started["status"],
            headers=started.get("headers", []),
            stream=httpx2.ByteStream(content),
            request=request,
        )


def _scope(request: httpx2.Request) -> dict[str, Any]:
    url = request.url
    return {
        "type": "http",
        "http_version": "1.1",
        "method": request.method,
        "path": unquote(url.path),
        "raw_path": url.raw_path.split(b"?", 1)[0],
        "root_path": "",
        "scheme": url.scheme,
        "query_string": url.query,
        "headers": [(key.lower(), value) for key, value in request.headers.raw],
        "client": ("testclient", 50000),
        "server": [url.raw_host.decode("ascii"), url.port or {"http": 80, "https": 443}[url.scheme]],
        "extensions": {},
        "state": {},
    }


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """The loop that all requests run on, in a thread that ends with the process."""
    loops: list[asyncio.AbstractEventLoop] = []
    is_running = threading.Event()

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        is_running.set()
        await asyncio.Event().wait()

    threading.Thread(target=asyncio.run, args=(serve(),), name="client", daemon=True).start()
    is_running.wait()
    return loops[0]
