"""How the commands speak: JSON for programs, tables for people, colour only on a terminal.

Rich is imported when there is something to print with it, so that everything else starts fast.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

WIDE = 10_000  # off a terminal nothing is cut or wrapped
DOTS = {
    "queued": "yellow",
    "running": "blue",
    "succeeded": "green",
    "failed": "red",
    "cancelled": "bright_black",
    "pending": "yellow",
    "waiting": "yellow",
    "superseded": "bright_black",
    "paused": "yellow",
    "active": "green",
    "inactive": "bright_black",
    "received": "yellow",
    "processed": "green",
    "ignored": "bright_black",
    "started": "green",
    "built": "green",
    "deployed": "green",
    "available": "bright_black",
    "skipped": "bright_black",
    "configured": "green",
    "refused": "red",
    "replaced": "yellow",
    "missed": "red",
    "duplicate": "bright_black",
    "ok": "green",
    "warn": "yellow",
    "fail": "red",
}
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
Cell: TypeAlias = "str | Text | int | None"


def console(*, on_error: bool = False) -> Console:
    from rich.console import Console

    stream = sys.stderr if on_error else sys.stdout
    is_terminal = stream.isatty()
    return Console(
        file=stream,
        width=None if is_terminal else WIDE,
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=not is_terminal,
    )


def print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))


def say(sentence: str | Text) -> None:
    """Print a line for people on standard error, beside the output."""
    console(on_error=True).print(_cell(sentence), soft_wrap=True)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Cell]], if_none: str) -> None:
    """Print aligned columns; the sentence `if_none` (on standard error) if there are no rows."""
    found = list(rows)
    if not found:
        say(if_none)
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for number, column in enumerate(columns):
        table.add_column(column, overflow="fold", no_wrap=number == 0)  # names stay whole, to be copied
    for row in found:
        table.add_row(*map(_cell, row))
    _print(table)


def print_fields(fields: Mapping[str, Cell]) -> None:
    """Print one thing: a line a field, without the empty ones."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in fields.items():
        if value not in (None, ""):
            table.add_row(name, _cell(value))
    _print(table)


def status(word: str) -> Text:
    """Return a dot and the word, in the status's colour."""
    from rich.text import Text

    return Text.assemble(("●", DOTS.get(word, "")), f" {word}")


def plain(text: str) -> str:
    """Return text from elsewhere without what a terminal would obey."""
    return _UNPRINTABLE.sub("\ufffd", text)


def first_line(text: str) -> str:
    return text.partition("\n")[0]


def short_sha(sha: str | None) -> str:
    return (sha or "")[:8]


def _print(table: Table) -> None:
    out = console()
    if out.is_terminal:
        out.print(table)
        return
    with out.capture() as captured:
        out.print(table)
    for line in captured.get().splitlines():
        print(line.rstrip())


def _cell(value: Cell) -> Text:
    from rich.text import Text

    if isinstance(value, Text):
        return value
    return Text("" if value is None else plain(str(value)))


class TerminalText:
    """Makes a log fit for a terminal: colours stay, everything else a terminal would obey goes.

    It comes in any pieces; what they are makes no difference to the result.
    """

    _TOKEN = re.compile(
        r"(?P<colour>\x1b\[[0-9;:]*m)"
        r"|\x1b\[[0-?]*[ -/]*[@-~]"  # moves, clears, modes
        r"|\x1b[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\|(?=\x1b[^\\]))"  # titles, links, clipboard, device strings
        r"|(?P<unfinished>\x1b(?:\[[0-?]*[ -/]*|[\]PX^_][^\x07\x1b\n]*\x1b?|[ -/]*)\Z)"
        r"|\x1b[ -/]*[0-~]"
        r"|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]"
    )
    _LONGEST = 4096  # of an unfinished sequence that is waited for

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        """Return what can be printed by now."""
        text, self._held = self._held + text, ""
        return self._TOKEN.sub(self._replace, text)

    def _replace(self, token: re.Match[str]) -> str:
        if token["unfinished"] and len(token[0]) < self._LONGEST:
            self._held = token[0]
        return token["colour"] or ""
