"""A log as a page shows it: a window of bounded weight, of the lines that are wanted, with groups folded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import takewhile

from app.logs import LogReader, Row, Selection, rows, rows_from
from app.logs.groups import LARGEST, Group, group_of, title_of
from app.web.pages.logrows import ShownLine, shown

WINDOW = 250  # lines
BEFORE_WANTED = 100  # lines shown before one that was asked for
HEAVIEST = 1024 * 1024  # bytes of HTML in a window, as long as one line has no more
SCANNED = 4 * 1024 * 1024  # bytes that are looked at for a window's lines, give or take a line
FAR = 512 * 1024  # a reader this many bytes behind is shown the end instead of everything on the way
_MOST_OPEN = 50  # groups


@dataclass(frozen=True)
class View:
    """What of a log is shown: the lines of a selection; groups that are over are folded, unless `opened` has a place
    inside.
    """

    log: LogReader
    selection: Selection = field(default_factory=Selection)
    opened: tuple[int, ...] = ()
    folds: bool = True

    def with_open(self, *places: int) -> View:
        return replace(self, opened=(*self.opened, *places)[:_MOST_OPEN])

    @property
    def unfolded(self) -> View:
        return replace(self, folds=False)

    def has(self, row: Row) -> bool:
        return self.selection.has(row.stream, row.instance)

    def rows_before(self, offset: int, count: int) -> tuple[list[Row], int]:
        """The last `count` rows before `offset`, or as many as a bounded search finds, and where that began."""
        wanted = count
        while True:
            start = self.log.start_before(offset, wanted)
            found = [row for row in self._rows(start, offset) if self.has(row)]
            is_enough = self.selection.is_all or len(found) >= count or offset - start >= SCANNED
            if is_enough or start == 0:
                found = found[-count:]
                return found, found[0].offset if len(found) == count else start
            wanted *= 4

    def _rows(self, start: int, end: int) -> Iterator[Row]:
        return takewhile(lambda row: row.offset < end, rows_from(self.log, start))

    def folded(self, found: Iterator[Row], end: int) -> Iterator[tuple[Row, ShownLine, int, int]]:
        """Each row as it is shown, with where what follows it begins, and the number of the line there. A group that
        goes beyond `end` isn't folded.
        """
        while (row := next(found, None)) is not None:
            group = self._group(row)
            if group is None or group.end > end:
                yield row, shown(row), row.end, row.number + row.complete
            elif any(row.offset < place < group.end for place in self.opened):
                yield row, shown(row, group), row.end, row.number + row.complete
            else:
                yield row, shown(row, group, is_open=False), group.end, group.number
                found = rows(self.log.lines(group.end, number=group.number))

    def _group(self, row: Row) -> Group | None:
        if not self.folds or not row.complete or title_of(row) is None:
            return None
        following = rows(self.log.lines(row.end, number=row.number + 1))
        near = takewhile(lambda each: each.offset - row.end <= LARGEST, following)
        return group_of(row, filter(self.has, near))


@dataclass(frozen=True)
class Window:
    """Some lines of a log. `before` and `after` are offsets to ask for more from, None where there is no more."""

    lines: list[ShownLine]
    before: int | None
    after: int | None
    end: int  # where following goes on
    number: int  # of the line there
    size: int  # of the log when it was read
    pending: Row | None = None  # the last line, while it is not over
    is_jump: bool = False  # what lies between this and the window before is left out


def last_lines(view: View) -> Window:
    size = view.log.size
    return _from(view, _beginning(view, size, WINDOW, HEAVIEST), size)


def lines_around(view: View, offset: int) -> Window:
    """The window that holds the line at `offset`, with some lines before it."""
    size = view.log.size
    start = _beginning(view, min(offset, size), BEFORE_WANTED, HEAVIEST // 2)
    return _from(view.with_open(offset), start, size, near=offset)


def lines_from(view: View, offset: int) -> Window:
    return _from(view, offset, view.log.size)


def lines_before(view: View, offset: int) -> Window:
    return _from(view, _beginning(view, offset, WINDOW, HEAVIEST), view.log.size, until=offset)


def last_lines_before(view: View, offset: int) -> Window:
    return replace(lines_before(view, offset), is_jump=True)


def lines_between(view: View, last: Window, until: int) -> Window:
    """The lines after `last` and before `until`, or as many of them as a window holds."""
    found = rows(view.log.lines(last.end, number=last.number))
    return _window(view, found, last.end, last.number, view.log.size, near=last.end, until=until)


def next_lines(view: View, last: Window) -> Window:
    """What was written since `last`; its last line once more, if that has grown."""
    size = view.log.size
    begun = last.pending
    read_to = last.end if begun is None else begun.end
    if size - read_to > FAR:
        return replace(last_lines(view), is_jump=True)
    if size == read_to:
        return replace(last, lines=[], after=None, size=size, is_jump=False)
    return _window(
        view,
        rows(view.log.lines(read_to, number=last.number), begun),
        last.end,
        last.number,
        size,
        near=last.end,
    )


def _beginning(view: View, offset: int, count: int, heaviest: int) -> int:
    """Where the last lines before `offset` begin: `count`, or as many as are not too heavy together."""
    found, start = view.rows_before(offset, count)
    weight = 0
    for position, row in reversed(list(enumerate(found))):
        weight += shown(row).weight
        if weight > heaviest and position < len(found) - 1:
            return found[position + 1].offset
    return start


def _from(view: View, start: int, size: int, *, near: int = 0, until: int | None = None) -> Window:
    number = view.log.number_at(start)
    found = rows(view.log.lines(start, number=number))
    return _window(view, found, start, number, size, near=max(start, near, until or 0), until=until)


def _window(
    view: View,
    found: Iterable[Row],
    start: int,
    number: int,
    size: int,
    *,
    near: int,
    until: int | None = None,
) -> Window:
    """Of rows from `start` to `until`, as many as a window holds, or as a bounded search beyond `near` finds. `size` is
    that of the log before it was read.
    """
    lines: list[ShownLine] = []
    weight, end, last = 0, start, None
    limit = size if until is None else until
    for row, line, following, number_there in view.folded(iter(found), limit):
        if until is not None and row.offset >= until:
            break
        if view.has(row):
            weight += line.weight
            if lines and weight > HEAVIEST:
                break
            lines.append(line)
        end, number, last = following, number_there, row
        if len(lines) == WINDOW or end - near > SCANNED:
            break
    pending = None if last is None or last.complete or end < size else last
    return Window(
        lines=lines,
        before=start or None,
        after=end if end < size else None,
        end=end if pending is None else pending.offset,
        number=number,
        size=size,
        pending=pending,
    )
