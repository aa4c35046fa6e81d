"""A whole yard on a database of its own, with a clock that stands still and no loops: tests do what loops would do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.testclient import TestClient

from app.checkout.urls import parse_remote
from app.domain.plans import DEFAULT_PLANS
from app.forges.github import GitHub
from app.orchestration.logbook import Logbook
from app.orchestration.signals import Signals
from app.secrets import SecretBox
from app.store.database import Database
from app.store.inbox import Inbox
from app.store.schema import metadata
from app.web.api import api_routes
from app.web.principal import digest
from app.web.problems import answer_with_problem
from app.web.yard import EngineHealth, Yard

ADMIN_TOKEN = "the token of the tests' administrator"
START = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
TRANSPORTS = frozenset({"https", "ssh"})
API = "/api/v1"


@dataclass
class StillClock:
    """Stands still until a test moves it."""

    at: datetime = START

    def now(self) -> datetime:
        return self.at

    def advance(self, **by: float) -> None:
        self.at += timedelta(**by)


@dataclass
class CountedNames:
    """Suffixes in order: 00001, 00002, …"""

    numbers: Iterator[int] = field(default_factory=partial(count, 1))

    def suffix(self) -> str:
        return f"{next(self.numbers):05d}"


def check_git_url(url: str) -> None:
    parse_remote(url, TRANSPORTS)


@contextmanager
def make_yard(root: Path) -> Iterator[Yard]:
    """An installation in `root`."""
    signals = Signals()
    db = Database(f"sqlite:///{root / 'jobyard.db'}", signals.publish)
    db.migrate()
    metadata.create_all(db._engine)  # tables that have no migration yet
    inbox = Inbox(db)
    yield Yard(
        db=db,
        inbox=inbox,
        clock=StillClock(),
        names=CountedNames(),
        vault=SecretBox([b"a key of the tests, random enough"]),
        signals=signals,
        logbook=Logbook(root / "logs", signals, cap_bytes=1_000_000),
        forges={"github": GitHub()},
        plans={plan.name: plan for plan in DEFAULT_PLANS},
        public_url="https://jobyard.example.com",
        check_git_url=check_git_url,
        engine_health=lambda: EngineHealth(is_up=True, sentence="The engine answers."),
        admin_token_hash=digest(ADMIN_TOKEN),
    )
    inbox.close()
    db.close()


class Caller(TestClient):
    """The API as somebody with a token sees it; paths are below `/api/v1`."""

    def __init__(self, yard: Yard, token: str | None = ADMIN_TOKEN) -> None:
        app = Starlette(
            routes=api_routes(),
            exception_handlers={HTTPException: answer_with_problem, Exception: answer_with_problem},
        )
        app.state.yard = yard
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        super().__init__(app, base_url=f"http://testserver{API}", headers=headers)
        self.yard = yard

    def made(self, path: str, body: dict[str, Any] | None = None, **headers: str) -> Any:
        """What a POST made; it must succeed."""
        answer = self.post(path, json=body or {}, headers={k.replace("_", "-"): v for k, v in headers.items()})
        assert answer.status_code in (200, 201, 202), answer.text
        return answer.json()

    def got(self, path: str, **query: Any) -> Any:
        answer = self.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def with_token(self, role: str, project: str | None = None) -> Caller:
        """Somebody else: with a new token of that role, for one project or all."""
        body = {"name": f"{role}-{project or 'all'}", "role": role, "project": project}
        return Caller(self.yard, self.made("/tokens", body)["token"])


__all__ = ["ADMIN_TOKEN", "API", "Caller", "CountedNames", "StillClock", "make_yard"]
