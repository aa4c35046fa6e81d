"""A Git server, a build backend and an outbox in memory."""

from __future__ import annotations

import hashlib
import itertools
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp

from app.checkout import Credential, RefNotFound
from app.domain.events import BRANCH_PREFIX
from app.domain.repository_file import FileRefused
from app.engines.fake import World
from builders.backends.base import BuildCancelled, BuildRequest, BuiltImage, Step, StopSignal

DOCKERFILE = {"Dockerfile": "FROM busybox\nCMD ./report\n"}


@dataclass
class Repository:
    """A Git server in memory: what a commit holds, what differs, what contains what. Implements `Checkouts`."""

    root: Path
    files: dict[str, Mapping[str, str]] = field(default_factory=dict)
    differing: dict[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    merge_bases: dict[tuple[str, str], str] = field(default_factory=dict)
    messages: dict[str, str] = field(default_factory=dict)  # of commits that no payload lists
    history: list[str] = field(default_factory=list)  # oldest first, where commits contain one another
    elsewhere: set[str] = field(default_factory=set)  # commits that none of the history contains
    faults: list[Exception] = field(default_factory=list)  # raised by the next fetches
    heads: dict[str, str] = field(default_factory=dict)  # of branches
    asked: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)  # for heads: address, branches
    fetched: Counter[str] = field(default_factory=Counter)
    credentials: list[Credential | None] = field(default_factory=list)  # that it was fetched with

    def fetch(
        self,
        url: str,
        *,
        sha: str | None,
        ref: str | None,
        credential: Credential | None = None,
        should_stop: StopSignal | None = None,
    ) -> str:
        self.credentials.append(credential)
        if self.faults:
            raise self.faults.pop(0)
        known = [*self.fetched, *self.history]
        head = self.heads.get((ref or "").removeprefix(BRANCH_PREFIX))
        found = sha or head or next(reversed(known), None)
        if found is None:
            raise RefNotFound(f"The branch {ref} does not exist in {url}.")
        self.fetched[found] += 1
        return found

    @contextmanager
    def tree(self, url: str, sha: str, **_: object) -> Iterator[Path]:
        folder = Path(mkdtemp(dir=self.root))
        for name, content in self.files.get(sha, DOCKERFILE).items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        try:
            yield folder
        finally:
            shutil.rmtree(folder)

    def file_at(self, url: str, sha: str, path: str, most_bytes: int) -> bytes | None:
        content = self.files.get(sha, DOCKERFILE).get(path)
        if content is not None and len(content) > most_bytes:
            raise FileRefused(f"{path} is longer than {most_bytes // 1024} KiB.")
        return None if content is None else content.encode()

    def changed_files(self, url: str, before: str, after: str) -> frozenset[str] | None:
        return self.differing.get((before, after))

    def flagged_commit(
        self, url: str, before: str, after: str, flags: Sequence[str]
    ) -> tuple[str, str] | None:
        said = [(sha, flag) for sha, message in self.messages.items() for flag in flags if flag in message]
        return next(iter(said), None)

    def heads_of(
        self, url: str, branches: Sequence[str], credential: Credential | None = None
    ) -> dict[str, str]:
        self.asked.append((url, tuple(branches)))
        self.credentials.append(credential)
        if self.faults:
            raise self.faults.pop(0)
        return {branch: self.heads[branch] for branch in branches if branch in self.heads}

    def branches_of(self, url: str, credential: Credential | None = None) -> tuple[str, ...]:
        self.credentials.append(credential)
        if self.faults:
            raise self.faults.pop(0)
        return tuple(self.heads)

    def merge_base(self, url: str, one: str, other: str) -> str | None:
        return self.merge_bases.get((one, other))

    def message_of(self, url: str, sha: str) -> str:
        return self.messages.get(sha, "")

    def is_ancestor(self, url: str, older: str, newer: str) -> bool | None:
        if older in self.elsewhere or older == newer:
            return older == newer
        if older not in self.history or newer not in self.history:
            return None
        return self.history.index(older) <= self.history.index(newer)


@dataclass
class Backend:
    """Builds nothing; `before_end` is what happens during the next builds of a commit: wait, raise, look.

    A commit's image is always the same, unless the engine lost it: what is built then has another digest.
    """

    world: World = field(default_factory=World)
    built: Counter[str] = field(default_factory=Counter)
    before_end: defaultdict[str, list[Callable[[StopSignal], None]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    requests: list[BuildRequest] = field(default_factory=list)

    def build(
        self,
        request: BuildRequest,
        *,
        on_output: Callable[[bytes], None],
        on_step: Callable[[Step], None],
        should_stop: StopSignal,
        time_limit_seconds: float | None,
    ) -> BuiltImage:
        self.requests.append(request)
        sha = request.build_args["JOBYARD_GIT_SHA"]
        on_step(Step(1, 1, "FROM busybox", 0.0))
        on_output(b"#1 FROM busybox\n")
        if self.before_end[sha]:
            self.before_end[sha].pop(0)(should_stop)
        if should_stop.is_set():
            raise BuildCancelled
        on_step(Step(1, 1, "FROM busybox", 0.0, 0.5))
        self.built[sha] += 1
        images = (image_of(sha, again) for again in itertools.count())
        return BuiltImage(next(each for each in images if each not in self.world.missing_images))


@dataclass
class Outbox:
    """What was posted: address, text and key; `errors` are what the next posts end with."""

    posted: list[tuple[str, str, str]] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)

    def post(self, url: str, text: str, key: str) -> str:
        self.posted.append((url, text, key))
        if self.errors:
            raise self.errors.pop(0)
        return "The address took it with status 200."


def image_of(sha: str, again: int = 0) -> str:
    """Of a commit, or of what it was built as after the engine had lost so many."""
    return "sha256:" + hashlib.sha256(sha.encode() + b" again" * again).hexdigest()


def commit(number: int | str) -> str:
    """The SHA of a commit that tests call by a number or a letter."""
    return hashlib.sha1(str(number).encode()).hexdigest()


def fail(*errors: Exception) -> list[Callable[[StopSignal], None]]:
    """For `Backend.before_end`: the next builds end so."""

    def one(error: Exception) -> Callable[[StopSignal], None]:
        def end(_: StopSignal) -> None:
            raise error

        return end

    return [one(error) for error in errors]
