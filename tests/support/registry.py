"""Debian's image registry on a free port of 127.0.0.1, which engines speak to over plain HTTP."""

from __future__ import annotations

import base64
import json
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.support.server import free_port

USER, PASSWORD = "acme", "registry password"
_HTPASSWD = f"{USER}:$2y$05$abcdefghijklmnopqrstuucoBHxrOz1JPhvMP97TeQ3r1OHQFXeau\n"  # bcrypt of PASSWORD
UP_SECONDS = 30.0
DISTANCE_SECONDS = 1.0
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


def asking_for_a_login(root: Path) -> dict[str, Any]:
    """Return the part of a registry's configuration that lets USER in alone; its file is below `root`."""
    file = root / "htpasswd"
    file.write_text(_HTPASSWD)
    return {"auth": {"htpasswd": {"realm": "acme", "path": str(file)}}}


class Registry:
    """`stop` makes it go away, `start` brings it back at the same address with what it held. `everywhere` has it listen
    at all addresses of this machine.
    """

    def __init__(self, root: Path, *, with_login: bool = False, everywhere: bool = False) -> None:
        root.mkdir(parents=True)
        self.host = f"127.0.0.1:{free_port()}"
        self._with_login = with_login
        self._config, self._log = root / "config.yml", root / "log"
        self._process: subprocess.Popen[bytes] | None = None
        config: dict[str, Any] = {
            "version": 0.1,
            "storage": {"filesystem": {"rootdirectory": str(root / "images")}, "delete": {"enabled": True}},
            "http": {"addr": f":{self.host.partition(':')[2]}" if everywhere else self.host},
        }
        if with_login:
            config |= asking_for_a_login(root)
        self._config.write_text(json.dumps(config))  # JSON is YAML too

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                ["docker-registry", "serve", str(self._config)], stdout=log, stderr=log
            )
        deadline = time.monotonic() + UP_SECONDS
        while not self._is_up():
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < deadline, self._log.read_text()
            time.sleep(0.02)

    def _is_up(self) -> bool:
        try:
            return self._get("/v2/") is not None
        except (urllib.error.URLError, ConnectionError):
            return False

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None

    def digest(self, repository: str, tag: str) -> str:
        """What a tag points to."""
        answer = self._get(f"/v2/{repository}/manifests/{tag}")
        return str(answer.headers["Docker-Content-Digest"])

    def _get(self, path: str) -> Any:
        request = urllib.request.Request(f"http://{self.host}{path}", headers={"Accept": MANIFEST})
        if self._with_login:
            pair = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
            request.add_header("Authorization", f"Basic {pair}")
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer


@contextmanager
def registry(root: Path, *, with_login: bool = False) -> Iterator[Registry]:
    """A started registry, ended after the block."""
    made = Registry(root, with_login=with_login)
    try:
        made.start()
        yield made
    finally:
        made.stop()


@contextmanager
def far_away(made: Registry) -> Iterator[str]:
    """Another address of a registry, where whoever is logged in waits a second for what a tag points to."""

    class Distance(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            kept = {name: self.headers[name] for name in ("Accept", "Authorization") if name in self.headers}
            request = urllib.request.Request(
                f"http://{made.host}{self.path}", headers=kept, method=self.command
            )
            try:
                answer = urllib.request.urlopen(request, timeout=10)
            except urllib.error.HTTPError as error:
                answer = error
            if "Authorization" in kept and "/manifests/" in self.path:
                time.sleep(DISTANCE_SECONDS)
            with answer:
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.read())

        do_HEAD = do_GET

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Distance) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{proxy.server_port}"
        proxy.shutdown()
