"""Select Graphic Rendition: what a terminal is told about colours and weight, as names of CSS classes.

The sixteen colours have names (`ansi-fg-red`, `ansi-bg-bright-blue`), those of the palette of 256 their number
(`ansi-fg-208`). Of the 16 million others the nearest in the palette is taken: which can be read on a light and on a
dark ground is known of a bounded number alone (`static/ansi.css`).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

NAMED: Final = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
LEVELS: Final = (0, 95, 135, 175, 215, 255)  # of red, green and blue in the palette's cube, 16 to 231
_ON: Final = {1: "bold", 2: "dim", 3: "italic", 4: "underline", 7: "inverse", 9: "strike"}
_OFF: Final = {22: ("bold", "dim"), 23: ("italic",), 24: ("underline",), 27: ("inverse",), 29: ("strike",)}
_GROUNDS: Final = {30: "fg", 40: "bg", 90: "fg-bright", 100: "bg-bright"}

Style = dict[str, str]  # slot → class


def restyle(style: Style, parameters: bytes) -> None:
    """Apply the parameters of a sequence, such as `1;38;5;208`, to `style`."""
    given = parameters.split(b";")
    position = 0
    while position < len(given):
        first, *parts = (_code(part) for part in given[position].split(b":"))
        position += 1
        if first in (38, 48):
            slot = "fg" if first == 38 else "bg"
            if parts:
                _paint(style, slot, parts if parts[0] != 2 or len(parts) < 5 else [2, *parts[2:]])
            else:
                position += _paint(style, slot, [_code(part) for part in given[position : position + 4]])
        elif first == 4 and parts[:1] == [0]:
            style.pop("underline", None)
        else:
            _apply(style, first)


def colour_of(number: int) -> tuple[int, int, int]:
    """Return red, green and blue, 0 to 255, of a colour of the palette from 16 on."""
    if number >= 232:
        grey = 8 + 10 * (number - 232)
        return grey, grey, grey
    red, rest = divmod(number - 16, 36)
    green, blue = divmod(rest, 6)
    return LEVELS[red], LEVELS[green], LEVELS[blue]


@lru_cache(maxsize=4096)
def nearest(red: int, green: int, blue: int) -> int:
    """Return the number of the palette's colour, from 16 on, that is nearest."""
    wanted = (red, green, blue)

    def distance(number: int) -> int:
        return sum((a - b) ** 2 for a, b in zip(wanted, colour_of(number), strict=True))

    return min(range(16, 256), key=distance)


def _code(text: bytes) -> int:
    if not text:
        return 0
    return int(text[:4]) if re.fullmatch(rb"[0-9]+", text) else -1


def _apply(style: Style, code: int) -> None:
    if code == 0:
        style.clear()
    elif code in _ON:
        style[_ON[code]] = f"ansi-{_ON[code]}"
    elif code in _OFF:
        for slot in _OFF[code]:
            style.pop(slot, None)
    elif code in (39, 49):
        style.pop("fg" if code == 39 else "bg", None)
    else:
        ground = _GROUNDS.get(code - code % 10)
        if ground is not None and code % 10 < len(NAMED):
            style[ground[:2]] = f"ansi-{ground}-{NAMED[code % 10]}"


def _paint(style: Style, slot: str, rest: list[int]) -> int:
    """Apply `5;N` or `2;R;G;B` and return how many codes that took. What is no colour leaves the one of the page."""
    style.pop(slot, None)
    kind = rest[0] if rest else -1
    if kind == 5 and len(rest) > 1 and 0 <= rest[1] < 256:
        number = rest[1]
        bright = "-bright" if number >= 8 else ""
        style[slot] = f"ansi-{slot}-{number}" if number >= 16 else f"ansi-{slot}{bright}-{NAMED[number % 8]}"
    if kind == 2 and len(rest) > 3 and all(0 <= each < 256 for each in rest[1:4]):
        style[slot] = f"ansi-{slot}-{nearest(*rest[1:4])}"
    return {5: 2, 2: 4}.get(kind, 0)
