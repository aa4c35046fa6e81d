"""A server's context on a database of its own, with a clock that stands still, and no loops: tests do theirs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException

from app.checkout import Checkouts
from app.checkout.urls import parse_remote
from app.commands.continuous_delivery import after_build
from app.commands.dry_run import DryRun
from app.commands.retention import Retention
from app.commands.tokens import digest
from app.domain.job.records import Pinned
from app.domain.plans import DEFAULT_PLANS
from app.domain.pushes import Standing
from app.domain.redaction import Redactor
from app.domain.references import Ours
from app.domain.retention import Limits
from app.domain.runs import Outcome, conclude
from app.forges.base import Forge
from app.forges.github import GitHub
from app.logs import Stream
from app.oidc import Provider
from app.runtime.engine_health import EngineHealth
from app.runtime.log_storage import LogStorage
from app.runtime.signals import Signals
from app.secrets import SecretBox, first_ring
from app.store import builds, run_attempts, runs
from app.store.database import Database
from app.store.inbox import Inbox
from app.web.api import api_routes
from app.web.problems import answer_with_problem
from app.web.server_context import ServerContext
from tests.support.client import Client
from tests.support.clock import Clock, Names
from tests.support.databases import empty_sqlite, quick_sqlite

ADMIN_TOKEN = "the token of the tests' administrator"
TRANSPORTS = frozenset({"https", "ssh"})
API = "/api/v1"
KEY = b"a key of the tests, random enough"


def pinned(reference: str) -> Pinned:
    """A registry that knows every image, each by a digest of its own."""
    digest_ = "sha256:" + hashlib.sha256(reference.encode()).hexdigest()
    repository = reference.partition("@")[0].rpartition(":")[0] or reference
    return Pinned(f"{repository}@{digest_}", digest_)


def check_git_url(url: str) -> None:
    parse_remote(url, TRANSPORTS)


@dataclass(frozen=True)
class Furnished:
    """What an installation had: the file of its database, and how many names it had given."""

    database: bytes
    names: int


def furnished_by(*steps: Callable[[Caller], None]) -> Furnished:
    """What an administrator's calls make of an empty installation, for many tests to begin with."""
    with TemporaryDirectory() as folder:
        root = Path(folder)
        with make_server_context(root) as context:
            for step in steps:
                step(Caller(context))
            given = context.names.given  # type: ignore[attr-defined]
        return Furnished((root / "jobyard.db").read_bytes(), given)


@contextmanager
def make_server_context(root: Path, furnished: Furnished | None = None) -> Iterator[ServerContext]:
    """The context of a server on an installation in `root`, empty or with what another one had."""
    furnished = furnished or Furnished(empty_sqlite(), 0)
    (root / "jobyard.db").write_bytes(furnished.database)
    signals = Signals()
    db = quick_sqlite(root / "jobyard.db", signals.publish)
    inbox, log_storage = Inbox(db), LogStorage(root / "logs", signals, cap_bytes=1_000_000)
    yield server_context(root, db, inbox, signals, log_storage, names=Names(furnished.names))
    inbox.close()
    db.close()


def server_context(
    root: Path, db: Database, inbox: Inbox, signals: Signals, log_storage: LogStorage, **changes: Any
) -> ServerContext:
    """What the web of a server stands on: with a clock that stands still, a registry that knows every image, and an
    engine that is up; `changes` are its fields.
    """
    clock, vault = (
        changes.pop("clock", None) or Clock(),
        changes.pop("vault", None) or SecretBox(first_ring(KEY)),
    )
    forges: dict[str, Forge] = {"github": GitHub()}
    ours = Ours("jobyard-0123456789ab", "registry.jobyard.example/team")
    fields: dict[str, Any] = {
        "names": Names(),
        "dry_run": DryRun(db, clock, forges, Checkouts(root / "checkouts", frozenset({"file"})), vault),
        "retention": Retention(db, clock, log_storage, Limits(), ours),
        "forges": forges,
        "plans": {plan.name: plan for plan in DEFAULT_PLANS},
        "ours": ours,
        "public_url": "https://jobyard.example.com",
        "check_git_url": check_git_url,
        "pin_image": lambda _job, image: pinned(image),
        "missing_images": lambda _images: frozenset(),
        "engine_health": lambda: EngineHealth(is_up=True, sentence="The engine answers."),
        "admin_token_hash": digest(ADMIN_TOKEN),
        "provider": Provider("https://id.example.com", "jobyard", "the secret of a client", "roles"),
    }
    return ServerContext(
        db=db,
        inbox=inbox,
        clock=clock,
        vault=vault,
        signals=signals,
        log_storage=log_storage,
        **fields | changes,
    )


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
