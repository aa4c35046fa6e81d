"""The door to Git for the rest of the server."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from app.checkout.command import GitCommand, StopSignal
from app.checkout.credential import Access, Credential, Pin, TokenSource, access, pin_nowhere
from app.checkout.failures import AuthRefused, CommitNotFound, MirrorDamaged, RepositoryNotFound
from app.checkout.lfs import LargeFiles
from app.checkout.mirror import Mirror
from app.checkout.submodules import Filling, Place
from app.checkout.trees import Slot, filled, work_tree
from app.checkout.upkeep import Tended, tend
from app.checkout.urls import Remote, full_ref, parse_remote
from app.domain.errors import GitUnavailable, InvalidValue
from app.domain.events import Commit, repo_key
from app.domain.repository_file import FileRefused

_SHA = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class Checkouts:
    """Mirrors and work trees below `root`, for any number of threads and processes.

    `allow` are the Git transports of `JOBYARD_GIT_ALLOW`. `git_time_limit_seconds` bounds each single Git
    command, `stall_seconds` how long an HTTP server may say next to nothing. `max_file_bytes` bounds one pack of a
    fetch and one file of a work tree. `pin` remembers the host keys that an ssh server showed first. Every method
    blocks; call it from a thread. A `sha` is 40 lower-case hexadecimal digits; a `ref` is a branch or a full name such
    as `refs/tags/v1`.
    """

    root: Path
    allow: frozenset[str]
    git_time_limit_seconds: float = 600.0
    stall_seconds: int = 30
    max_file_bytes: int = 4 * 1024**3
    pin: Pin = pin_nowhere
    tokens: TokenSource | None = None  # of GitHub Apps

    def validate_url(self, url: str) -> None:
        """Raise `InvalidValue` with the reason unless the URL may be fetched."""
        parse_remote(url, self.allow)

    def fetch(
        self,
        url: str,
        *,
        sha: str | None,
        ref: str | None,
        credential: Credential | None = None,
        should_stop: StopSignal | None = None,
    ) -> str:
        """Bring a commit here and return its SHA: of `sha`, else of what `ref` is at now; tags are peeled.

        Both may be given: `ref` then is the way to `sha` for servers that don't hand out single commits.
        Raises `CommitNotFound`, `RefNotFound`, `RepositoryNotFound`, `AuthRefused`, `FetchRefused`,
        `InvalidValue`, `GitUnavailable` for what is worth trying again, and `GitStopped` soon after `should_stop`
        is set.
        """
        remote = parse_remote(url, self.allow)
        name = full_ref(ref) if ref is not None else None
        mirror = self._mirror(url, should_stop)
        with self._access(remote, credential) as way_in:
            if sha is None:
                if name is None:
                    raise InvalidValue("ref", "Name the commit or the branch to fetch.")
                sha = mirror.resolve(remote, name, way_in)
            return mirror.fetch(remote, _checked(sha), name, way_in)

    @contextmanager
    def tree(
        self,
        url: str,
        sha: str,
        *,
        submodules: bool = False,
        lfs: bool = False,
        credential: Credential | None = None,
        should_stop: StopSignal | None = None,
    ) -> Iterator[Path]:
        """Yield a work tree at exactly the fetched commit `sha`, which nobody else uses until the block ends.

        Links may point anywhere, as in the repository: open what is in it beneath its root. Submodules are empty
        folders and LFS files their pointers, unless they are asked for: then they are fetched first, and whatever
        `fetch` raises is raised. Raises `GitStopped` soon after `should_stop` is set, and `GitUnavailable` when the
        mirror turned out damaged: fetch again.
        """
        mirror = self._mirror(url, should_stop)
        try:
            with work_tree(mirror, _checked(sha)) as slot:
                whole = Place(mirror, url, sha, slot.files, credential)
                with self._with_submodules(slot, whole) if submodules else nullcontext([whole]) as places:
                    for place in places if lfs else ():
                        opened = replace(place, credential=self._opened(place.url, place.credential))
                        LargeFiles(self.allow, self.max_file_bytes, should_stop).fetch(opened)
                    yield slot.files
        except MirrorDamaged:
            mirror.discard_damaged(url)
            raise GitUnavailable(
                f"The copy of {url} on disk was damaged and is fetched again at the next try."
            ) from None

    @contextmanager
    def _with_submodules(self, slot: Slot, whole: Place) -> Iterator[list[Place]]:
        """Yield the places of a work tree, all filled until the block ends."""
        with filled(slot, whole.sha) as folders:
            places = [whole]
            bring = partial(self._bring, should_stop=whole.mirror.git.should_stop)
            for place in Filling(bring, self.allow).places(whole):
                places.append(place)
                if not any(folder in place.folder.parents for folder in folders):
                    folders.append(place.folder)
            yield places

    def _bring(
        self, url: str, sha: str, credential: Credential | None, *, should_stop: StopSignal | None
    ) -> Mirror:
        self.fetch(url, sha=sha, ref=None, credential=credential, should_stop=should_stop)
        return self._mirror(url, should_stop)

    def changed_files(self, url: str, before: str, after: str) -> frozenset[str] | None:
        """Return the paths that differ between two commits, `None` unless both have been fetched."""
        differing = self._mirror(url).read(
            "diff-tree", "-r", "-z", "--name-only", "--no-renames", _checked(before), _checked(after), "--"
        )
        if not differing.ok:
            return None
        return frozenset(path.decode(errors="replace") for path in differing.stdout.split(b"\0") if path)

    def flagged_commit(
        self, url: str, before: str, after: str, flags: Sequence[str]
    ) -> tuple[str, str] | None:
        """Return the newest commit in `after` and not in `before` whose message has one of the texts, and which
        text; or None.

        The case of ASCII letters doesn't matter. Raises `CommitNotFound` unless both have been fetched.
        """
        mirror, new = self._mirror(url), (_checked(after), f"^{_checked(before)}")
        found = _searched(mirror, flags, *new)
        for flag in flags if found else ():
            if _searched(mirror, [flag], "--no-walk", found):
                return found, flag
        return None

    def file_at(self, url: str, sha: str, path: str, most_bytes: int) -> bytes | None:
        """Return what a file of a fetched commit holds; None where there is no such file, as a link or folder is none.

        Raises `FileRefused` for a longer one.
        """
        mirror, mode = self._mirror(url), b"100"  # of files, also executable ones
        listed = mirror.read("ls-tree", "-l", "-z", _checked(sha), "--", path)
        if not listed.ok or not listed.stdout.startswith(mode):
            return None
        _, _, blob, size = listed.stdout.split(b"\t", 1)[0].split()
        if int(size) > most_bytes:
            raise FileRefused(f"{path} is longer than {most_bytes // 1024} KiB.")
        content = mirror.read("cat-file", "blob", blob.decode())
        return content.stdout if content.ok else None

    def is_ancestor(self, url: str, older: str, newer: str) -> bool | None:
        """Return whether `newer` contains `older`; `None` unless both have been fetched."""
        compared = self._mirror(url).read("merge-base", "--is-ancestor", _checked(older), _checked(newer))
        return {0: True, 1: False}.get(compared.status)

    def merge_base(self, url: str, one: str, other: str) -> str | None:
        """Return the newest commit that two fetched ones have in common, `None` if there is none."""
        found = self._mirror(url).read("merge-base", _checked(one), _checked(other))
        return found.stdout.decode().split("\n")[0] if found.ok else None

    def head_of(self, url: str, branch: str, credential: Credential | None = None) -> str:
        """Ask the server which commit a branch is at now; raises what `fetch` raises."""
        remote = parse_remote(url, self.allow)
        with self._access(remote, credential) as way_in:
            return self._mirror(url).resolve(remote, full_ref(branch), way_in)

    def heads_of(
        self, url: str, branches: Collection[str], credential: Credential | None = None
    ) -> dict[str, str]:
        """Ask the server which commit each branch is at now; branches that are not there are left out. Raises as
        `fetch` does.
        """
        remote = parse_remote(url, self.allow)
        refs = {full_ref(branch): branch for branch in branches}
        with self._access(remote, credential) as way_in:
            found = self._mirror(url).listed(remote, sorted(refs), way_in)
        return {refs[ref]: sha for ref, sha in found.items()}

    def commits_between(self, url: str, before: str, after: str, limit: int) -> list[Commit] | None:
        """Return the newest commits in `after` and not in `before`, at most `limit`; `None` unless both have been
        fetched.
        """
        which = (_checked(after), f"^{_checked(before)}")
        said = self._mirror(url).read(
            "log", "-z", f"--max-count={limit}", "--format=%H%n%an%n%s", *which, "--"
        )
        if not said.ok:
            return None
        entries = said.stdout.decode(errors="replace").split("\0")
        found = [entry.strip("\n").split("\n", 2) for entry in entries if entry.strip("\n")]
        return [Commit(sha, message, author) for sha, author, message in found]

    def branches_of(self, url: str, credential: Credential | None = None) -> tuple[str, ...]:
        """Ask the server for all branches, its default first; raises what `fetch` raises."""
        remote = parse_remote(url, self.allow)
        with self._access(remote, credential) as way_in:
            default, names = self._mirror(url).branches(remote, way_in)
        return tuple(sorted(names, key=lambda name: (name != default, name)))

    def message_of(self, url: str, sha: str) -> str:
        """Return the message of a commit; empty unless it has been fetched."""
        said = self._mirror(url).read("log", "--max-count=1", "--format=%B", _checked(sha), "--")
        return said.line if said.ok else ""

    def tend(self, now: float) -> Iterator[Tended]:
        """Keep each mirror and its work trees small, one after the other. `now` is in seconds since 1970."""
        for lock in sorted(self.root.absolute().glob("*/mirror.lock")):
            yield tend(Mirror(lock.parent, self._git()), now)

    @contextmanager
    def _access(self, remote: Remote, credential: Credential | None) -> Iterator[Access]:
        opened, known_hosts = self._opened(remote.url, credential), self.root.absolute() / "known_hosts"
        try:
            with access(remote, opened, known_hosts, self.pin) as way_in:
                yield way_in
        except (AuthRefused, RepositoryNotFound):
            self._opened(remote.url, credential, anew=True)  # an App may be told more than Git is
            raise

    def _opened(self, url: str, credential: Credential | None, *, anew: bool = False) -> Credential | None:
        """Return the credential with what opens the repository now."""
        if credential is None or credential.app is None or self.tokens is None:
            return credential
        return replace(credential, secret=self.tokens(credential.app, url, anew=anew))

    def _mirror(self, url: str, should_stop: StopSignal | None = None) -> Mirror:
        root = self.root.absolute()
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = hashlib.sha256(repo_key(url).encode()).hexdigest()[:20]
        return Mirror(root / key, self._git(should_stop))

    def _git(self, should_stop: StopSignal | None = None) -> GitCommand:
        limits = (self.git_time_limit_seconds, self.max_file_bytes, self.stall_seconds)
        return GitCommand(self.root.absolute(), *limits, should_stop)


def _searched(mirror: Mirror, texts: Sequence[str], *which: str) -> str:
    """Return the newest of the commits that has one of the texts in its message, or nothing."""
    patterns = (f"--grep={text}" for text in texts)
    found = mirror.read("rev-list", "--max-count=1", "-F", "-i", *patterns, *which, "--")
    if not found.ok:
        raise CommitNotFound("The commits of the push are not all here.")
    return found.line


def _checked(sha: str) -> str:
    if not _SHA.fullmatch(sha):
        raise InvalidValue("sha", "A commit is named by its 40 lower-case hexadecimal digits.")
    return sha
