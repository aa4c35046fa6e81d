"""Calls to the engine, with their faults typed.

Every fault is an `EngineUnavailable`, so that what nobody expected is tried again and never taken for the
job's doing; an answer that says no is a `Refusal` and keeps its status, for those who know what it means.
"""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
import urllib3
from docker import APIClient
from docker.constants import MINIMUM_DOCKER_API_VERSION
from docker.errors import APIError, DockerException

from app.domain.errors import EngineUnavailable
from app.engines.docker.transport import UnixAdapter

DEFAULT_URL = "unix:///var/run/docker.sock"
_POOL = 64  # connections kept open
_FIRST_SECONDS = 5.0  # for the first answer, for which all other calls wait
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


@contextmanager
def typed(url: str) -> Iterator[None]:
    """Turn what the SDK raises into Refusal or EngineUnavailable."""
    try:
        yield
    except APIError as error:
        status = error.response.status_code if error.response is not None else 500
        explanation = str(error.explanation or error).strip()
        raise _REFUSALS.get(status, Refusal)(status, explanation) from error
    except _NO_ANSWER as error:
        raise EngineUnavailable(
            f"The container engine at {url} does not answer: start it, or set JOBYARD_ENGINE=process"
            f" to do without one ({_cause(error)})."
        ) from error


def _cause(error: BaseException) -> str:
    """Return the innermost message of the system, as the layers above wrap one another's class names."""
    layers, seen = [error], {id(error)}
    while layers:
        each = layers.pop()
        if isinstance(each, OSError) and each.strerror:
            return each.strerror
        inner = [each.__cause__, each.__context__, *each.args]
        layers += [one for one in inner if isinstance(one, BaseException) and id(one) not in seen]
        seen |= {id(one) for one in layers}
    return type(error).__name__


class Calls:
    """Gives out the SDK's low-level client, which is made at the first call: an engine that is down stops no server
    from starting.
    """

    def __init__(self, url: str | None, timeout_seconds: float) -> None:
        self.url = url or DEFAULT_URL
        self.timeout_seconds = timeout_seconds
        self._lock = threading.Lock()
        self._client: Any = None  # the SDK's types are narrower than the SDK

    @contextmanager
    def api(self) -> Iterator[Any]:
        """Yield the client; what goes wrong inside is raised as Refusal or EngineUnavailable."""
        with typed(self.url):
            yield self._client or self._connect()

    def _connect(self) -> Any:
        with self._lock:
            if self._client is None:
                self._client = _connected(self.url, self.timeout_seconds)
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


def _connected(url: str, timeout_seconds: float) -> Any:
    """Return a client that speaks the engine's own version of the API."""
    connect: Any = APIClient
    adapter: Any = UnixAdapter
    client = connect(
        base_url=url,
        version=MINIMUM_DOCKER_API_VERSION,
        timeout=min(timeout_seconds, _FIRST_SECONDS),
        max_pool_size=_POOL,
    )
    if url.startswith("unix:"):
        client.trust_env = False  # proxies and .netrc, looked up anew for every call, are for other hosts
        client.mount(
            "http+docker://", adapter(url.replace("unix:", "http+unix:"), timeout_seconds, 25, _POOL)
        )
    client._version = client.version(api_version=False)["ApiVersion"]
    client.timeout = timeout_seconds
    return client


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
