"""How many line breaks are before a place of a file that is only appended to; what was counted once is remembered."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Final

BLOCK: Final = 1024 * 1024  # bytes that are counted together
_AT_ONCE: Final = 64 * 1024  # read at once


def breaks_before(path: Path, position: int) -> int:
    """Return the number of line breaks among the first `position` bytes. Raises FileNotFoundError if it is gone."""
    if position <= 0:
        return 0
    inode = path.stat().st_ino
    whole, rest = divmod(position, BLOCK)
    counted = sum(_breaks_in_block(path, inode, number) for number in range(whole))
    return counted + _breaks(path, whole * BLOCK, rest)


@lru_cache(maxsize=16_384)
def _breaks_in_block(path: Path, _inode: int, number: int) -> int:
    return _breaks(path, number * BLOCK, BLOCK)


def _breaks(path: Path, start: int, count: int) -> int:
    if count == 0:
        return 0
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        positions = range(start, start + count, _AT_ONCE)
        return sum(os.pread(file, min(_AT_ONCE, start + count - at), at).count(b"\n") for at in positions)
    finally:
        os.close(file)
