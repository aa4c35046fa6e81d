"""Work trees that stay: a one-line change rewrites one file, and a build sees which.

    DATA/…/<key>/trees/<n>/        the files, no `.git` among them
    DATA/…/<key>/trees/<n>.index   Git's index of them: size, times, inode and content of each
    DATA/…/<key>/trees/<n>.sha     the commit they are at; absent while they are changed
    DATA/…/<key>/trees/<n>.lock    held while the tree is changed or read

A build reads its tree and can't write to it. Should something else have: `read-tree --reset` compares every
file with the index by `lstat` (a changed file has another ctime, which can't be set back) and writes what
differs, and `clean` removes what the commit doesn't have. A tree without its `.sha` is not mended but made
anew.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

from app.checkout.failures import (
    FetchRefused,
    MirrorDamaged,
    cause,
    disk_trouble,
    full_disk,
    is_damage,
    is_full_disk,
    is_too_long,
)
from app.checkout.locks import try_lock
from app.checkout.mirror import Mirror
from builders.trees import remove_tree

_UNWRITTEN = re.compile(r"unable to write file '?([^'\n]+)")


@dataclass(frozen=True, slots=True)
class Slot:
    """A place for one work tree."""

    folder: Path
    number: int

    @property
    def files(self) -> Path:
        return self.folder / str(self.number)

    @property
    def index(self) -> Path:
        return self.folder / f"{self.number}.index"

    @property
    def lock(self) -> Path:
        return self.folder / f"{self.number}.lock"

    @property
    def at(self) -> Path:
        return self.folder / f"{self.number}.sha"

    def sha(self) -> str | None:
        try:
            return self.at.read_text()
        except FileNotFoundError:
            return None


@contextmanager
def work_tree(mirror: Mirror, sha: str) -> Iterator[Slot]:
    """Yield a tree at exactly `sha`, ours alone until the block ends. Raises `MirrorDamaged`, `FetchRefused`."""
    try:
        slot, lock = _take(mirror.folder / "trees", sha)
    except OSError as error:
        raise disk_trouble(error, mirror.folder) from error
    try:
        try:
            _bring_to(mirror, slot, sha, lock)
        except OSError as error:
            raise disk_trouble(error, mirror.folder) from error
        yield slot
    finally:
        os.close(lock)


@contextmanager
def filled(slot: Slot, sha: str) -> Iterator[list[Path]]:
    """Empty the folders that the block has filled when it is over; the commit has them empty.

    Git leaves what is in them alone, so a tree whose server dies meanwhile must be made anew.
    """
    folders: list[Path] = []
    slot.at.unlink()
    yield folders
    with suppress(OSError):  # then it is made anew
        for folder in folders:
            remove_tree(folder)
            folder.mkdir()
        slot.at.write_text(sha)


def _take(folder: Path, sha: str) -> tuple[Slot, int]:
    """Return a free tree that is at `sha` already, else the first free one; a new one if none is free."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    slots = (Slot(folder, int(path.stem)) for path in folder.glob("*.sha"))
    at_sha = [slot for slot in slots if slot.sha() == sha]
    for slot in chain(at_sha, (Slot(folder, number) for number in count())):
        if (lock := try_lock(slot.lock)) is not None:
            return slot, lock
    raise AssertionError("unreachable: there is always another number")


def _bring_to(mirror: Mirror, slot: Slot, sha: str, lock: int) -> None:
    if slot.sha() is None:
        _empty(slot)
    slot.at.unlink(missing_ok=True)
    for arguments in (("read-tree", "--reset", "-u", sha), ("clean", "-ffdxq")):
        result = mirror.git(
            *arguments,
            git_dir=mirror.git_dir,
            environment={"GIT_WORK_TREE": str(slot.files), "GIT_INDEX_FILE": str(slot.index)},
            held=[lock],
        )
        if not result.ok:
            raise _failure(mirror, slot, sha, result.stderr)
    slot.at.write_text(sha)


def _failure(mirror: Mirror, slot: Slot, sha: str, stderr: str) -> Exception:
    """Return the error for a failed checkout: Git says `unable to write file` of a full disk and of a file over the
    limit alike.
    """
    if is_damage(stderr):
        return MirrorDamaged(stderr)
    if is_for_want_of_room(mirror, sha, stderr):
        return full_disk(slot.folder)
    if is_too_long(stderr):
        return FetchRefused(
            f"{sha[:12]} can't be checked out: it has a name of more than 255 bytes, or a path that is longer than the "
            "4,096 bytes that the server's system allows."
        )
    return FetchRefused(f"{sha[:12]} can't be checked out. Git said: {cause(stderr, ())}")


def is_for_want_of_room(mirror: Mirror, sha: str, stderr: str) -> bool:
    """Return whether the disk is why a file within the limit was not written; there may be room again by now."""
    if is_full_disk(stderr):
        return True
    unwritten = _UNWRITTEN.search(stderr)
    if unwritten is None:
        return False
    size = mirror.read("cat-file", "-s", f"{sha}:{unwritten[1]}")
    return size.ok and int(size.line) <= mirror.git.max_file_bytes


def _empty(slot: Slot) -> None:
    remove_tree(slot.files)
    slot.files.mkdir()
    slot.index.unlink(missing_ok=True)
    Path(f"{slot.index}.lock").unlink(missing_ok=True)
