"""Directories for files that hold secrets: in memory where the machine has such storage, and gone with their process.

Who makes one holds a lock on it (`flock` on the directory itself) for as long as his process lives, however it ends. So
what can be locked is nobody's any more, and `sweep` removes it; numbers of processes come again, and say nothing here.
Until it is locked a directory has another name.
"""

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

PREFIX = "jobyard-private-"
# Of versions that held no lock: left alone while a process works in one, and for a while for those that don't yet.
UNLOCKED_PREFIXES = ("jobyard-build-", "jobyard-push-", "jobyard-key-")
UNLOCKED_SECONDS = 3600.0
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - what is made there gets a name of chance and mode 0700
ROOM_BYTES = 16 * 1024 * 1024  # a container's may be small, or full
_MOUNTS = Path("/proc/self/mounts")


@contextmanager
def private_directory() -> Iterator[Path]:
    """Yield a new directory with mode 0700, which is removed after the block."""
    draft = Path(tempfile.mkdtemp(prefix=f".{PREFIX}", dir=place()))
    lock = os.open(draft, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _try_lock(lock)
        directory = draft.rename(draft.with_name(draft.name.removeprefix(".")))
        try:
            yield directory
        finally:
            shutil.rmtree(directory)
    finally:
        os.close(lock)


def place() -> Path:
    """Return the directory in memory, if there is room; else the one where temporary files go."""
    temporary = Path(tempfile.gettempdir())
    return next(
        (each for each in (SHARED_MEMORY, temporary) if is_memory(each) and _has_room(each)), temporary
    )


def is_memory(directory: Path) -> bool:
    """Return whether the files in it are kept in memory; False where the system doesn't tell."""
    try:
        real = directory.resolve(strict=True)
        mounts = [line.split()[1:3] for line in _MOUNTS.read_text().splitlines()]
    except OSError:
        return False
    around = [
        (len(point), number, kind)
        for number, (point, kind) in enumerate(mounts)
        if real.is_relative_to(point)
    ]
    return bool(around) and max(around)[2] == "tmpfs"


def _has_room(directory: Path) -> bool:
    free = os.statvfs(directory)
    return os.access(directory, os.W_OK | os.X_OK) and free.f_bavail * free.f_frsize >= ROOM_BYTES


def sweep(now: float) -> Sequence[Path]:
    """Remove the directories of this user's processes that are dead, and return them. `now` is in seconds since
    1970.
    """
    return [
        directory
        for parent in dict.fromkeys((SHARED_MEMORY, Path(tempfile.gettempdir())))
        for prefix in (PREFIX, *UNLOCKED_PREFIXES)
        for directory in parent.glob(f"{prefix}*")
        if _is_ours(directory) and _removed(directory, now, is_locked=prefix == PREFIX)
    ]


def _is_ours(directory: Path) -> bool:
    """Return whether this user made the directory: anybody may make something of this name there."""
    try:
        found = directory.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()


def _removed(directory: Path, now: float, *, is_locked: bool) -> bool:
    try:
        lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        if not _try_lock(lock) or (not is_locked and _may_be_in_use(directory, now)):
            return False
        shutil.rmtree(directory, ignore_errors=True)
        return not directory.exists()
    finally:
        os.close(lock)


def _try_lock(directory: int) -> bool:
    """Return whether we have the lock; False if somebody has it, and where there are no such locks."""
    try:
        fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _may_be_in_use(directory: Path, now: float) -> bool:
    try:
        if now - directory.stat().st_mtime < UNLOCKED_SECONDS:
            return True
    except FileNotFoundError:
        return True
    return any(_works_in(process, directory) for process in Path("/proc").glob("[0-9]*"))


def _works_in(process: Path, directory: Path) -> bool:
    try:
        return (process / "cwd").readlink() == directory
    except OSError:
        return False
