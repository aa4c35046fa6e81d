"""An OpenID provider in a process of its own, and what a browser does at it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import yaml

from tests.support.server import free_port
from tests.support.waiting import eventually

CLIENT, CLIENT_SECRET, PASSWORD = "jobyard", "the secret of a client", "a password at the provider"
User = Mapping[str, Any]


class IdentityProvider:
    """NanoIDP, which insists on PKCE and on the redirect addresses it was told. The address stays when it restarts."""

    def __init__(self, root: Path, redirects: list[str]) -> None:
        self.root = root
        self.port = free_port()
        self.issuer = f"http://127.0.0.1:{self.port}"
        self.redirects = redirects
        self._process: subprocess.Popen[bytes] | None = None
        root.mkdir(exist_ok=True)
        self._write("users.yaml", {"users": {"nobody": {"password": PASSWORD, "roles": []}}})

    def start(self) -> None:
        client = {"client_id": CLIENT, "client_secret": CLIENT_SECRET, "redirect_uris": self.redirects}
        oauth = {"issuer": self.issuer, "require_pkce": True, "clients": [client]}
        self._write("settings.yaml", {"server": {"port": self.port}, "oauth": oauth})
        with (self.root / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "nanoidp", "--config", str(self.root), "--port", str(self.port)],
                stdout=log,
                stderr=log,
                env={"PATH": os.environ["PATH"], "HOME": str(self.root)},
                cwd=self.root,
            )
        eventually(self._is_up, 60.0)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def set_user(self, name: str, **fields: Any) -> None:
        """Have a user with such `roles`, `email`, `attributes`, …, from now on."""
        users = yaml.safe_load((self.root / "users.yaml").read_text())["users"]
        users[name] = {"password": PASSWORD, "roles": [], **fields}
        self._write("users.yaml", {"users": users})
        if self._process is not None:
            self.ask("POST", "/api/config/reload")

    def ask(self, method: str, path: str) -> Any:
        answer = httpx2.request(method, self.issuer + path)
        assert answer.is_success, answer.text
        return answer.json()

    def answer(self, address: str, user: str) -> str:
        """What the provider sends a browser to, whose user logs in where this server has sent it."""
        with httpx2.Client() as browser:
            page = browser.get(address)
            assert page.status_code == 200, page.text
            hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.text))
            sent = browser.post(address, data={**hidden, "username": user, "password": PASSWORD})
            assert sent.is_redirect, sent.text
            return sent.headers["location"]

    def _is_up(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.root / "log").read_text()
        with suppress(httpx2.TransportError):
            return httpx2.get(f"{self.issuer}/api/health").is_success
        return False

    def _write(self, name: str, document: Any) -> None:
        (self.root / name).write_text(yaml.safe_dump({"config_version": 1, **document}))


@contextmanager
def identity_provider(root: Path, *redirects: str) -> Iterator[IdentityProvider]:
    provider = IdentityProvider(root, list(redirects))
    provider.start()
    try:
        yield provider
    finally:
        provider.stop()
