"""The repositories within a repository: brought here like any other, by the same rules, and put where they belong.

`git submodule` is never run: it would obey what `.gitmodules` says about updates. Of that file only paths and addresses
are taken; which commit a submodule is at, its parent's tree says.
"""

from __future__ import annotations

import posixpath
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from app.checkout.command import GitStopped
from app.checkout.credential import Credential
from app.checkout.failures import FetchRefused, cause, full_disk
from app.checkout.mirror import Mirror
from app.checkout.trees import is_for_want_of_room
from app.checkout.urls import parse_remote
from app.domain.errors import GitUnavailable, NotFound, UserError
from app.domain.hosts import git_host

DEEPEST = 5
MOST = 100
_ENTRY = re.compile(rb"160000 commit (?P<sha>[0-9a-f]{40})\t(?P<path>.+)", re.DOTALL)
_KEY = re.compile(r"submodule\.(?P<name>.+)\.(?P<what>path|url)", re.DOTALL)
_SCP = re.compile(r"(?P<host>[^/:]+):(?P<path>.*)", re.DOTALL)

Fetch = Callable[[str, str, Credential | None], Mirror]


@dataclass(frozen=True, slots=True)
class Submodule:
    """A submodule. `path` is below the work tree of the repository at `depth` 0."""

    path: str
    url: str
    sha: str


@dataclass(frozen=True, slots=True)
class Place:
    """A commit in a work tree. `credential` is what may be sent to the server it is from."""

    mirror: Mirror
    url: str
    sha: str
    folder: Path
    credential: Credential | None


@dataclass
class Filling:
    """Fills the empty folders of one work tree. `fetch` brings a commit of a URL and returns the mirror that has
    it.
    """

    fetch: Fetch
    allow: frozenset[str]
    done: int = 0

    def places(self, outer: Place, depth: int = 1) -> Iterator[Place]:
        """Return all places that were filled, the inner ones after the outer ones."""
        for submodule in submodules_of(outer.mirror, outer.url, outer.sha):
            self._count(depth, submodule)
            try:
                inner = self._fill(outer, submodule)
            except GitStopped:
                raise
            except GitUnavailable as error:
                raise GitUnavailable(f"Submodule {submodule.path}: {error}") from error
            except (UserError, NotFound) as error:
                raise FetchRefused(f"Submodule {submodule.path}: {error}") from error
            yield inner
            yield from self.places(inner, depth + 1)

    def _fill(self, outer: Place, submodule: Submodule) -> Place:
        ours, theirs = parse_remote(outer.url, self.allow), parse_remote(submodule.url, self.allow)
        if theirs.transport == "file" and ours.transport != "file":
            raise FetchRefused(
                "its address is a path on this machine, which only a repository here may name."
            )
        is_same = (ours.transport, git_host(outer.url)) == (theirs.transport, git_host(submodule.url))
        credential = outer.credential if is_same else None
        mirror = self.fetch(submodule.url, submodule.sha, credential)
        target = outer.folder / submodule.path
        _check_out(mirror, submodule, target)
        return Place(mirror, submodule.url, submodule.sha, target, credential)

    def _count(self, depth: int, submodule: Submodule) -> None:
        self.done += 1
        if depth > DEEPEST:
            raise FetchRefused(f"Submodule {submodule.path} is more than {DEEPEST} repositories deep.")
        if self.done > MOST:
            raise FetchRefused(f"The repository has more than {MOST} submodules.")


def submodules_of(mirror: Mirror, url: str, sha: str) -> Iterator[Submodule]:
    """Return the submodules in the commit's tree. Raises FetchRefused for one without an address."""
    listed = mirror.read("ls-tree", "-r", "-z", "--full-tree", sha)
    entries = [found for each in listed.stdout.split(b"\0") if (found := _ENTRY.fullmatch(each))]
    urls = _addresses(mirror, sha) if entries else {}
    for entry in entries:
        path = entry["path"].decode(errors="replace")
        if path not in urls:
            raise FetchRefused(f"Submodule {path} has no address: .gitmodules doesn't name it.")
        yield Submodule(path, resolved(url, urls[path]), entry["sha"].decode())


def resolved(parent: str, url: str) -> str:
    """Return the address with a beginning `./` or `../` resolved from the parent's own, as Git does it."""
    if not url.startswith(("./", "../")):
        return url
    scp = None if "://" in parent or parent.startswith("/") else _SCP.fullmatch(parent)
    scheme, mark, rest = parent.partition("://")
    host, slash, path = (scp["host"], ":", scp["path"]) if scp else (rest if mark else parent).partition("/")
    joined = posixpath.normpath(posixpath.join("/", path.rstrip("/"), url)).lstrip("/")
    climbs = url.count("../") > path.strip("/").count("/") + 1
    if climbs or not joined:
        raise FetchRefused(f"The address {url} of a submodule leads out of {parent}.")
    return f"{scheme}{mark}{host}{slash}{joined}" if mark else f"{host}{slash}{joined}"


def _addresses(mirror: Mirror, sha: str) -> dict[str, str]:
    """Return the addresses by path. Other files that `.gitmodules` may include are not read."""
    said = mirror.read("config", "--null", "--no-includes", "--blob", f"{sha}:.gitmodules", "--list")
    named: dict[str, dict[str, str]] = {}
    for each in said.stdout.decode(errors="replace").split("\0"):
        key, _, value = each.partition("\n")
        if found := _KEY.fullmatch(key):
            named.setdefault(found["name"], {})[found["what"]] = value
    return {each["path"]: each["url"] for each in named.values() if "path" in each and "url" in each}


def _check_out(mirror: Mirror, submodule: Submodule, target: Path) -> None:
    if target.is_symlink() or not target.is_dir():
        raise FetchRefused("its place in the work tree is no folder.")
    with tempfile.TemporaryDirectory(dir=mirror.folder, prefix="index-") as aside:
        result = mirror.git(
            *("read-tree", "--reset", "-u", submodule.sha),
            git_dir=mirror.git_dir,
            environment={"GIT_WORK_TREE": str(target), "GIT_INDEX_FILE": f"{aside}/index"},
        )
    if not result.ok:
        if is_for_want_of_room(mirror, submodule.sha, result.stderr):
            raise full_disk(mirror.folder)
        raise FetchRefused(f"it can't be checked out. Git said: {cause(result.stderr, ())}")
