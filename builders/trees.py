"""Directory trees that strangers made."""

import os
import uuid
from contextlib import suppress
from pathlib import Path


def remove_tree(path: Path) -> None:
    """Remove the directory `path` with all below it, however deep; links are removed and not followed.

    `shutil.rmtree` goes down by recursion, with a file descriptor for each level. Here every directory that is
    found is moved beside `path` first, so that none is ever deep. Raises OSError; a second call goes on where one
    was cut off.
    """
    aside = path.with_name(f".{path.name}.removing")
    with suppress(FileExistsError):
        aside.mkdir(mode=0o700)
    with suppress(FileNotFoundError):
        path.rename(aside / uuid.uuid4().hex)
    while found := os.listdir(aside):  # noqa: PTH208 - names are all that is wanted
        for name in found:
            _flatten(aside, name)
    aside.rmdir()


def _flatten(aside: Path, name: str) -> None:
    """Remove one directory of `aside` after moving those in it to `aside`."""
    directory = os.open(aside / name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        with os.scandir(directory) as entries:
            listed = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
        for entry, is_directory in listed:
            if is_directory:
                os.rename(entry, aside / uuid.uuid4().hex, src_dir_fd=directory)
            else:
                os.unlink(entry, dir_fd=directory)
    finally:
        os.close(directory)
    (aside / name).rmdir()
