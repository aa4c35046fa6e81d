"""The cluster over HTTP, as `kubectl` and the engine speak with it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Ping, Request
from wsproto.utilities import RemoteProtocolError

from tests.support.kubernetes_double.cluster import Cluster
from tests.support.kubernetes_double.nodes import Terminal
from tests.support.kubernetes_double.objects import Object, Problem

GROUPS = {"v1": ("pods", "secrets", "events"), "batch/v1": ("jobs",)}
_KINDS = {"pods": "Pod", "secrets": "Secret", "events": "Event", "jobs": "Job"}
_VERBS = {"POST": "create", "PATCH": "patch", "DELETE": "delete"}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    cluster: Cluster

    def handle_any(self) -> None:
        url = urlsplit(self.path)
        self.query = parse_qs(url.query, keep_blank_values=True)
        size = int(self.headers.get("Content-Length") or 0)
        self.body = json.loads(self.rfile.read(size)) if size else {}
        self.cluster.requests.append((self.command, url.path))
        try:
            if self.cluster.failures:
                raise Problem(self.cluster.failures.pop(0), "InternalError", "it was told to fail")
            self._route([part for part in url.path.split("/") if part])
        except Problem as problem:
            self._answer(problem.status, problem.code)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    do_GET = do_POST = do_PATCH = do_DELETE = handle_any

    def _route(self, parts: list[str]) -> None:
        match parts:
            case ["version"]:
                self._answer({"major": "1", "minor": "34", "gitVersion": "v1.34.3"})
            case ["api"]:
                self._answer({"kind": "APIVersions", "versions": ["v1"]})
            case ["apis"]:
                version = {"groupVersion": "batch/v1", "version": "v1"}
                group = {"name": "batch", "versions": [version], "preferredVersion": version}
                self._answer({"kind": "APIGroupList", "apiVersion": "v1", "groups": [group]})
            case ["api", "v1"]:
                self._resources("v1")
            case ["apis", "batch", "v1"]:
                self._resources("batch/v1")
            case ["apis", "authorization.k8s.io", "v1", "selfsubjectaccessreviews"]:
                self._review()
            case ["api", "v1", "namespaces", name]:
                self._require("namespaces", name, "")
                metadata = {"name": name, "uid": self.cluster.uid}
                self._answer({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
            case ["api", "v1", "namespaces", _, *rest] | ["apis", "batch", "v1", "namespaces", _, *rest]:
                self._resource(*rest)
            case _:
                raise Problem(404, "NotFound", "the server could not find the requested resource")

    def _resources(self, version: str) -> None:
        verbs = ["create", "delete", "get", "list", "patch", "watch"]
        found = [
            {"name": each, "namespaced": True, "kind": _KINDS[each], "verbs": verbs}
            for each in GROUPS[version]
        ]
        self._answer({"kind": "APIResourceList", "groupVersion": version, "resources": found})

    def _review(self) -> None:
        asked = self.body["spec"]["resourceAttributes"]
        resource = "/".join(filter(None, (asked["resource"], asked.get("subresource"))))
        allowed = (asked["verb"], resource) not in self.cluster.denied
        self._answer({**self.body, "status": {"allowed": allowed}}, 201)

    def _resource(self, kind: str, name: str = "", sub: str = "") -> None:
        self._require(kind, name, sub)
        match self.command, name, sub:
            case "GET", "", "":
                self._list(kind)
            case "GET", _, "":
                self._answer(self.cluster.objects.get(kind, name))
            case "POST", "", "":
                self._answer(self.cluster.create(kind, self.body), 201)
            case "PATCH", _, "":
                self._answer(self.cluster.patch(kind, name, self.body))
            case "DELETE", _, "":
                self._answer(self.cluster.delete(kind, name, self.body))
            case "GET", _, "log":
                self._log(name)
            case "GET", _, "exec":
                self._exec(name)
            case _:
                raise Problem(405, "MethodNotAllowed", "the server does not allow this method")

    def _require(self, kind: str, name: str, sub: str) -> None:
        verb = _VERBS.get(self.command) or ("get" if name else "watch" if self._one("watch") else "list")
        resource = f"{kind}/{sub}" if sub else kind
        if (verb, resource) in self.cluster.denied:
            message = f'{kind} is forbidden: User "jobyard" cannot {verb} resource "{resource}"'
            raise Problem(403, "Forbidden", message)

    def _one(self, name: str, default: str = "") -> str:
        return self.query.get(name, [default])[-1]

    def _list(self, kind: str) -> None:
        labels = self._one("labelSelector")
        if self._one("watch") in ("true", "1"):
            version, seconds = (
                int(self._one("resourceVersion", "0")),
                float(self._one("timeoutSeconds", "60")),
            )
            self._stream(self.cluster.objects.watch(kind, labels, version, seconds))
        else:
            self._answer(self.cluster.objects.list(kind, labels, self._one("fieldSelector")))

    def _log(self, name: str) -> None:
        pod = self.cluster.objects.get("pods", name)
        state = (pod["status"].get("containerStatuses") or [{}])[0].get("state") or {}
        if not state.keys() & {"running", "terminated"}:
            raise Problem(400, "BadRequest", "container main is waiting to start")
        flags = {each: self._one(each) == "true" for each in ("follow", "timestamps")}
        self._stream(self.cluster.node.log(name, **flags, since=self._one("sinceTime")))

    def _exec(self, name: str) -> None:
        if "running" not in self.cluster.objects.get("pods", name)["status"]["containerStatuses"][0]["state"]:
            raise Problem(400, "BadRequest", "container main is not running")
        socket = WSConnection(ConnectionType.SERVER)
        head = [(key.encode(), value.encode()) for key, value in self.headers.items()]
        socket.initiate_upgrade_connection(head, self.path)
        (asked,) = [event for event in socket.events() if isinstance(event, Request)]
        self._send(socket, AcceptConnection(subprotocol=asked.subprotocols[0]))
        self.close_connection = True
        if self._one("tty") == "true":
            return self._terminal(socket, name)
        for channel, data in _executed(self.cluster, name, self.query["command"]):
            self._send(socket, BytesMessage(data=bytes((channel,)) + data))
        self._send(socket, CloseConnection(code=1000))
        return None

    def _terminal(self, socket: WSConnection, name: str) -> None:
        with self.cluster.node.terminal(name, self.query["command"]) as terminal:
            typing = threading.Thread(target=self._typed, args=(socket, terminal), daemon=True)
            typing.start()
            for data in terminal.output():
                self._send(socket, BytesMessage(data=b"\x01" + data))
            self._send(socket, BytesMessage(data=b"\x03" + json.dumps(_status(terminal.exit_code)).encode()))
            self._send(socket, CloseConnection(code=1000))

    def _typed(self, socket: WSConnection, terminal: Terminal) -> None:
        """Pass on what is typed, and sizes, until either end is gone."""
        message = b""
        with suppress(OSError, RemoteProtocolError):
            while data := self.connection.recv(1 << 16):
                socket.receive_data(data)
                for event in socket.events():
                    if isinstance(event, BytesMessage):
                        message += event.data
                        if event.message_finished:
                            terminal.take(message[0], message[1:])
                            message = b""
                    elif isinstance(event, Ping):
                        self._send(socket, event.response())
        terminal.leave()

    def _send(self, socket: WSConnection, event: Any) -> None:
        self.wfile.write(socket.send(event))
        self.wfile.flush()

    def _answer(self, found: Object, code: int = 200) -> None:
        body = json.dumps(found).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if code == 429:
            self.send_header("Retry-After", "1")
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, chunks: Iterator[bytes]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for chunk in chunks:
            self.wfile.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *args: object) -> None:
        pass


def _executed(cluster: Cluster, name: str, argv: list[str]) -> Iterator[tuple[int, bytes]]:
    """What a command says by channels, and at last how it ended."""
    code = 0
    for stream, data in cluster.node.execute(name, argv):
        if stream:
            yield stream, data
        else:
            code = int(data)
    yield 3, json.dumps(_status(code)).encode()


def _status(code: int) -> Object:
    if not code:
        return {"metadata": {}, "status": "Success"}
    causes = [{"reason": "ExitCode", "message": str(code)}]
    return {"status": "Failure", "reason": "NonZeroExitCode", "details": {"causes": causes}}


@contextmanager
def served(cluster: Cluster) -> Iterator[str]:
    """Serve the cluster and yield its URL."""
    handler = type("Bound", (Handler,), {"cluster": cluster})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            cluster.objects.close()
            with suppress(OSError):
                server.shutdown()
