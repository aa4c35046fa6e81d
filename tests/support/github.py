"""A double of GitHub's API as it documents Apps: JWTs are checked, tokens are for what they were asked for.

It answers over HTTP on 127.0.0.1 (`github`), and in this process (`GitHub.send`), the same.
"""

from __future__ import annotations

import hmac
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from app.domain.github_apps import EVENTS, PERMISSIONS
from app.domain.http import HttpAnswer, HttpRequest
from tests.support.clock import Clock

APP_ID, WEBHOOK_SECRET = 4711, "the secret that GitHub chose for the App"
Json = dict[str, Any]
Answer = tuple[int, Mapping[str, str], Any]


def new_pem() -> str:
    """A private key as GitHub gives one."""
    key = rsa.generate_private_key(65537, 2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()


PEM = new_pem()


def signed(body: bytes, secret: str, event: str, guid: str) -> dict[str, str]:
    """The headers of a call of GitHub's."""
    return {
        "X-GitHub-Event": event,
        "X-GitHub-Delivery": guid,
        "X-Hub-Signature-256": "sha256=" + hmac.digest(secret.encode(), body, "sha256").hex(),
        "Content-Type": "application/json",
    }


@dataclass
class GitHub:
    """`repositories` are those that the one installation reaches, with what is private; the clock is GitHub's."""

    clock: Clock
    pem: str = PEM
    owner: str = "acme"
    repositories: dict[str, bool] = field(default_factory=lambda: {"acme/report": True})
    permissions: Json = field(default_factory=lambda: dict(PERMISSIONS))
    events: list[str] = field(default_factory=lambda: list(EVENTS))
    is_suspended: bool = False
    is_deleted: bool = False
    is_installed: bool = True
    code: str = ""  # of a manifest that somebody accepted
    says: list[Answer] = field(default_factory=list)  # answers that come before its own
    tokens: dict[str, tuple[list[str], datetime]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)
    calls: list[Json] = field(default_factory=lambda: [{"event": "push", "status_code": 202}])
    checks: list[Json] = field(default_factory=list)
    posted: list[tuple[str, Json]] = field(default_factory=list)  # statuses, by commit
    at: str = "https://api.github.com"

    def send(self, request: HttpRequest) -> HttpAnswer:
        target = urlsplit(request.url)
        path = target.path.removeprefix(urlsplit(self.at).path) + (f"?{target.query}" if target.query else "")
        status, headers, body = self.answer(request.method, path, request.headers, request.json)
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return HttpAnswer(status, headers, raw[: request.reads])

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: Any) -> Answer:
        self.asked.append((method, path))
        self.bodies.append(body)
        dated = {"date": format_datetime(self.clock.now().astimezone(UTC), usegmt=True)}
        if self.says:
            status, more, said = self.says.pop(0)
            return status, {**dated, **more}, said
        status, said = self._answer(method, path, headers.get("Authorization", ""), body)
        return status, dated, said

    def _answer(self, method: str, path: str, authorization: str, body: Any) -> tuple[int, Any]:
        where = urlsplit(path)
        parts = where.path.strip("/").split("/")
        match method, parts:
            case "POST", ["app-manifests", code, "conversions"]:
                return self._converted(code)
            case "GET" | "POST" | "PATCH", ["repos", owner, name, "check-runs", *_]:
                return self._check(method, parts, f"{owner}/{name}", authorization, body)
            case "POST", ["repos", owner, name, "statuses", sha]:
                if f"{owner}/{name}" not in self.opened_by(authorization):
                    return 401, {"message": "Bad credentials"}
                self.posted.append((sha, body))
                return 201, body
            case "GET", ["installation", "repositories"]:
                return self._listed(authorization, parse_qs(where.query))
        if (refused := self._as_app(authorization)) is not None:
            return refused
        match method, parts:
            case "GET", ["app"]:
                return 200, {**self._app(), "permissions": self.permissions, "events": self.events}
            case "GET", ["app", "hook", "deliveries"]:
                return 200, self.calls
            case "GET", ["app", "installations"]:
                return 200, [self._installation()] if self.is_installed else []
            case "GET", ["repos", owner, name, "installation"]:
                return (200, self._installation()) if f"{owner}/{name}" in self.repositories else _missing()
            case "POST", ["app", "installations", "17", "access_tokens"]:
                return self._token((body or {}).get("repositories"))
        return _missing()

    def _as_app(self, authorization: str) -> tuple[int, Any] | None:
        """What GitHub answers to a JWT that it does not take; None for a good one."""
        public = RSAKey.import_key(self.pem)
        try:
            claims = jwt.decode(authorization.removeprefix("Bearer "), public, ["RS256"]).claims
        except (JoseError, ValueError):
            return 401, {"message": "A JSON web token could not be decoded"}
        now = self.clock.now().timestamp()
        if claims["iat"] > now:
            said = "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued"
            return 401, {"message": said}
        if claims["exp"] > now + 600 or claims["exp"] < now:
            return 401, {"message": "'Expiration time' claim ('exp') is too far in the future"}
        if self.is_deleted or claims["iss"] != str(APP_ID):
            return 404, {"message": "Integration not found"}
        return None

    def _token(self, names: list[str] | None) -> tuple[int, Any]:
        if self.is_suspended:
            return 403, {"message": "This installation has been suspended"}
        wanted = [f"{self.owner}/{name}" for name in names or []]
        if any(each not in self.repositories for each in wanted):
            said = (
                "There is at least one repository that does not exist or is not accessible to the parent"
                " installation."
            )
            return 422, {"message": said}
        token, ends = f"ghs_{len(self.tokens) + 1}", self.clock.now() + timedelta(hours=1)
        self.tokens[token] = (wanted or [*self.repositories], ends)
        return 201, {"token": token, "expires_at": ends.strftime("%Y-%m-%dT%H:%M:%SZ")}

    def opened_by(self, authorization: str) -> list[str]:
        """The repositories that a token opens now."""
        found, ends = self.tokens.get(authorization.removeprefix("Bearer "), ([], self.clock.now()))
        return found if ends > self.clock.now() else []

    def _listed(self, authorization: str, query: Mapping[str, list[str]]) -> tuple[int, Any]:
        if not (opened := self.opened_by(authorization)):
            return 401, {"message": "Bad credentials"}
        size, page = int(query["per_page"][0]), int(query["page"][0])
        some = opened[(page - 1) * size : page * size]
        listed = [
            {
                "full_name": each,
                "clone_url": f"https://github.com/{each}.git",
                "private": self.repositories[each],
            }
            for each in some
        ]
        return 200, {"total_count": len(opened), "repositories": listed}

    def _check(
        self, method: str, parts: list[str], repository: str, authorization: str, body: Any
    ) -> tuple[int, Any]:
        if repository not in self.opened_by(authorization):
            return 401, {"message": "Bad credentials"}
        if self.permissions.get("checks") != "write":
            return 403, {"message": "Resource not accessible by integration"}
        if method == "POST":
            self.checks.append({**body, "id": len(self.checks) + 1})
            return 201, self.checks[-1]
        check = self.checks[int(parts[-1]) - 1]
        check.update(body)
        return 200, check

    def _converted(self, code: str) -> tuple[int, Any]:
        if code != self.code or not code:
            return _missing()
        self.code = ""
        return 201, {**self._app(), "pem": self.pem, "webhook_secret": WEBHOOK_SECRET, "client_id": "Iv1.1"}

    def _app(self) -> Json:
        return {"id": APP_ID, "slug": "jobyard-acme", "html_url": "https://github.com/apps/jobyard-acme"}

    def _installation(self) -> Json:
        return {
            "id": 17,
            "account": {"login": self.owner},
            "html_url": f"https://github.com/organizations/{self.owner}/settings/installations/17",
            "suspended_at": "2026-03-01T12:00:00Z" if self.is_suspended else None,
        }


def _missing() -> tuple[int, Any]:
    return 404, {"message": "Not Found", "documentation_url": "https://docs.github.com/rest"}


@contextmanager
def served(double: GitHub) -> Iterator[str]:
    """Yield the address of the API of the double, over HTTP."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            status, headers, said = double.answer(
                self.command, self.path.removeprefix("/api/v3"), dict(self.headers.items()), body
            )
            raw = said if isinstance(said, bytes) else json.dumps(said).encode()
            self.send_response_only(status)
            for name, value in {**headers, "Content-Length": str(len(raw))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(raw)

        do_GET = do_POST = do_PATCH = _answer

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/api/v3"
    finally:
        server.shutdown()
        server.server_close()
