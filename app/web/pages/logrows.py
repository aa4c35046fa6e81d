"""Lines of a log ready for a page, and their HTML."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from markupsafe import escape

from app.logs import Row, Segment, Stream, display_segments, is_error
from app.logs.groups import Group, title_of
from app.web.pages.render import fragment

_ROW_MARKUP = 400  # bytes of HTML around the text of a line
_SEGMENT_MARKUP = 24  # around each of its coloured parts
_LINK_MARKUP = 60  # around each of its links, beside the address


@dataclass(frozen=True)
class Place:
    """Whose log it is: `page` is the address that links to its lines begin with, `raw` that of its bytes in the API."""

    page: str
    raw: str
    several: bool = False  # instances, so that each line says whose it is

    def rest_of(self, line: ShownLine) -> str:
        """The address of what `line` doesn't show."""
        return f"{self.raw}{'&' if '?' in self.raw else '?'}offset={line.rest_at}&limit={line.rest}"


@dataclass(frozen=True)
class Fold:
    """A line that begins a group. `size` is None where the group can't be folded, as it isn't over or is too large."""

    size: str | None = None
    inside: int = 0  # where the group's first line begins
    is_open: bool = True


@dataclass(frozen=True)
class ShownLine:
    """A line ready for the template. `offset` is its place in the log, and its identity while it grows; `rest` is how
    many bytes of it follow from `rest_at` on that are not shown."""

    number: int
    offset: int
    at: datetime | None
    stream: str
    instance: int
    is_error: bool
    segments: list[Segment]
    rest: int
    rest_at: int
    fold: Fold | None

    @property
    def weight(self) -> int:
        """About as many bytes as its HTML has."""
        return _ROW_MARKUP + sum(map(_weight, self.segments))


def shown(row: Row, group: Group | None = None, *, is_open: bool = True) -> ShownLine:
    """`group` is what the row begins, if that can be folded."""
    title = title_of(row)
    return ShownLine(
        number=row.number,
        offset=row.offset,
        at=row.at,
        stream=row.stream.name.lower(),
        instance=row.instance,
        is_error=row.stream is not Stream.SYSTEM and is_error(row.text),
        segments=display_segments(row.text if title is None else title),
        rest=row.rest,
        rest_at=row.rest_at,
        fold=None if title is None else _fold(group, is_open=is_open),
    )


def html(lines: Iterable[ShownLine], place: Place) -> str:
    return fragment("_log_rows.html", lines=lines, place=place)


def _fold(group: Group | None, *, is_open: bool) -> Fold:
    if group is None:
        return Fold()
    size = f"{group.lines:,} line{'s' * (group.lines != 1)}"
    errors = f", {group.errors:,} like an error" if group.errors else ""
    return Fold(size + errors, group.inside, is_open)


def _weight(segment: Segment) -> int:
    link = _LINK_MARKUP + len(segment.href) if segment.href else 0
    return _SEGMENT_MARKUP + len(segment.classes or "") + link + len(str(escape(segment.text)).encode())
