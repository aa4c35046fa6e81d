"""What the container engine says that happens to one installation's containers, from the first moment on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import docker

from app.engines.docker.request import INSTALLATION_LABEL


class EngineEvents:
    """`seen` are (what, container id) in order, `told` the same in the engine's own words. The engine forgets its
    events soon: so they are kept here.
    """

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []
        self.told: list[Any] = []
        self._more = threading.Condition()

    def follow(self, stream: Any) -> None:
        with suppress(OSError, ValueError):  # it is closed under our feet
            for event in stream:
                with self._more:
                    self.seen.append((event["Action"], event["Actor"]["ID"]))
                    self.told.append(event)
                    self._more.notify_all()

    def wait_for(self, what: str, seconds: float = 60) -> str:
        """The container to which it happened first."""
        with self._more:
            assert self._more.wait_for(lambda: self.of(what), seconds), f"no {what} among {self.seen}"
            return self.of(what)[0]

    def of(self, what: str) -> list[str]:
        """The containers to which it happened, once for each time."""
        return [container for action, container in self.seen if action == what]


@contextmanager
def engine_events(installation: str, docker_host: str | None = None) -> Iterator[EngineEvents]:
    client = docker.APIClient(base_url=docker_host, timeout=None)
    label = f"{INSTALLATION_LABEL}={installation}"
    stream = client.events(decode=True, filters={"type": "container", "label": label})
    events = EngineEvents()
    thread = threading.Thread(target=events.follow, args=(stream,), daemon=True)
    thread.start()
    try:
        yield events
    finally:
        stream.close()
        thread.join(10)
        client.close()
