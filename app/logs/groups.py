"""Lines that belong together: between `::group::TITLE` and `::endgroup::`, or `##[group]TITLE` and `##[endgroup]`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from app.domain.output import Stream
from app.logs.display import without_escapes
from app.logs.rows import Row
from app.logs.search import is_error

LARGEST: Final = 2 * 1024 * 1024  # bytes of a group that can be folded
_BEGINS: Final = re.compile(rb"(?:::group::|##\[group\])(.*)", re.DOTALL)
_ENDS: Final = re.compile(rb"(?:::endgroup::|##\[endgroup\])\s*")


@dataclass(frozen=True)
class Group:
    """A group that is over: so many lines, and of them so many that look like errors, between its first line and the
    one that ends it. What follows it begins at `end` with line `number`; `inside` is where its first line begins.
    """

    lines: int
    errors: int
    inside: int
    end: int
    number: int


def title_of(row: Row) -> bytes | None:
    """Return what the group is called that the row begins; None if it begins none."""
    found = (
        None if row.stream is Stream.SYSTEM else _BEGINS.fullmatch(without_escapes(row.text).strip(b"\r\n"))
    )
    return found[1].strip() or b"Group" if found else None


def ends_group(row: Row) -> bool:
    return row.stream is not Stream.SYSTEM and _ENDS.fullmatch(without_escapes(row.text)) is not None


def group_of(begins: Row, following: Iterable[Row]) -> Group | None:
    """Return the group that a row begins, by the rows that follow it.

    None if it isn't over, if another begins in it, if another instance or Jobyard speaks in it, and if it is too large.
    """
    errors = 0
    for lines, row in enumerate(following):
        if row.instance != begins.instance or row.stream is Stream.SYSTEM or not row.complete:
            return None
        if ends_group(row):
            return Group(lines, errors, begins.end, row.end, row.number + 1) if lines else None
        if row.end - begins.end > LARGEST or title_of(row) is not None:
            return None
        errors += is_error(row.text)
    return None
