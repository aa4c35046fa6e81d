"""Log files of attempts and builds: written once, raw, readable while they grow. `layout` says what is on
disk.
"""

from app.domain.output import Stream
from app.logs.display import Segment, display_segments, display_text
from app.logs.layout import remove_log
from app.logs.reader import Line, LogReader, Piece
from app.logs.rows import Row, rows, rows_before, rows_from
from app.logs.search import is_error
from app.logs.selection import RunLog, Selection
from app.logs.writer import DEFAULT_CAP, LogWriter

__all__ = [
    "DEFAULT_CAP",
    "Line",
    "LogReader",
    "LogWriter",
    "Piece",
    "Row",
    "RunLog",
    "Segment",
    "Selection",
    "Stream",
    "display_segments",
    "display_text",
    "is_error",
    "remove_log",
    "rows",
    "rows_before",
    "rows_from",
]
