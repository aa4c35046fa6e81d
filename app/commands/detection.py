"""What a repository has: its branches, and what the head of one would be built as. Nothing is stored."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from app.checkout import Checkouts
from app.commands.builds import build_settings
from app.commands.remote_access import git_access
from app.commands.sources import credential_for
from app.domain.build_parts import PlanDocument, plan_from_json
from app.domain.errors import InvalidValue, TransientError, UserError, require_consistent
from app.domain.hosts import git_host
from app.domain.job.rules import of_build
from app.domain.job.spec import BuildConfig, GitSource
from app.runtime.ports import Vault
from app.runtime.threads import with_deadline
from app.store.database import Database
from app.store.projects import Project
from builders.plan import PlanError
from builders.source import SourceTree

T = TypeVar("T")
WAITING_AT_ONCE = 8


@dataclass(frozen=True)
class Detected:
    """What a commit would be built as, and the recipe."""

    sha: str
    plan: PlanDocument
    dockerfile: str


@dataclass(frozen=True)
class Examined:
    """What a look at the head of a branch found: what it would be built as, or `problem`, why that can't be said.

    `types` and `directories` as in `builders.detect.Choices`.
    """

    sha: str
    detected: Detected | None
    problem: str
    types: tuple[tuple[str, str], ...]
    directories: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Detection:
    """Asks Git servers, and looks at what they give, while a request waits: for `seconds`, and few at once.

    What takes longer goes on beside, so that the next try finds what was fetched meanwhile.
    """

    db: Database
    checkouts: Checkouts
    vault: Vault
    seconds: float = 30.0
    turns: threading.BoundedSemaphore = field(
        default_factory=partial(threading.BoundedSemaphore, WAITING_AT_ONCE)
    )

    def look_at(self, project: Project | None, git: GitSource, at: str) -> Detected:
        """What the head of a branch would be built as; `at` comes before the names of the source's fields.

        Raises Contradictions, InvalidValue or TransientError where that can't be said.
        """
        require_consistent(of_build(git.build, f"{at}build"))
        return self.detect(git.url, git.branch, git.build, self.credential_of(project, git, at))

    def credential_of(self, project: Project | None, git: GitSource, at: str) -> int | None:
        """The id of the credential that is named, if any. Raises InvalidValue for one that may not be sent there."""
        if project is None:
            return None
        with self.db.read() as tx:
            return credential_for(
                tx, project, git.credential, "git", git_host(git.url), f"{at}git.credential"
            )

    def detect(
        self, url: str, branch: str, config: BuildConfig, credential_id: int | None = None
    ) -> Detected:
        """What the head of a branch would be built as. Raises InvalidValue with the reason where it can't be, and
        TransientError where Git does not answer in time.
        """

        def look() -> Detected:
            with self._head_of(url, branch, config, credential_id) as (sha, tree):
                return _detected(sha, tree, config)

        try:
            return self._in_time(look)
        except PlanError as error:
            raise InvalidValue("detect.build", str(error)) from error
        except UserError as error:
            raise InvalidValue("detect.git", str(error)) from error

    def examine(self, url: str, branch: str, config: BuildConfig, credential_id: int | None) -> Examined:
        """What the head of a branch would be built as, and what could be chosen instead.

        Raises InvalidValue where Git gives no commit, TransientError where it does not answer.
        """

        def look() -> Examined:
            with self._head_of(url, branch, config, credential_id) as (sha, tree):
                from builders.detect import find_choices

                found = find_choices(tree, build_settings(config))
                try:
                    detected, problem = _detected(sha, tree, config), ""
                except PlanError as error:
                    detected, problem = None, str(error)
                return Examined(sha, detected, problem, found.types, found.directories)

        try:
            return self._in_time(look)
        except UserError as error:
            raise InvalidValue("git", str(error)) from error

    @contextmanager
    def _head_of(
        self, url: str, branch: str, config: BuildConfig, credential_id: int | None
    ) -> Iterator[tuple[str, SourceTree]]:
        with self.db.read() as tx:
            credential = git_access(tx, self.vault, credential_id, url)
        sha = self.checkouts.fetch(url, sha=None, ref=branch, credential=credential)
        with self.checkouts.tree(
            url, sha, submodules=config.submodules, lfs=config.lfs, credential=credential
        ) as tree:
            yield sha, SourceTree(tree)

    def _in_time(self, ask: Callable[[], T]) -> T:
        """Raises TransientError where that takes too long, or too many wait already."""
        if not self.turns.acquire(blocking=False):
            raise TransientError("Too many requests wait for Git servers: try again in a moment.")

        def asked() -> T:
            try:
                return ask()
            finally:
                self.turns.release()

        try:
            return with_deadline(self.seconds, "detection", asked)
        except TimeoutError:
            raise TransientError(
                f"Git has not answered within {self.seconds:g} s. It goes on beside: try again in a moment."
            ) from None

    def branches(self, url: str, credential_id: int | None) -> tuple[str, ...]:
        """The branches of a repository, its default first. Raises InvalidValue, TransientError."""
        with self.db.read() as tx:
            credential = git_access(tx, self.vault, credential_id, url)
        try:
            return self._in_time(partial(self.checkouts.branches_of, url, credential))
        except UserError as error:
            raise InvalidValue("git.url", str(error)) from error


def _detected(sha: str, tree: SourceTree, config: BuildConfig) -> Detected:
    from builders.detect import make_plan  # with all languages
    from builders.render import render_dockerfile

    plan = make_plan(tree, build_settings(config, start_required=False))
    return Detected(
        sha, plan_from_json(plan.to_json()), plan.dockerfile_text or render_dockerfile(plan) or ""
    )
