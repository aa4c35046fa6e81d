"""Whether there is room in a directory, and what to say when there is none."""

from __future__ import annotations

import errno
import os
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path

from app.domain.errors import DiskUnavailable
from app.domain.room import Room, no_room

DATA_SETTING, TEMPORARY_SETTING = "JOBYARD_DATA", "TMPDIR"
_FAULTS_OF_COPIES = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # `shutil.Error` has them as text alone
_FAULTS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EPERM, errno.EACCES})


def is_disk_fault(error: OSError) -> bool:
    """Return whether more room, a sound disk or other rights would have prevented the error, whoever wrote what."""
    return error.errno in _FAULTS or any(os.strerror(each) in str(error) for each in _FAULTS_OF_COPIES)


def room_in(directory: Path) -> Room | None:
    """Return the room in the nearest directory that exists; None where the system doesn't tell."""
    try:
        nearest = next(each for each in (directory, *directory.parents) if each.is_dir())
        found = os.statvfs(nearest)
    except (OSError, StopIteration):
        return None
    return Room(
        bytes=found.f_bavail * found.f_frsize,
        files=found.f_favail if found.f_files else None,
        total_bytes=found.f_blocks * found.f_frsize,
        total_files=found.f_files,
    )


def unavailable(directory: Path, said: str, setting: str = DATA_SETTING) -> DiskUnavailable:
    """Return the error for a directory in which something could not be written; `said` is the system's word for
    why.
    """
    return DiskUnavailable(directory, setting, no_room(directory, setting, room_in(directory), said))


def fault_of(error: OSError, directory: Path, setting: str = DATA_SETTING) -> DiskUnavailable:
    found = [os.strerror(each) for each in _FAULTS_OF_COPIES if os.strerror(each) in str(error)]
    return unavailable(directory, error.strerror or (found or [str(error)])[0], setting)


def fault_somewhere(error: OSError, directories: Sequence[Path]) -> DiskUnavailable:
    """Return the error for one that happened in one of the directories, which JOBYARD_DATA names, or to temporary
    files.
    """
    if isinstance(error.filename, str):
        place = Path(error.filename).parent
        is_data = any(place.is_relative_to(each) for each in directories)
        return fault_of(error, place, DATA_SETTING if is_data else TEMPORARY_SETTING)
    for each in directories:
        room = room_in(each)
        if room is not None and room.is_scarce:
            return fault_of(error, each)
    return fault_of(error, Path(tempfile.gettempdir()), TEMPORARY_SETTING)


def require_room(directory: Path, setting: str = DATA_SETTING) -> None:
    """Raise DiskUnavailable if nothing can be written in the directory, or soon nothing could."""
    room = room_in(directory)
    if room is not None and room.is_scarce:
        raise unavailable(directory, "", setting)
    probe = directory / f".writable-{uuid.uuid4().hex}"
    try:
        try:
            probe.write_bytes(b"1")
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        raise fault_of(error, directory, setting) from error


def size_of(path: Path) -> int:
    """Return the bytes that a file, or all files below a folder, take; what goes meanwhile counts nothing."""
    try:
        if path.is_dir() and not path.is_symlink():
            return sum(size_of(each) for each in path.iterdir())
        return path.lstat().st_blocks * 512
    except OSError:
        return 0
