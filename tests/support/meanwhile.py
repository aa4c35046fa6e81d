"""What happens on a server while a command waits for it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import Any

from app.web.server_context import ServerContext

WITHIN_SECONDS = 30


class Meanwhile:
    """Does something as soon as a change of `topic` is committed, or at once if there is none, in a thread of its own.

    If that fails, the command in the main thread, which waits for it, is interrupted.
    """

    def __init__(self, context: ServerContext, topic: str | None, action: Callable[[], Any]) -> None:
        self._heard = threading.Event()
        if topic is None:
            self._heard.set()
        self._listening = context.signals.listening(lambda topics: topic in topics and self._heard.set())
        self._thread = threading.Thread(target=self._act, args=(action,))
        self._error: Exception | None = None

    def _act(self, action: Callable[[], Any]) -> None:
        try:
            assert self._heard.wait(WITHIN_SECONDS)
            action()
        except Exception as error:
            self._error = error
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    def __enter__(self) -> None:
        self._listening.__enter__()
        self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._thread.join(WITHIN_SECONDS)
        self._listening.__exit__(None, None, None)
        if self._error is not None:
            raise self._error
