"""File locks that hold between threads, between processes, and over the death of either."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_POLL_SECONDS = 0.02


def try_lock(path: Path) -> int | None:
    """Return the descriptor of a lock that is ours now, for the caller to close; `None` if somebody has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


@contextmanager
def locked(path: Path, patience_seconds: float, is_given_up: Callable[[], bool]) -> Iterator[int]:
    """Hold a lock; raises `TimeoutError` if it can't be had within `patience_seconds`, or is given up before."""
    deadline = time.monotonic() + patience_seconds
    while (descriptor := try_lock(path)) is None:
        if time.monotonic() >= deadline or is_given_up():
            raise TimeoutError
        time.sleep(_POLL_SECONDS)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def unfinished(marker: Path) -> Iterator[bool]:
    """Leave `marker` behind unless the block ends well; yields whether the last one did not."""
    was_left = marker.exists()
    marker.touch()
    yield was_left
    marker.unlink()


def sweep(folder: Path) -> None:
    """Remove what a killed `git` leaves in a repository; the caller holds its lock."""
    for pattern in ("**/*.lock", "objects/pack/tmp_*", "objects/*/tmp_obj_*"):
        for path in folder.glob(pattern):
            with suppress(OSError):
                path.unlink()
