"""An installation whose commits' statuses are posted to a double of GitHub."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from app import outbound
from app.bootstrap.forges import make_forge_apis
from app.commands.credentials import CredentialDraft, define_credential
from app.domain.egress import Egress
from app.domain.http import HttpAnswer, HttpRequest
from app.store import commit_statuses, projects
from app.store.commit_statuses import Status
from app.workers.statuses import StatusWorker
from tests.support.github_api import TOKEN, GitHubDouble
from tests.support.installation import Installation

PUBLIC_URL = "https://ci.acme.example"


def send_here(request: HttpRequest, seconds: float = 30.0) -> HttpAnswer:
    """To the double, which is on this machine."""
    return outbound.send(Egress(), request, seconds)


@dataclass
class ToldForge:
    """`worker` posts; `credential` is that for github.com, whose API is the double's."""

    place: Installation
    github: GitHubDouble
    worker: StatusWorker = field(init=False)

    def __post_init__(self) -> None:
        self.worker = self.another()

    def another(self, db: Any = None, send: Callable[[HttpRequest], HttpAnswer] = send_here) -> StatusWorker:
        """The worker of one more server."""
        place = self.place
        return StatusWorker(db or place.db, place.clock, place.box, make_forge_apis(), send, PUBLIC_URL)

    def allow(self, secret: str | None = TOKEN, **draft: Any) -> None:
        """Keep a credential by which statuses may be posted."""
        given = {"name": "github", "host": "github.com", "username": "", "api_url": self.github.url, **draft}
        with self.place.db.write() as tx:
            project = projects.with_id(tx, self.place.project.id)
            now = self.place.clock.now()
            define_credential(
                tx, self.place.box, project, CredentialDraft(kind="git", secret=secret, **given), now
            )

    def tell(self) -> None:
        """Until nothing more is to be told now."""
        for _ in range(20):
            if not self.worker.step():
                return
        raise AssertionError("it never ends")

    def statuses(self) -> Sequence[Status]:
        with self.place.db.read() as tx:
            ids = range(1, 1000)
            return commit_statuses.about(tx, builds=ids, runs=ids, decisions=ids)
