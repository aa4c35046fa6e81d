"""A real Git server over HTTP on 127.0.0.1: `git http-backend` behind a small threaded server.

Serves every repository below a folder. `user` and `password` ask for basic authentication. Without
`speaks_v2` it gives out nothing but what a ref points to. `mode` makes it behave badly:

    hang      answers nothing            stall     stops in the middle of a pack
    trickle   a byte now and then        cut       closes in the middle of an answer
    redirect  302 to `elsewhere`         error     500

`large` are the LFS files it has by their SHA-256; `large_at` is where it says they are, itself unless set.

`reached` is set once a request is in that mode; `release` ends what hangs, stalls and trickles.
"""

from __future__ import annotations

import base64
import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit


class GitServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.root = root
        self.user: str | None = None
        self.password = ""
        self.mode = "serve"
        self.speaks_v2 = True
        self.elsewhere = ""
        self.requests: list[str] = []
        self.authorizations: list[str] = []
        self.large: dict[str, bytes] = {}
        self.large_at = ""
        self.reached = threading.Event()
        self.release = threading.Event()

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}"


class _Handler(BaseHTTPRequestHandler):
    server: GitServer

    def do_GET(self) -> None:
        self.server.requests.append(f"{self.command} {self.path}")
        self.server.authorizations.append(self.headers.get("Authorization", ""))
        if not self._is_welcome():
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.end_headers()
            return
        with suppress(OSError):  # clients are killed in the middle on purpose
            getattr(self, f"_{self.server.mode}")()

    do_POST = do_GET

    def log_message(self, *args: object) -> None:
        """Quiet."""

    def _is_welcome(self) -> bool:
        if self.server.user is None:
            return True
        wanted = base64.b64encode(f"{self.server.user}:{self.server.password}".encode()).decode()
        return self.headers.get("Authorization") == f"Basic {wanted}"

    def _hang(self) -> None:
        self.server.reached.set()
        self.server.release.wait()

    def _trickle(self) -> None:
        self._head(200, "application/x-git-upload-pack-advertisement")
        self.server.reached.set()
        while not self.server.release.wait(0.05):
            self.wfile.write(b"0")

    def _redirect(self) -> None:
        self.send_response(302)
        self.send_header("Location", self.server.elsewhere + self.path)
        self.end_headers()

    def _error(self) -> None:
        self._head(500, "text/plain")

    def _cut(self) -> None:
        headers, body = self._backend()
        self._answer(headers, body[: len(body) // 2])

    def _stall(self) -> None:
        headers, body = self._backend()
        if self.command == "GET" or len(body) < 10_000:
            self._answer(headers, body)
            return
        self._answer(headers, body[: len(body) // 2])
        self.wfile.flush()
        self.server.reached.set()
        self.server.release.wait()

    def _serve(self) -> None:
        if self.path.endswith("/info/lfs/objects/batch"):
            self._offer_large()
        elif self.path.startswith("/large/"):
            self._answer(
                b"Content-Type: application/octet-stream", self.server.large[self.path.split("/")[2]]
            )
        else:
            self._answer(*self._backend())

    def _offer_large(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        at = self.server.large_at or self.server.url("large")
        objects = [
            {**each, "actions": {"download": {"href": f"{at}/{each['oid']}"}}}
            if each["oid"] in self.server.large
            else {**each, "error": {"code": 404, "message": "Object does not exist"}}
            for each in asked["objects"]
        ]
        body = json.dumps({"transfer": "basic", "objects": objects}).encode()
        self._answer(b"Content-Type: application/vnd.git-lfs+json", body)

    def _head(self, status: int, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.end_headers()

    def _backend(self) -> tuple[bytes, bytes]:
        parts = urlsplit(self.path)
        environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "GIT_PROJECT_ROOT": str(self.server.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", "") if self.server.speaks_v2 else "",
            "PATH_INFO": unquote(parts.path),
            "QUERY_STRING": parts.query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": self.headers.get("Content-Length", "0"),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "REMOTE_ADDR": "127.0.0.1",
        }
        sent = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        done = subprocess.run(["git", "http-backend"], input=sent, env=environment, capture_output=True)
        headers, _, body = done.stdout.partition(b"\r\n\r\n")
        return headers, body

    def _answer(self, headers: bytes, body: bytes) -> None:
        fields = dict(line.split(": ", 1) for line in headers.decode().splitlines())
        self.send_response(int(fields.pop("Status", "200").split()[0]))
        for name, value in fields.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def git_server(root: Path) -> Iterator[GitServer]:
    """Serve the repositories below `root` until the block ends."""
    server = GitServer(root)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.release.set()
        server.shutdown()
        thread.join()
        server.server_close()
