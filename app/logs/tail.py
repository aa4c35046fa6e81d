"""The last lines of a log as text, for messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from app.domain.output import Stream
from app.logs.display import display_text
from app.logs.reader import LogReader
from app.logs.rows import rows_before

LINES: Final = 15
LONGEST: Final = 300  # characters of one
EXAMINED: Final = 60  # rows, of which some may be empty or ours


def last_lines(log: LogReader) -> Sequence[str]:
    """The last lines that were written, as a page shows them, without colours; long ones are cut. Ours are left out."""
    written = [
        display_text(row.text).rstrip()
        for row in rows_before(log, log.size, EXAMINED)
        if row.stream is not Stream.SYSTEM
    ]
    shown = [line for line in written if line][-LINES:]
    return [line if len(line) <= LONGEST else f"{line[:LONGEST]}…" for line in shown]
