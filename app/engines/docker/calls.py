"""Calls to the engine, with their faults typed.

Every fault is an `EngineUnavailable`, so that what nobody expected is tried again and never taken for the
job's doing; an answer that says no is a `Refusal` and keeps its status, for those who know what it means.
"""

from __future__ import annotations

import http.client
import select
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
import urllib3
from docker.errors import APIError, DockerException

from app.domain.errors import EngineUnavailable
from app.engines.docker.access import Access

_NO_ANSWER = (
    DockerException,
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    OSError,
)


class Refusal(EngineUnavailable):
    """The engine answered with an error. `status` is HTTP's, `explanation` the engine's own words."""

    def __init__(self, status: int, explanation: str) -> None:
        super().__init__(f"The container engine answered {status}: {explanation}")
        self.status = status
        self.explanation = explanation


class Gone(Refusal):
    """404: no such thing (any more)."""


class Conflicting(Refusal):
    """409: not in this state, or the name is taken."""


class Invalid(Refusal):
    """400: the request can't be carried out as it is."""


_REFUSALS: dict[int, type[Refusal]] = {400: Invalid, 404: Gone, 409: Conflicting}


class Calls:
    """Gives out the SDK's low-level client, which is made at the first call: an engine that is down stops no server
    from starting.
    """

    def __init__(self, access: Access, timeout_seconds: float) -> None:
        self.access = access
        self.timeout_seconds = timeout_seconds
        self._lock = threading.Lock()
        self._client: Any = None  # the SDK's types are narrower than the SDK

    @contextmanager
    def api(self) -> Iterator[Any]:
        """Yield the client; what goes wrong inside is raised as Refusal or EngineUnavailable."""
        with self.typed():
            yield self._client or self._connect()

    @contextmanager
    def typed(self) -> Iterator[None]:
        """Turn what the SDK raises into Refusal or EngineUnavailable."""
        try:
            yield
        except APIError as error:
            status = error.response.status_code if error.response is not None else 500
            explanation = str(error.explanation or error).strip()
            raise _REFUSALS.get(status, Refusal)(status, explanation) from error
        except _NO_ANSWER as error:
            raise EngineUnavailable(self.access.no_answer(error)) from error

    def _connect(self) -> Any:
        with self._lock:
            if self._client is None:
                self._client = self.access.connected(self.timeout_seconds)
            return self._client

    def stream(self, method: str, path: str, body: Any = None, **params: Any) -> Connection:
        """Begin a call whose answer goes on as long as it likes: an attached, exec'ed or followed output."""
        with self.api() as client:
            upgrade = {"Connection": "Upgrade", "Upgrade": "tcp"} if method == "POST" else {}
            response = client.request(
                method,
                client._url(path),
                params=params,
                json=body,
                headers=upgrade,
                stream=True,
                timeout=(self.timeout_seconds, self.timeout_seconds),
            )
            if not response.ok:
                response.content  # noqa: B018 - read to its end, it gives the connection back
                client._raise_for_status(response)
            return Connection(response, client._get_raw_response_socket(response))

    def close(self) -> None:
        with self._lock:
            if self._client is not None:
                self._client.close()


class Connection:
    """An answer that is still coming. Reading raises OSError when it breaks."""

    def __init__(self, response: requests.Response, raw: Any) -> None:
        self._response = response
        self._socket = raw._sock if hasattr(raw, "_sock") else raw
        self._socket.settimeout(None)

    def receive(self, size: int = 1 << 18, timeout_seconds: float | None = None) -> bytes:
        """Return the next bytes of a hijacked connection, none at its end. Raises TimeoutError after
        `timeout_seconds`.
        """
        self._socket.settimeout(timeout_seconds)
        return bytes(self._socket.recv(size))

    def read_some(self, size: int = 1 << 16) -> bytes:
        """Return the next bytes of a hijacked connection, also those that came together with the answer's head; none
        at its end, or once it is closed.
        """
        raw: Any = self._response.raw
        buffered = raw._fp.fp
        try:
            return bytes(buffered.read1(size)) if buffered is not None else b""
        except ValueError:  # closed meanwhile
            return b""

    def send(self, data: bytes) -> None:
        """Send all of it to the other end of a hijacked connection."""
        self._socket.sendall(data)

    def chunks(self, timeout_seconds: float | None = None) -> Iterator[bytes]:
        """Yield the body of an ordinary answer as it comes. Raises OSError if nothing comes for `timeout_seconds`."""
        self._socket.settimeout(timeout_seconds)
        try:
            yield from self._response.raw.stream(1 << 16, decode_content=False)
        except (urllib3.exceptions.HTTPError, http.client.HTTPException) as error:
            raise ConnectionResetError(str(error)) from error

    def has_news(self, timeout_seconds: float | None) -> bool:
        """Return whether there is something to read, or the end, as soon as there is; after the time at the latest."""
        return bool(select.select([self._socket], [], [], timeout_seconds)[0])

    def interrupt(self) -> None:
        """Make whoever reads in another thread see the end."""
        try:
            self._socket.shutdown(2)
        except OSError:
            return

    def close(self) -> None:
        """Close the connection, unless the answer was read to its end: then it is the pool's again, and may be in
        use.
        """
        if self._response.raw.connection is not None:
            self._response.close()
            self._socket.close()
