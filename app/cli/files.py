"""Jobs and the like from a file a person wrote."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.domain.errors import UserError

if TYPE_CHECKING:
    from app.cli.answers import Json

MOST_BYTES = 4 * 1024 * 1024


def name_of(file: Path) -> str:
    return "standard input" if str(file) == "-" else str(file)


def read_file(file: Path) -> str:
    """The text of a file, or (-) of standard input. Raises UserError."""
    name = name_of(file)
    try:
        given = sys.stdin.read() if str(file) == "-" else file.read_text("utf-8-sig")
    except OSError as error:
        raise UserError(f"{name} can't be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{name} is not UTF-8 text.") from error
    if len(given) > MOST_BYTES:
        raise UserError(f"{name} is bigger than {MOST_BYTES // 1024**2} MiB.")
    return given


def read_objects(file: Path, what: str) -> list[Json]:
    """Return each job, or `what` it is, as the API takes it. Raises UserError naming the file and line."""
    return read_with_lines(file, what)[0]


def read_with_lines(file: Path, what: str) -> tuple[list[Json], dict[str, int]]:
    """The same, with the line of each value by its dotted place, such as `0.env.MODE` in the first of them."""
    from app.web.declared.texts import read_text

    name = name_of(file)
    read = read_text(read_file(file), name)
    found = list(_flat(read.documents))
    if not found or not all(isinstance(each, dict) for each, _ in found):
        raise UserError(f"{name} must hold a {what} (an object with a name), or a list of {what}s.")
    lines: dict[str, int] = {}
    for number, (_, place) in enumerate(found):
        begin = f"{place}."
        lines[str(number)] = read.lines[place]
        lines |= {
            f"{number}.{at.removeprefix(begin)}": line
            for at, line in read.lines.items()
            if at.startswith(begin)
        }
    return [each for each, _ in found], lines


def _flat(documents: list[Any]) -> Iterator[tuple[Any, str]]:
    """Each document with its place; of a list, each of its items."""
    for number, document in enumerate(documents):
        if isinstance(document, list):
            yield from ((item, f"{number}.{index}") for index, item in enumerate(document))
        else:
            yield document, str(number)
