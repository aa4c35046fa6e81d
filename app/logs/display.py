"""One line of output as text a page can show: colours as class names, everything else a terminal would obey
made harmless.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final, NamedTuple

from app.logs.colours import Style, restyle
from app.logs.links import is_safe, split_at_addresses

_TOKEN: Final = re.compile(
    rb"\x1b\[(?P<csi>[0-?]*)[ -/]*(?P<final>[@-~])?"  # control sequences, of which colours (…m) are kept
    rb"|\x1b(?P<kind>[\]PX^_])(?P<string>[^\x07\x1b\n]*)(?:\x07|\x1b\\)?"  # titles, links, clipboard, device strings
    rb"|\x1b[ -/]*[0-Z\\^-~]?"  # other escapes, whole or broken
    rb"|(?P<cr>\r)"
)
_PLAIN: Final = re.compile(r"[ -~\t]*")  # characters that are shown as they are
_JOINERS: Final = "\u200c\u200d"  # part of scripts and emoji
_LINK: Final = re.compile(rb"8;[^;]*;(.*)", re.DOTALL)
_TARGET_SHOWN: Final = 100  # characters of where a link leads, beside what it says


class Segment(NamedTuple):
    """A stretch of a line: its text, its CSS classes if any, and where it leads if it is a link."""

    text: str
    classes: str | None = None
    href: str | None = None


def display_segments(line: bytes) -> list[Segment]:
    """Return a line in stretches of one look each.

    Classes are `ansi-bold`, `-dim`, `-italic`, `-underline`, `-inverse`, `-strike` and those of `colours`. A carriage
    return starts the line anew, so of a progress bar its last state is left. Addresses of the web are links, and where
    a program gives a link other words, its target follows them (`ansi-target`). Invalid UTF-8, control characters and
    those that reorder text become visible stand-ins. The text is not HTML-escaped.
    """
    drawing = _Drawing()
    line = line.rstrip(b"\r\n")
    position = 0
    for token in _TOKEN.finditer(line):
        drawing.add(line[position : token.start()])
        position = token.end()
        if token["cr"]:
            drawing.begin_anew()
        elif token["final"] == b"m":
            restyle(drawing.style, token["csi"])
        elif token["kind"] == b"]" and (link := _LINK.fullmatch(token["string"])):
            drawing.lead_to(link[1].decode("utf-8", "replace"))
    drawing.add(line[position:])
    drawing.lead_to("")
    return drawing.segments


class _Drawing:
    """The segments of a line so far, and how what follows looks."""

    def __init__(self) -> None:
        self.segments: list[Segment] = []
        self.style: Style = {}
        self._target = ""
        self._label = ""  # what the open link says

    def add(self, raw: bytes) -> None:
        if not raw:
            return
        text = raw.decode("utf-8", "replace")
        if not _PLAIN.fullmatch(text):
            text = "".join(map(_visible, text))
        classes = " ".join(self.style.values()) or None
        if self._target:
            self._label += text
            self.segments.append(Segment(text, classes, self._target))
        elif "://" in text:
            self.segments += (Segment(part, classes, href) for part, href in split_at_addresses(text))
        else:
            self.segments.append(Segment(text, classes))

    def begin_anew(self) -> None:
        self.segments.clear()
        self._label = ""

    def lead_to(self, address: str) -> None:
        """End the open link, and begin one to `address`, unless that is nothing a page may link to."""
        if self._label and self._label != self._target:
            is_long = len(self._target) > _TARGET_SHOWN
            shown = f" ({self._target[:_TARGET_SHOWN]}{'…' * is_long})"
            self.segments.append(Segment(shown, "ansi-target"))
        self._target, self._label = address if is_safe(address) else "", ""


def without_escapes(raw: bytes) -> bytes:
    """Return lines without escape sequences, everything else as it is: none reaches beyond its line."""
    if b"\x1b" not in raw:
        return raw
    if b"\r" not in raw:
        return _TOKEN.sub(b"", raw)
    return _TOKEN.sub(lambda token: b"\r" if token["cr"] else b"", raw)


def display_text(line: bytes) -> str:
    """Return a line as `display_segments` shows it, without where its links lead, as one text."""
    return "".join(each.text for each in display_segments(line) if each.classes != "ansi-target")


def _visible(character: str) -> str:
    if " " <= character <= "~" or character == "\t":
        return character
    if character < " " or character == "\x7f":
        return chr(0x2421) if character == "\x7f" else chr(0x2400 + ord(character))
    # Cc: 8-bit controls; Cf: direction overrides and the like; Zl, Zp: line breaks to a browser's script.
    harmful = unicodedata.category(character) in {"Cc", "Cf", "Zl", "Zp"} and character not in _JOINERS
    return "\N{REPLACEMENT CHARACTER}" if harmful else character
