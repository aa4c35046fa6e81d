"""What goes to and fro between a browser and a shell, and what ends it.

Binary messages are bytes: what was typed, and what the terminal shows. Texts are JSON. The browser tells the size of
the terminal, `{"columns": 80, "rows": 24}`, and of how many bytes in all it has taken, `{"taken": 4096}`. The server
tells that the shell is open, `{"opened": CONTAINER, "idle_minutes": 15}`, and at last why it has ended:
`{"ended": SENTENCE}`.

Neither side runs ahead of the other. No more is shown than `WINDOW` bytes beyond what was taken: a browser keeps what
comes in its memory, however slowly its page draws it. The rest waits in the container, as does what is typed in the
browser until the container takes it.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketDisconnected

from app.commands.shells import OpenShell, Target
from app.domain.audit import Actor
from app.domain.errors import EngineUnavailable
from app.runtime import request_id
from app.runtime.threads import start_in_thread
from app.web.event_streams import ASK_AGAIN_SECONDS
from app.web.live import changes
from app.web.problems import problem_of
from app.web.request_context import RequestContext

log = logging.getLogger(__name__)
LAST_WORDS_SECONDS = 5.0  # in which a browser that takes nothing more may take why
SERVER_STOPS = 1012
WINDOW = 256 * 1024
ENDS_WITHIN_TENTHS = 10  # of a second
GONE = (WebSocketDisconnect, WebSocketDisconnected)
R = TypeVar("R")

EXITED = "The shell has ended."
CONTAINER_ENDED = "The container has ended, and the shell with it."
LEFT = "It was closed."
STOPPED = "The server was stopped."
NOT_ALLOWED = "You are logged out, or may not have a shell in this project any more."
NOT_UNDERSTOOD = (
    'A text must be {"columns": 1 to 1000, "rows": 1 to 1000} or {"taken": BYTES};'
    " what is typed comes as binary messages."
)
Size = tuple[int, int]  # columns and rows of a terminal
LEAST, MOST = 1, 1000  # of either


class Talk:
    """One shell of somebody, from its opening to its end."""

    def __init__(self, context: RequestContext, socket: WebSocket, target: Target, actor: Actor) -> None:
        self._context, self._server, self._socket = context, context.server, socket
        self._target, self._actor = target, actor
        self._typed_at = self._asked_at = (
            self._server.clock.ticks()
        )  # the handshake has just asked for the right
        self._shown = self._taken = 0  # bytes
        self._may_show = asyncio.Event()

    async def begin(self, size: Size) -> None:
        """Open the shell and stay with it to its end, which the browser is told as far as it listens."""
        now, of_request = self._context.now, request_id.current()
        opening = partial(self._server.shells.open, self._target, size, self._actor, now, of_request)
        try:
            shell = await self._in_thread(opening)
        except Exception as error:
            await self._say_last(problem_of(error).detail)
            return
        why = STOPPED
        try:
            why = await self._go_on(shell)
        finally:
            await self._in_thread(partial(self._close, shell, why))
        await self._say_last(why)

    def _close(self, shell: OpenShell, why: str) -> None:
        try:
            self._server.shells.close(shell, why, self._server.clock.now())
        except EngineUnavailable as error:
            log.warning("a shell in %s may go on until the container ends: %s", shell.handle.name, error)

    async def _go_on(self, shell: OpenShell) -> str:
        """Until one side ends it, or it has to end; returns why, as a sentence."""
        try:
            await self._say({"opened": shell.handle.name, "idle_minutes": self._server.shells.idle_minutes})
        except GONE:
            return LEFT
        parts = [
            asyncio.ensure_future(each) for each in (self._take(shell), self._watch(shell), self._show(shell))
        ]
        try:
            await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            return next(part.result() for part in parts if part.done())
        finally:
            for part in parts:
                part.cancel()
            await asyncio.gather(*parts, return_exceptions=True)

    async def _show(self, shell: OpenShell) -> str:
        while data := await self._in_thread(shell.shell.read):
            try:
                await self._socket.send_bytes(data)
            except GONE:
                return LEFT
            self._shown += len(data)
            while self._shown - self._taken >= WINDOW:
                self._may_show.clear()
                await self._may_show.wait()
        # An engine notes the end of a container a moment later than those of its processes.
        for _ in range(ENDS_WITHIN_TENTHS):
            if not await self._in_thread(partial(self._server.shells.is_in_a_running_container, shell)):
                return CONTAINER_ENDED
            await asyncio.sleep(0.1)
        return EXITED

    async def _take(self, shell: OpenShell) -> str:
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                return STOPPED if message.get("code") == SERVER_STOPS else LEFT
            if (typed := message.get("bytes")) is not None:
                self._typed_at = self._server.clock.ticks()
                await self._in_thread(partial(shell.shell.write, typed))
            else:
                told = told_in(message.get("text") or "")
                match told:
                    case (columns, rows):
                        await self._in_thread(partial(shell.shell.resize, columns, rows))
                    case int():
                        self._taken = told
                        self._may_show.set()
                    case None:
                        return NOT_UNDERSTOOD

    async def _watch(self, shell: OpenShell) -> str:
        """Until the container has ended, nobody types, or whoever opened the shell may not have it any more."""
        clock, shells, project_id = self._server.clock, self._server.shells, self._target.run.project_id
        async for _ in changes(self._server, {f"run:{self._target.run.id}"}, ASK_AGAIN_SECONDS):
            if await self._in_thread(partial(shells.has_to_end, shell)):
                return CONTAINER_ENDED
            if clock.ticks() - self._typed_at > shells.idle_minutes * 60:
                return f"Nothing was typed for {shells.idle_minutes} minutes."
            if clock.ticks() - self._asked_at >= ASK_AGAIN_SECONDS:
                self._asked_at = clock.ticks()
                if not await self._in_thread(partial(self._context.may_still, project_id)):
                    return NOT_ALLOWED
        raise AssertionError("changes never end")

    async def _say(self, what: dict[str, Any]) -> None:
        await self._socket.send_text(json.dumps(what))

    async def _say_last(self, sentence: str) -> None:
        with suppress(*GONE, TimeoutError):
            async with asyncio.timeout(LAST_WORDS_SECONDS):
                await self._say({"ended": sentence})
                await self._socket.close()

    async def _in_thread(self, call: Callable[[], R]) -> R:
        """In a thread of its own, as it may block for long; who stops waiting leaves it to end by itself."""
        name = f"shell-{self._target.run.id}"
        return await asyncio.shield(asyncio.wrap_future(start_in_thread(name, call)))


def told_in(text: str) -> Size | int | None:
    """The size of the terminal or the bytes taken that a message tells; None where it is no such message."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    match found:
        case {"columns": int(columns), "rows": int(rows), **other} if not other:
            return (columns, rows) if all(LEAST <= each <= MOST for each in (columns, rows)) else None
        case {"taken": int(taken), **other} if not other:
            return taken
        case _:
            return None
