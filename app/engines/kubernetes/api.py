"""Calls to a cluster's API server, with their faults typed.

lightkube reads the kubeconfig or the pod's service account, and makes the connection with its TLS and its log-in, which
is read again where it was refused. Bodies are plain objects, and logs the bytes that came.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import httpx2
from httpx2.websockets import WebSocketUpgradeError
from lightkube import KubeConfig
from lightkube.config.client_adapter import Client, ConnectionParams
from lightkube.core.exceptions import ConfigError

from app.domain.errors import EngineUnavailable

ANSWER_SECONDS = 30.0
_BUSY, _BUSY_TRIES, _LONGEST_PAUSE = 429, 3, 10
_PROTOCOLS = ["v5.channel.k8s.io", "v4.channel.k8s.io"]
PATHS = {"jobs": "apis/batch/v1", "pods": "api/v1", "secrets": "api/v1", "events": "api/v1"}
Answer = dict[str, Any]


class Refusal(EngineUnavailable):
    """The API server answered with an error. `status` is HTTP's, `reason` and `message` are its own words."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(_sentence(status, message))
        self.status, self.reason, self.message = status, reason, message


class Gone(Refusal):
    """404: no such thing (any more)."""


class Taken(Refusal):
    """409: there is one of that name already, or it changed meanwhile."""


class TooOld(Refusal):
    """410: what changed since then is not known any more."""


class Invalid(Refusal):
    """400 or 422: the request can't be carried out as it is."""


_REFUSALS: dict[int, type[Refusal]] = {400: Invalid, 404: Gone, 409: Taken, 410: TooOld, 422: Invalid}


def _sentence(status: int, message: str) -> str:
    if status in (401, 403):
        return f"The cluster does not let Jobyard do that, so look at its Role: {message}"
    return f"The cluster answered {status}: {message}"


def refusal(status: int, body: bytes) -> Refusal:
    """Return what an answer with an error says, which may be no object at all."""
    try:
        told = json.loads(body)
    except ValueError:
        told = {}
    if not isinstance(told, dict):
        told = {}
    kind = _REFUSALS.get(status, Refusal)
    return kind(status, str(told.get("reason", "")), str(told.get("message") or "no reason is given"))


class Api:
    """One namespace of a cluster. The connection is made at the first call: a cluster that is down stops no server
    from starting. Every method raises Refusal or EngineUnavailable.
    """

    def __init__(self, namespace: str, config: KubeConfig | None = None) -> None:
        self.namespace = namespace
        self._config = config
        self._lock = threading.Lock()
        self._client: httpx2.Client | None = None
        self._streams: set[socket.socket] = set()
        self._closed = threading.Event()

    def get(self, kind: str, name: str) -> Answer:
        return self._object("GET", self._path(kind, name))

    def listed(self, kind: str, **params: str) -> Answer:
        """Return the newest state of all of a kind that the selectors in `params` find."""
        return self._object("GET", self._path(kind), params=params)

    def create(self, kind: str, body: Mapping[str, Any]) -> Answer:
        return self._object("POST", self._path(kind), json=body)

    def patch(self, kind: str, name: str, body: Mapping[str, Any]) -> Answer:
        headers = {"Content-Type": "application/merge-patch+json"}
        return self._object(
            "PATCH", self._path(kind, name), content=json.dumps(body).encode(), headers=headers
        )

    def delete(self, kind: str, name: str, **options: object) -> None:
        """Delete it; what is gone already is fine."""
        body = {"apiVersion": "v1", "kind": "DeleteOptions", **options}
        try:
            self._object("DELETE", self._path(kind, name), json=body)
        except Gone:
            return

    def ask(self, path: str, body: Mapping[str, Any] | None = None) -> Answer:
        """Return the answer at a path outside of the namespace's kinds."""
        return self._object("GET" if body is None else "POST", path, json=body)

    @contextmanager
    def stream(self, path: str, idle_seconds: float, **params: object) -> Iterator[httpx2.Response]:
        """Yield an answer that goes on as long as it likes, of which nothing is read yet."""
        with self._typed() as client:
            patience = httpx2.Timeout(ANSWER_SECONDS, read=idle_seconds)
            with client.stream("GET", path, params=_given(params), timeout=patience) as answer:
                if answer.status_code >= 400:
                    raise refusal(answer.status_code, answer.read())
                with self._open(answer.extensions["network_stream"].get_extra_info("socket")):
                    yield answer

    @contextmanager
    def execute(self, pod: str, container: str, argv: list[str], **options: str) -> Iterator[Any]:
        """Yield a WebSocket to a command beside the process: the first byte of each message is its channel."""
        errors = {} if "tty" in options else {"stderr": "true"}  # a terminal has one output
        params = {"container": container, "stdout": "true", **errors, **options, "command": argv}
        with self._typed() as client:
            path = self._path("pods", pod, "exec")
            try:
                with client.websocket(path, subprotocols=_PROTOCOLS, params=params) as session:
                    yield session
            except WebSocketUpgradeError as error:
                what = {
                    "message": f"executing a command in the pod {pod}"
                }  # its own words can't be read any more
                raise refusal(error.response.status_code, json.dumps(what).encode()) from error

    def watch_path(self, kind: str) -> str:
        return self._path(kind)

    def log_path(self, pod: str) -> str:
        return self._path("pods", pod, "log")

    @contextmanager
    def _open(self, connection: socket.socket) -> Iterator[None]:
        """Have `close` interrupt whoever reads there."""
        with self._lock:
            self._streams.add(connection)
        try:
            yield
        finally:
            with self._lock:
                self._streams.discard(connection)

    def close(self) -> None:
        self._closed.set()
        with self._lock:
            for connection in self._streams:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            if self._client is not None:
                self._client.close()

    def _path(self, kind: str, *parts: str) -> str:
        return "/".join((PATHS[kind], "namespaces", self.namespace, kind, *parts))

    def _object(self, method: str, path: str, **request: Any) -> Answer:
        with self._typed() as client:
            answer = client.request(method, path, **request)
            for _ in range(_BUSY_TRIES):
                if answer.status_code != _BUSY:
                    break
                self._pause_as_told(answer)
                answer = client.request(method, path, **request)
            if answer.status_code >= 400:
                raise refusal(answer.status_code, answer.content)
            found: Answer = answer.json()
            return found

    def _pause_as_told(self, answer: httpx2.Response) -> None:
        """A cluster that has too much to do says for how many seconds to leave it alone."""
        told = answer.headers.get("Retry-After", "")
        self._closed.wait(min(int(told), _LONGEST_PAUSE) if told.isdecimal() else 1)

    @contextmanager
    def _typed(self) -> Iterator[httpx2.Client]:
        try:
            yield self._client or self._connect()
        except (
            httpx2.HTTPError,
            httpx2.StreamError,
            ConfigError,
            OSError,
            ValueError,
            RuntimeError,
        ) as error:
            raise EngineUnavailable(
                f"The Kubernetes cluster does not answer: check the kubeconfig and that its server is up"
                f" ({type(error).__name__})."
            ) from error

    def _connect(self) -> httpx2.Client:
        with self._lock:
            if self._client is None:
                config = (self._config or KubeConfig.from_env()).get()
                if config is None or config.user is None:
                    raise ConfigError("no context with a user")
                self._client = Client(config, ConnectionParams(timeout=httpx2.Timeout(ANSWER_SECONDS)))
            return self._client


def _given(params: Mapping[str, object]) -> dict[str, Any]:
    return {name: value for name, value in params.items() if value is not None}
