"""A job whose repository lies on a Git server: commit, push, see what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.git_server import GitServer
from tests.support.repositories import Repository
from tests.support.server import JobyardServer, Json, Push


class HostedJob:
    """One repository with one job of the same name; `job` makes the job, with further fields of the API's."""

    def __init__(self, server: JobyardServer, forge: GitServer, root: Path, name: str) -> None:
        self.server = server
        self.name = name
        self.url = forge.url(f"{root.name}/{name}")
        self.repository = Repository(root / name)
        self.path = f"/projects/acme/jobs/{name}"

    def job(self, **fields: Any) -> Json:
        return self.server.make_job(self.name, self.url, **fields)

    def push(self, files: Mapping[str, str | None], message: str = "Change", **options: Any) -> Push:
        """Commit on the branch that is checked out, and send the delivery."""
        is_first = not list((self.repository.path / ".git/refs/heads").iterdir())
        before = options.pop("before", None if is_first else "")
        if before == "":
            before = self.repository.head
        self.repository.commit(dict(files), message)
        return self.send(before=before, **options)

    def send(self, **options: Any) -> Push:
        return self.server.push(self.repository, url=self.url, **options)

    def ran(self, push: Push) -> Json:
        return self.server.ran(push, self.name)

    def runs(self) -> list[Json]:
        return self.server.runs(self.name)

    def builds(self) -> list[Json]:
        return self.server.builds(self.name)

    def decision(self, push: Push) -> Json:
        """The only one about this push."""
        self.server.settled(push)
        (decision,) = self.server.decisions(push)
        return decision

    def start(self, **overrides: Any) -> Json:
        """A run by the API."""
        return self.server.api("POST", f"{self.path}/runs", overrides)
