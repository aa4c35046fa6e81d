"""A double of GitHub's API, over real HTTP, held to what GitHub documents of statuses and webhooks.

Those are docs.github.com/rest/commits/statuses, …/rest/repos/webhooks and …/rest/using-the-rest-api.
"""

from __future__ import annotations

import json
import re
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "ghp_token-of-the-double"
STATES = {"error", "failure", "pending", "success"}
STATUS = re.compile(r"/repos/(?P<repository>[^/]+/[^/]+)/statuses/(?P<sha>[0-9a-f]{40})")
BY_ID = re.compile(r"/repositories/(?P<id>\d+)/statuses/(?P<sha>[0-9a-f]{40})")
HOOKS = re.compile(r"/repos/(?P<repository>[^/]+/[^/]+)/hooks(?:/(?P<id>\d+))?(?:\?per_page=100)?")


@dataclass(frozen=True)
class Answer:
    status: int
    body: Any = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)


NOT_FOUND = Answer(404, {"message": "Not Found", "status": "404"})


@dataclass
class GitHubDouble:
    """`faults` are answered first, one a request; a None among them never answers, until the double is closed.

    `rewritten` are commits that are gone. `renamed` maps a repository's old name to the new one. `may` are the token's
    permissions.
    """

    url: str = ""
    faults: deque[Answer | None] = field(default_factory=deque)
    rewritten: set[str] = field(default_factory=set)
    renamed: dict[str, str] = field(default_factory=dict)
    may: set[str] = field(default_factory=lambda: {"statuses", "hooks"})
    posted: list[dict[str, Any]] = field(default_factory=list)
    hooks: dict[int, dict[str, Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)

    def states(self, context: str | None = None, sha: str | None = None) -> list[str]:
        """All that was posted, oldest first."""
        return [
            each["state"]
            for each in self.posted
            if context in (None, each["context"]) and sha in (None, each["sha"])
        ]

    def shown(self, sha: str) -> dict[str, tuple[str, str, str | None]]:
        """What GitHub shows of a commit: the newest state, description and link of each context."""
        return {
            each["context"]: (each["state"], each["description"], each.get("target_url"))
            for each in self.posted
            if each["sha"] == sha
        }

    def answer(self, method: str, path: str, headers: Any, body: Any) -> Answer | None:
        self.asked.append(f"{method} {path}")
        if self.faults:
            return self.faults.popleft()
        if not headers.get("User-Agent"):
            return Answer(403, {"message": "Request forbidden by administrative rules."})
        if headers.get("Authorization") != f"Bearer {TOKEN}":
            return Answer(401, {"message": "Bad credentials", "status": "401"})
        if method == "POST" and (found := STATUS.fullmatch(path)):
            return self._status(found["repository"], found["sha"], body)
        if method == "POST" and (found := BY_ID.fullmatch(path)):
            return self._post(found["sha"], body)
        if found := HOOKS.fullmatch(path):
            return self._hooks(method, found["repository"], found["id"], body)
        return NOT_FOUND

    def _status(self, repository: str, sha: str, body: Any) -> Answer:
        if repository in self.renamed:
            there = f"{self.url}/repositories/1296269/statuses/{sha}"
            return Answer(307, {"message": "Temporary Redirect", "url": there}, {"Location": there})
        return self._post(sha, body)

    def _post(self, sha: str, body: Any) -> Answer:
        if "statuses" not in self.may:
            return Answer(403, {"message": "Resource not accessible by personal access token"})
        if not isinstance(body, dict) or body.get("state") not in STATES:
            return Answer(422, {"message": "Validation Failed", "errors": [{"field": "state"}]})
        if len(body.get("description") or "") > 140 or len(body.get("context") or "") > 255:
            return Answer(422, {"message": "Validation Failed", "errors": [{"code": "too_long"}]})
        if sha in self.rewritten:
            return Answer(422, {"message": f"No commit found for SHA: {sha}"})
        self.posted.append({**body, "sha": sha})
        return Answer(201, {"id": len(self.posted), **body})

    def _hooks(self, method: str, repository: str, hook_id: str | None, body: Any) -> Answer:
        if "hooks" not in self.may:
            return NOT_FOUND  # GitHub does not tell that there is something
        if repository in self.renamed and method == "GET":
            there = f"{self.url}/repositories/1296269/hooks"
            return Answer(301, {"message": "Moved Permanently"}, {"Location": there})
        if method == "GET":
            return Answer(200, [self._shown(number) for number in self.hooks])
        if method == "POST":
            if any(each["config"]["url"] == body["config"]["url"] for each in self.hooks.values()):
                return Answer(
                    422,
                    {
                        "message": "Validation Failed",
                        "errors": [{"message": "Hook already exists on this repository"}],
                    },
                )
            number = len(self.hooks) + 1
            self.hooks[number] = {
                **body,
                "last_response": {"code": None, "status": "unused", "message": None},
            }
            return Answer(201, self._shown(number))
        known = self.hooks.get(int(hook_id or 0))
        if known is None:
            return NOT_FOUND
        known["events"] = sorted({*known["events"], *body.pop("add_events", [])})
        known |= body
        return Answer(200, self._shown(int(hook_id or 0)))

    def _shown(self, number: int) -> dict[str, Any]:
        hook = self.hooks[number]
        return {"id": number, **hook, "config": {**hook["config"], "secret": "********"}}


@contextmanager
def github_double() -> Iterator[GitHubDouble]:
    double = GitHubDouble()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            text = self.rfile.read(size)
            answer = double.answer(self.command, self.path, self.headers, json.loads(text) if text else None)
            if answer is None:
                double.closing.wait()
                self.close_connection = True
                return
            body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
            self.send_response(answer.status)
            for name, value in {**answer.headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = _answer

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    double.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield double
    finally:
        double.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()
