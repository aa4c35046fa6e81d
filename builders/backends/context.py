"""The files of a build context, read as untrusted data: listed, identified by their content, copied."""

import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from builders.backends.base import BuildFailed
from builders.backends.ignoring import Ignore
from builders.trees import remove_tree

MAX_DEPTH = 100
"""Directories within one another. Tools that run in a build, and what removes it, go down them by recursion."""
MAX_PATH_BYTES = 2_048
TOO_DEEP = (
    f"The process engine builds no repository with more than {MAX_DEPTH} directories within one another."
)
TOO_LONG = f"The process engine builds no repository with paths of more than {MAX_PATH_BYTES:,} bytes."


@dataclass(frozen=True)
class Entry:
    """A regular file, or a symbolic link (`link` is what it holds) that stays inside of the context."""

    path: str
    is_executable: bool = False
    link: str | None = None


@dataclass(frozen=True)
class Context:
    """What a build may see. `left_out` are links to the outside and what is no file (a FIFO, a device); builds do
    without them.
    """

    root: Path
    entries: tuple[Entry, ...]
    left_out: tuple[str, ...]

    def digest(self, check: Callable[[], None]) -> str:
        """Return a digest of names, modes and contents, in hex. `check` is called for each file, and may raise."""
        total = hashlib.sha256()
        for entry in self.entries:
            check()
            content = entry.link or self._content_digest(entry)
            kind = "link" if entry.link else "program" if entry.is_executable else "file"
            total.update("\0".join((kind, entry.path, content, "")).encode(errors="surrogateescape"))
        return total.hexdigest()

    def below(self, source: str) -> Iterator[tuple[Entry, str]]:
        """Return the entries that `source` (`.`, a directory or a file) means, each with its path relative to it.

        A file's own path is empty: it goes where it is told to.
        """
        source = source.strip("/").removeprefix("./")
        for entry in self.entries:
            if source in ("", "."):
                yield entry, entry.path
            elif entry.path == source:
                yield entry, ""
            elif entry.path.startswith(f"{source}/"):
                yield entry, entry.path[len(source) + 1 :]

    def copy(self, entry: Entry, target: Path) -> None:
        """Whatever is at `target` gives way; a link there is not followed."""
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_dir() and not target.is_symlink():
            remove_tree(target)
        target.unlink(missing_ok=True)
        if entry.link is not None:
            target.symlink_to(entry.link)
            return
        with self._opened(entry) as source, target.open("xb") as made:
            shutil.copyfileobj(source, made)
        target.chmod(0o755 if entry.is_executable else 0o644)

    def _content_digest(self, entry: Entry) -> str:
        with self._opened(entry) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # any readable file

    def _opened(self, entry: Entry) -> IO[bytes]:
        return open(self.root / entry.path, "rb", opener=_without_links)


def read_context(root: Path, ignore: Ignore, check: Callable[[], None] = lambda: None) -> Context:
    """Return what of the directory `root` a build may see, in a fixed order.

    `check` is called for each directory, and may raise. Raises BuildFailed for a tree that is too deep, and
    TooMuchWork as `ignore` does.
    """
    root = Path(os.path.realpath(root))
    entries: list[Entry] = []
    left_out: list[str] = []
    for path, status in sorted(_walk(root, ignore, check), key=lambda each: each[0].split("/")):
        if stat.S_ISREG(status.st_mode):
            entries.append(Entry(path, is_executable=bool(status.st_mode & 0o111)))
        elif stat.S_ISLNK(status.st_mode) and _stays_inside(root, path):
            entries.append(Entry(path, link=os.readlink(root / path)))  # noqa: PTH115 - as it is spelled
        else:
            left_out.append(path)
    return Context(root, tuple(entries), tuple(left_out))


def _walk(root: Path, ignore: Ignore, check: Callable[[], None]) -> Iterator[tuple[str, os.stat_result]]:
    """Walk level by level, so that depth costs no stack and many names are matched at once."""
    level = [""]
    while level:
        found = [entry for directory in level for entry in _entries(root, directory, check)]
        out = ignore.left_out(path for path, _ in found)
        level = []
        for path, entry in found:
            if entry.is_dir(follow_symlinks=False):
                if path not in out or ignore.brings_back:
                    level.append(path)
            elif path not in out:
                yield path, entry.stat(follow_symlinks=False)
        if level and level[0].count("/") >= MAX_DEPTH:
            raise BuildFailed(TOO_DEEP)
        if any(len(os.fsencode(path)) > MAX_PATH_BYTES for path, _ in found):
            raise BuildFailed(TOO_LONG)


def _entries(root: Path, directory: str, check: Callable[[], None]) -> list[tuple[str, os.DirEntry[str]]]:
    check()
    with os.scandir(root / directory) as found:
        return [(f"{directory}/{entry.name}" if directory else entry.name, entry) for entry in found]


def _stays_inside(root: Path, path: str) -> bool:
    target = os.readlink(root / path)  # noqa: PTH115 - as it is spelled
    return not target.startswith("/") and Path(os.path.realpath(root / path)).is_relative_to(root)


def _without_links(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
