"""A checked-out repository, read as untrusted data: every open stays beneath its root."""

import codecs
import fnmatch
import os
import re
import stat
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath

from builders.plan import PlanError

MAX_DEPTH = 6
MAX_FILES = 20_000
MAX_FILE_BYTES = 2 * 1024 * 1024
HEAD_BYTES = 4096
_MARKS = (  # the longer ones first, as they begin like the others
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

SKIPPED_DIRECTORIES = frozenset(
    [
        "node_modules",
        "vendor",
        ".venv",
        "venv",
        "site-packages",
        "__pycache__",
        ".git",
        ".hg",
        ".svn",
        "target",
        ".tox",
        "dist",
        "build",
    ]
)


class SourceTree:
    """The files beneath `root`, named by POSIX paths relative to it (a leading `/` means the root itself).

    Symbolic links are followed only as long as they stay inside; what is outside, missing, or not a regular
    file (a FIFO, a device, a directory) simply does not exist here. Nothing is read before it is asked for.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(os.path.realpath(root))

    def has(self, path: str) -> bool:
        """Return whether `path` is a regular file."""
        return self._status(path, stat.S_ISREG)

    def has_directory(self, path: str) -> bool:
        return self._status(path, stat.S_ISDIR)

    def subtree(self, path: str) -> "SourceTree | None":
        """Return the tree below the directory `path`, or None if there is no such directory inside this one."""
        real = self._real(path)
        return SourceTree(real) if real is not None and self.has_directory(path) else None

    def read_text(self, path: str) -> str | None:
        """Return the whole file as UTF-8 (undecodable bytes replaced, no byte order mark), None if it isn't there.

        Raises PlanError for a file over 2 MiB: no manifest is that big.
        """
        data = self._read(path, MAX_FILE_BYTES + 1)
        if data is not None and len(data) > MAX_FILE_BYTES:
            raise PlanError(
                f"{path} is larger than {MAX_FILE_BYTES // 1024 // 1024} MiB, too big to be read."
            )
        return None if data is None else _decode(data)

    def read_head(self, path: str) -> str | None:
        """Return the first 4 KiB of a file that may be of any size."""
        return self.read_beginning(path, HEAD_BYTES)

    def read_beginning(self, path: str, size: int = MAX_FILE_BYTES) -> str | None:
        """Return the first bytes of a file that may be of any size, such as a lock file or a program."""
        data = self._read(path, size)
        return None if data is None else _decode(data)

    def is_executable(self, path: str) -> bool:
        real = self._real(path)
        return real is not None and self.has(path) and bool(real.stat().st_mode & 0o111)

    @cached_property
    def root_files(self) -> tuple[str, ...]:
        """Return the names of the regular files directly at the root, sorted."""
        _, files, links = self._root_listing
        return tuple(sorted([*files, *(name for name in links if self.has(name))]))

    @cached_property
    def directories(self) -> tuple[str, ...]:
        """Return the names of the directories directly at the root that may hold source, sorted."""
        return tuple(sorted(self._root_listing[0]))

    def files(self) -> tuple[str, ...]:
        """Return the regular files at most six levels deep, shallow ones first, 20,000 of them at most; no links."""
        return self._files

    def glob(self, pattern: str) -> tuple[str, ...]:
        """Return the files whose path matches; `*` stays within one level, `**/` spans any number of them."""
        if "/" not in pattern:
            return tuple(name for name in self.root_files if fnmatch.fnmatchcase(name, pattern))
        matches = re.compile(_glob_to_regex(pattern)).fullmatch
        return tuple(path for path in self.files() if matches(path))

    @cached_property
    def _files(self) -> tuple[str, ...]:
        found: list[str] = []
        for path in self._walk():
            found.append(path)
            if len(found) == MAX_FILES:
                break
        return tuple(found)

    def _walk(self) -> Iterator[str]:
        level = [""]
        for _ in range(MAX_DEPTH):
            below: list[str] = []
            for directory in level:
                directories, files, _ = self._listing(directory)
                prefix = f"{directory}/" if directory else ""
                yield from (prefix + name for name in sorted(files))
                below.extend(prefix + name for name in sorted(directories))
            level = below

    @cached_property
    def _root_listing(self) -> tuple[list[str], list[str], list[str]]:
        return self._listing("")

    def _listing(self, directory: str) -> tuple[list[str], list[str], list[str]]:
        """Return the names of the directories, regular files and symbolic links in a directory."""
        directories: list[str] = []
        files: list[str] = []
        links: list[str] = []
        try:
            with os.scandir(self.root / directory) as entries:
                for entry in entries:
                    if not _is_utf8(entry.name):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        if entry.name not in SKIPPED_DIRECTORIES:
                            directories.append(entry.name)
                    elif entry.is_file(follow_symlinks=False):
                        files.append(entry.name)
                    elif entry.is_symlink():
                        links.append(entry.name)
        except OSError:
            pass  # unreadable or gone: nothing to see there
        return directories, files, links

    def _real(self, path: str) -> Path | None:
        """Return where `path` really is, or None if that is outside of the root."""
        if "\0" in path:
            return None
        inside = PurePosixPath(path.lstrip("/"))
        real = Path(os.path.realpath(self.root / inside))
        return real if real.is_relative_to(self.root) else None

    def _status(self, path: str, is_kind: Callable[[int], bool]) -> bool:
        real = self._real(path)
        try:
            return real is not None and is_kind(real.lstat().st_mode)
        except OSError:
            return False

    def _read(self, path: str, limit: int) -> bytes | None:
        real = self._real(path)
        if real is None:
            return None
        try:
            # Non-blocking: a FIFO can't hold us. No link: nothing can be swapped in after the check.
            descriptor = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return None
            with open(descriptor, "rb", closefd=False) as file:
                return file.read(limit)
        finally:
            os.close(descriptor)


def _decode(data: bytes) -> str:
    """Decode as the byte order mark says, which some editors and shells leave; as UTF-8 without one."""
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8-sig")
    return data.decode(encoding, errors="replace").replace("\r\n", "\n")


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _glob_to_regex(pattern: str) -> str:
    pieces = re.split(r"(\*\*/|\*|\?)", pattern)
    spelled = {"**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}
    return "".join(spelled.get(piece, re.escape(piece)) for piece in pieces)
