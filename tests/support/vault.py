"""A server that speaks as much of Vault's protocol as reading secrets takes: KV version 1 and 2, tokens and AppRole."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hvs.a-token-of-the-tests"
ROLE = {"role_id": "jobyard", "secret_id": "the AppRole's own secret"}


@dataclass
class VaultDouble:
    """`secrets` by their whole paths (`secret/data/…` is version 2, anything else version 1).

    With a `status` it answers nothing but that with the `body`; while `hanging` is set, nothing at all.
    """

    address: str
    secrets: dict[str, dict[str, Any]] = field(default_factory=dict)
    denied: set[str] = field(default_factory=set)
    tokens: set[str] = field(default_factory=lambda: {TOKEN})
    status: int = 0
    body: bytes = b"{}"
    asked: list[str] = field(default_factory=list)
    namespaces: list[str | None] = field(default_factory=list)
    hanging: bool = False
    released: threading.Event = field(default_factory=threading.Event)

    def answer(self, method: str, path: str, token: str | None, body: Any) -> tuple[int, Any]:
        if path == "auth/approle/login" and method == "POST":
            if body != ROLE:
                return 400, {"errors": ["invalid role or secret ID"]}
            made = f"hvs.of-role-{len(self.tokens)}"
            self.tokens.add(made)
            return 200, {"auth": {"client_token": made, "lease_duration": 3600}}
        if token not in self.tokens or path in self.denied:
            return 403, {"errors": ["1 error occurred:\n\t* permission denied\n\n"]}
        if path == "auth/token/lookup-self":
            return 200, {"data": {"id": token}}
        found = self.secrets.get(path)
        if found is None:
            return 404, {"errors": []}
        if path.startswith("secret/data/"):
            return 200, {"data": {"data": found, "metadata": {"version": 3, "destroyed": False}}}
        return 200, {"data": found, "lease_duration": 2764800}


@contextmanager
def vault_double() -> Iterator[VaultDouble]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            given = json.loads(self.rfile.read(length)) if length else None
            double.asked.append(f"{self.command} {self.path}")
            double.namespaces.append(self.headers.get("X-Vault-Namespace"))
            if double.hanging:
                double.released.wait()
                return
            status, body = double.status, double.body
            if not status:
                path = self.path.removeprefix("/v1/")
                status, said = double.answer(self.command, path, self.headers.get("X-Vault-Token"), given)
                body = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Tests look at `asked`."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    double = VaultDouble(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield double
    finally:
        double.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
