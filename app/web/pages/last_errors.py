"""The last lines of a log that say what went wrong, for who looks at a run that failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.domain.output import Stream
from app.logs import LogReader
from app.logs.display import without_escapes
from app.logs.rows import Row, rows_before
from app.logs.search import is_error

EXAMINED = 400  # rows at the end of the log
TRACE = 40  # rows between the beginning of an error and its end, such as of a traceback
SHOWN = 8
LONGEST = 300  # characters of a line


@dataclass(frozen=True)
class Tail:
    """Lines as they are shown, and the offset of the first, where the log opens."""

    lines: Sequence[str]
    offset: int


def last_errors(log: LogReader, instance: int | None = None) -> Tail | None:
    """The last lines that look like errors, with what followed; else the end of standard error, or of the log.

    Only what an instance said, if one is given. Of many lines the first and the last are shown. None without output.
    """
    rows = [row for row in rows_before(log, log.size, EXAMINED) if _is_of(row, instance)]
    if not rows:
        return None
    errors = [number for number, row in enumerate(rows) if is_error(row.text)]
    if errors:
        found = rows[next(each for each in errors if each >= errors[-1] - TRACE) :]
    else:
        found = ([row for row in rows if row.stream is Stream.STDERR] or rows)[-SHOWN:]
    shown = [_text(row) for row in found]
    if len(shown) > SHOWN:
        shown = [shown[0], "…", *shown[2 - SHOWN :]]
    return Tail(shown, found[0].offset)


def _is_of(row: Row, instance: int | None) -> bool:
    is_output = row.stream is not Stream.SYSTEM and bool(row.text.strip())
    return is_output and (instance is None or row.instance == instance)


def _text(row: Row) -> str:
    text = without_escapes(row.text).decode("utf-8", "replace").rstrip("\r\n")
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"
