"""One line of output as text a page can show: colours as class names, everything else a terminal would obey
made harmless.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_TOKEN: Final = re.compile(
    rb"\x1b\[(?P<csi>[0-?]*)[ -/]*(?P<final>[@-~])?"  # control sequences, of which colours (…m) are kept
    rb"|\x1b[\]PX^_](?P<string>[^\x07\x1b\n]*)(?:\x07|\x1b\\)?"  # titles, links, clipboard, device strings
    rb"|\x1b[ -/]*[0-Z\\^-~]?"  # other escapes, whole or broken
    rb"|(?P<cr>\r)"
)
_JOINERS: Final = "\u200c\u200d"  # part of scripts and emoji
_COLOURS: Final = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
_ON: Final = {1: "bold", 2: "dim", 3: "italic", 4: "underline", 7: "inverse", 9: "strike"}
_OFF: Final = {22: ("bold", "dim"), 23: ("italic",), 24: ("underline",), 27: ("inverse",), 29: ("strike",)}
_GROUNDS: Final = {30: "fg", 40: "bg", 90: "fg-bright", 100: "bg-bright"}


def display_segments(line: bytes) -> list[tuple[str, str | None]]:
    """(text, CSS classes or None) of one line.

    Classes are `ansi-bold`, `-dim`, `-italic`, `-underline`, `-inverse`, `-strike`, `ansi-fg-red`,
    `ansi-fg-bright-red`, `ansi-bg-…`; colours beyond the sixteen are dropped. A carriage return starts the
    line anew, so of a progress bar its last state is left. Invalid UTF-8, control characters and those that
    reorder text become visible stand-ins. The text is not HTML-escaped.
    """
    segments: list[tuple[str, str | None]] = []
    style: dict[str, str] = {}
    line = line.rstrip(b"\r\n")
    position = 0
    for token in _TOKEN.finditer(line):
        _add(segments, line[position : token.start()], style)
        position = token.end()
        if token["cr"]:
            segments.clear()
        elif token["final"] == b"m":
            _restyle(style, token["csi"])
    _add(segments, line[position:], style)
    return segments


def without_escapes(raw: bytes) -> bytes:
    """Return lines without escape sequences, everything else as it is: none reaches beyond its line."""
    if b"\x1b" not in raw:
        return raw
    return _TOKEN.sub(lambda token: b"\r" if token["cr"] else b"", raw)


def display_text(line: bytes) -> str:
    """Return what `display_segments` returns, without the classes, as one text."""
    return "".join(text for text, _ in display_segments(line))


def _add(segments: list[tuple[str, str | None]], raw: bytes, style: dict[str, str]) -> None:
    if raw:
        text = "".join(map(_visible, raw.decode("utf-8", "replace")))
        segments.append((text, " ".join(style.values()) or None))


def _visible(character: str) -> str:
    if " " <= character <= "~" or character == "\t":
        return character
    if character < " " or character == "\x7f":
        return chr(0x2421) if character == "\x7f" else chr(0x2400 + ord(character))
    # Cc: 8-bit controls; Cf: direction overrides and the like; Zl, Zp: line breaks to a browser's script.
    harmful = unicodedata.category(character) in {"Cc", "Cf", "Zl", "Zp"} and character not in _JOINERS
    return "\N{REPLACEMENT CHARACTER}" if harmful else character


def _restyle(style: dict[str, str], parameters: bytes) -> None:
    """Apply an SGR sequence to `style` (slot → class)."""
    codes = [
        int(code[:4] or b"0") if code.isdigit() or not code else -1 for code in re.split(rb"[;:]", parameters)
    ]
    position = 0
    while position < len(codes):
        code = codes[position]
        position += 1
        if code == 0:
            style.clear()
        elif code in _ON:
            style[_ON[code]] = f"ansi-{_ON[code]}"
        elif code in _OFF:
            for slot in _OFF[code]:
                style.pop(slot, None)
        elif code in (39, 49):
            style.pop("fg" if code == 39 else "bg", None)
        elif code in (38, 48):
            position += _extended(style, "fg" if code == 38 else "bg", codes[position:])
        else:
            _colour(style, code)


def _colour(style: dict[str, str], code: int) -> None:
    ground = _GROUNDS.get(code - code % 10)
    if ground is not None and code % 10 < len(_COLOURS):
        style[ground[:2]] = f"ansi-{ground}-{_COLOURS[code % 10]}"


def _extended(style: dict[str, str], slot: str, rest: list[int]) -> int:
    """Apply `5;N` or `2;R;G;B` and return how many codes that took."""
    style.pop(slot, None)
    if rest[:1] == [5] and len(rest) > 1 and 0 <= rest[1] < 16:
        bright = "-bright" if rest[1] >= 8 else ""
        style[slot] = f"ansi-{slot}{bright}-{_COLOURS[rest[1] % 8]}"
    return {5: 2, 2: 4}.get(rest[0] if rest else 0, 0)
