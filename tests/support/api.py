"""The API as somebody with a token sees it, and what builders and runners do meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException

from app.commands.continuous_delivery import after_build
from app.domain.pushes import Standing
from app.domain.redaction import Redactor
from app.domain.runs import Outcome, conclude
from app.logs import Stream
from app.store import builds, run_attempts, runs
from app.web.api import api_routes
from app.web.problems import answer_with_problem
from app.web.server_context import ServerContext
from tests.support.client import Client
from tests.support.installation import Installation, Stored
from tests.support.server_context import ADMIN_TOKEN

API = "/api/v1"


class Caller(Client):
    """The API as somebody with a token sees it; paths are below `/api/v1`."""

    def __init__(self, context: ServerContext, token: str | None = ADMIN_TOKEN) -> None:
        app = Starlette(
            routes=api_routes(),
            exception_handlers={HTTPException: answer_with_problem, Exception: answer_with_problem},
        )
        app.state.server = context
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        super().__init__(app, base_url=f"http://testserver{API}", headers=headers)
        self.context = context

    def made(self, path: str, body: dict[str, Any] | None = None, **headers: str) -> Any:
        """What a POST made; it must succeed."""
        answer = self.post(
            path, json=body or {}, headers={k.replace("_", "-"): v for k, v in headers.items()}
        )
        assert answer.status_code in (200, 201, 202), answer.text
        return answer.json()

    def got(self, path: str, **query: Any) -> Any:
        answer = self.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def with_token(self, role: str, project: str | None = None) -> Caller:
        """Somebody else: with a new token of that role, for one project or all."""
        body = {"name": f"{role}-{project or 'all'}", "role": role, "project": project}
        answer = self.post("/tokens", json=body)
        if answer.status_code == 409:
            answer = self.post("/tokens", json={**body, "name": f"{body['name']}-again"})
        return Caller(self.context, answer.json()["token"])


def build_succeeds(
    context: ServerContext, *, sha: str = "a" * 40, digest_: str = "sha256:" + "1" * 64
) -> int:
    """What a builder does with the build that has waited longest; returns its id."""
    now = context.clock.now()
    with context.db.write() as tx:
        build = builds.claim(tx, "tests", now)
        assert build is not None
        builds.save_plan(
            tx, build, sha=build.sha or sha, plan={"runtime": "shell"}, dockerfile="FROM scratch"
        )
        image = f"jobyard@{digest_}"
        on_branch = Standing(True, build.position)
        builds.succeed(tx, build, image=image, digest=digest_, now=now, standing=on_branch)
        after_build(tx, context.names, builds.with_id(tx, build.id), now)
    return build.id


def attempt_ends(context: ServerContext, outcome: Outcome, log: bytes = b"") -> int:
    """What a runner does with the run that has waited longest; returns its id."""
    now = context.clock.now()
    with context.db.write() as tx:
        run = runs.claim(tx, "tests", now)
        assert run is not None
        attempt = run_attempts.begin_attempt(tx, run, now)
        assert attempt is not None
    with context.log_storage.write_attempt(run.id, attempt.number, Redactor([])) as writer:
        writer.write(now, Stream.STDOUT, log)
    with context.db.write() as tx:
        current = runs.with_id(tx, run.id)
        for container in run_attempts.containers_of(tx, attempt.id):
            run_attempts.container_started(tx, current, container, {"id": container.key}, now)
            run_attempts.container_ended(tx, current, container, outcome, now)
        current = runs.with_id(tx, run.id)
        run_attempts.conclude(tx, current, attempt, outcome, conclude(current, outcome, now), now)
    return run.id


def stored_by(*steps: Callable[[Caller], None]) -> Stored:
    """What an administrator's calls make of an empty installation, for many tests to begin with."""
    with TemporaryDirectory() as folder:
        root = Path(folder) / "place"
        with Installation.bare(root) as place:
            for step in steps:
                step(Caller(place.web))
        return Stored((root / "jobyard.db").read_bytes(), place.names.given)
