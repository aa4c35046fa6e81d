"""Keeping mirrors and work trees small: beside fetches and builds, which hold locks on what they use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from app.checkout.locks import try_lock
from app.checkout.mirror import Mirror
from app.checkout.trees import Slot
from app.domain.errors import JobyardError
from builders.trees import remove_tree

MOST_PACKS, MOST_LOOSE = 50, 6700  # each fetch brings one, or objects of their own
UNUSED_MIRROR_SECONDS = 30 * 86_400.0
UNUSED_TREE_SECONDS = 7 * 86_400.0
UNREACHABLE = "2.weeks.ago"  # what no commit that is remembered leads to


@dataclass(frozen=True, slots=True)
class Tended:
    """What was done, and what went wrong, in sentences."""

    repacked: int = 0
    dropped: int = 0
    trees: int = 0
    faults: tuple[str, ...] = ()


def tend(mirror: Mirror, now: float) -> Tended:
    """Drop what nobody has used for long, and make one pack of many. What is in use is left alone."""
    trees = sum(_drop_tree(slot, now) for slot in _slots(mirror.folder / "trees"))
    if not mirror.git_dir.is_dir():
        return Tended(trees=trees)
    if now - _fetched_at(mirror) > UNUSED_MIRROR_SECONDS:
        return Tended(dropped=int(_drop(mirror)), trees=trees)
    if not _is_scattered(mirror):
        return Tended(trees=trees)
    try:
        mirror.repack(UNREACHABLE)
    except JobyardError as error:
        return Tended(trees=trees, faults=(str(error),))
    return Tended(repacked=1, trees=trees)


def _fetched_at(mirror: Mirror) -> float:
    """A fetch makes and removes its marker, which changes the time of the folder."""
    return mirror.folder.stat().st_mtime


def _is_scattered(mirror: Mirror) -> bool:
    """Whether its objects are in many files; Git unpacks small fetches, and spreads objects evenly over 256 folders."""
    packs = len(list(mirror.git_dir.glob("objects/pack/*.pack")))
    loose = 256 * len(list(mirror.git_dir.glob("objects/17/*")))
    return packs > MOST_PACKS or loose > MOST_LOOSE


def _drop(mirror: Mirror) -> bool:
    with _if_free(mirror.folder / "mirror.lock") as is_free:
        if is_free:
            remove_tree(mirror.git_dir)
        return is_free


def _slots(folder: Path) -> list[Slot]:
    numbers = {path.name.partition(".")[0] for path in folder.glob("*") if path.name[0].isdecimal()}
    return [Slot(folder, int(number)) for number in sorted(numbers)]


def _drop_tree(slot: Slot, now: float) -> bool:
    with _if_free(slot.lock) as is_free:
        if not is_free or not slot.files.is_dir() or now - _used_at(slot) <= UNUSED_TREE_SECONDS:
            return False
        with suppress(OSError):
            slot.at.unlink(missing_ok=True)
            remove_tree(slot.files)
            slot.index.unlink(missing_ok=True)
            return True
        return False


def _used_at(slot: Slot) -> float:
    """A tree that was not brought to a commit in the end has no file that says so."""
    place = slot.at if slot.at.exists() else slot.files
    return place.stat().st_mtime


@contextmanager
def _if_free(lock: Path) -> Iterator[bool]:
    """Hold a lock unless somebody has it; yields whether it is ours."""
    held = try_lock(lock)
    try:
        yield held is not None
    finally:
        if held is not None:
            os.close(held)
