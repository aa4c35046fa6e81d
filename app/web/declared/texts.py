"""YAML as JSON understands it, within bounds, and where in the text each value is.

`on` and `no` are text, so are `2026-01-31` and `12:30`; a key is given once; tags are refused. What aliases stand for
is counted as often as it is repeated, so that a short text can't become a big one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from app.domain.errors import UserError

DEEPEST = 40  # objects and lists in one another
MOST_VALUES = 50_000  # of which text counts one more every 100 characters
_PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INTEGER, _FLOAT = re.compile(r"-?(?:0|[1-9][0-9]*)"), re.compile(r"-?(?:0|[1-9][0-9]*)\.[0-9]+")
_CONSTANTS: Mapping[str, bool | None] = {"true": True, "false": False, "null": None, "~": None, "": None}
UNREADABLE = "a character that no text may have (NUL or half a surrogate)"
_MERGE = "<<"
_TEXT_TAGS = (None, "!", "tag:yaml.org,2002:str")


@dataclass(frozen=True)
class Read:
    """What a text holds, a value for each of its documents; `lines` has the line of a value by its dotted place, such
    as `0.jobs.2.schedule.cron` in the first document.
    """

    documents: list[Any]
    lines: Mapping[str, int]

    def line_of(self, place: str) -> int | None:
        """The line of a place or, of what is not there, of the nearest that would hold it."""
        return line_of(self.lines, place)


def line_of(lines: Mapping[str, int], place: str) -> int | None:
    while place:
        if place in lines:
            return lines[place]
        place = place.rpartition(".")[0]
    return None


def read_text(text: str, name: str) -> Read:
    """The documents of a text that is called `name`. Raises UserError naming the line of what can't be read."""
    reader = _Reader(iter(yaml.parse(text, _PARSER)), name)
    try:
        return Read(list(reader.documents()), reader.lines)
    except UnicodeError as error:
        raise UserError(f"{name} is not UTF-8 text.") from error
    except yaml.YAMLError as error:
        try:
            value = json.loads(text)  # which may have escapes that YAML has not
            is_readable = all(map(_is_readable, _texts(value)))
        except (ValueError, RecursionError):
            raise UserError(f"{name} is not YAML: {_complaint(error, text)}.") from error
        if not is_readable:
            raise UserError(f"{name} has {UNREADABLE}.") from error
        return Read([value], {"0": 1})


def _is_readable(text: str) -> bool:
    return "\0" not in text and not any("\ud800" <= each <= "\udfff" for each in text)


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case list():
            for each in value:
                yield from _texts(each)
        case dict():
            for name, each in value.items():
                yield name
                yield from _texts(each)


@dataclass(frozen=True)
class _Kept:
    """What an anchor names, and how many values that is."""

    value: Any
    size: int


@dataclass
class _Reader:
    events: Iterator[Any]
    name: str
    lines: dict[str, int] = field(default_factory=dict)
    count: int = 0
    anchors: dict[str, _Kept] = field(default_factory=dict)

    def documents(self) -> Iterator[Any]:
        number = 0
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                self.anchors = {}
                yield self._value(next(self.events), str(number), 0)
                number += 1

    def _value(self, event: Any, place: str, depth: int) -> Any:
        line = event.start_mark.line + 1
        self.lines.setdefault(place, line)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, line)
        before = self.count
        self._counted(1 + len(getattr(event, "value", "")) // 100, line)
        if depth > DEEPEST:
            raise UserError(f"{self.name} is nested more than {DEEPEST} levels deep, in line {line}.")
        value: Any
        match event:
            case yaml.ScalarEvent():
                value = self._scalar(event, line)
            case yaml.SequenceStartEvent():
                self._refuse_tag(event.tag, line)
                value = list(self._items(place, depth))
            case _:
                self._refuse_tag(event.tag, line)
                value = self._object(place, depth)
        if event.anchor:
            self.anchors[event.anchor] = _Kept(value, self.count - before)
        return value

    def _counted(self, values: int, line: int) -> None:
        self.count += values
        if self.count > MOST_VALUES:
            raise UserError(
                f"{self.name} is too much in line {line}: it may have {MOST_VALUES:,} values and 5 MB of text, counting"
                " what aliases (*) repeat."
            )

    def _alias(self, event: Any, line: int) -> Any:
        kept = self.anchors.get(event.anchor)
        if kept is None:
            raise UserError(
                f"{self.name} is not YAML: there is no anchor {event.anchor} before the alias in line {line} (a value"
                " that begins with * needs quotes)."
            )
        self._counted(kept.size, line)
        return kept.value

    def _items(self, place: str, depth: int) -> Iterator[Any]:
        for number, event in enumerate(iter(self.events)):
            if isinstance(event, yaml.SequenceEndEvent):
                return
            yield self._value(event, f"{place}.{number}", depth + 1)

    def _object(self, place: str, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for event in self.events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            line = event.start_mark.line + 1
            if not isinstance(event, yaml.ScalarEvent):
                raise UserError(f"{self.name} has a key in line {line} that is no text.")
            key = self._scalar(event, line) if event.style else event.value
            below = f"{place}.{key}"
            self.lines.setdefault(below, line)
            value = self._value(next(self.events), below, depth + 1)
            if key == _MERGE and event.implicit[0]:
                merged |= self._merged(value, line)
            elif key in found:
                raise UserError(f"{self.name} says {key} twice, in line {line} again.")
            else:
                found[key] = value
        return {**merged, **found}

    def _merged(self, value: Any, line: int) -> dict[str, Any]:
        """What `<<` stands for: of several objects the first wins."""
        objects = value if isinstance(value, list) else [value]
        if not all(isinstance(each, dict) for each in objects):
            raise UserError(f"{self.name} merges (<<) something that is no object, in line {line}.")
        return {name: given for each in reversed(objects) for name, given in each.items()}

    def _scalar(self, event: Any, line: int) -> Any:
        if not _is_readable(event.value):
            raise UserError(f"{self.name} has {UNREADABLE}, in line {line}.")
        is_plain, _ = event.implicit
        if not is_plain or event.style:
            if event.tag not in _TEXT_TAGS:
                self._refuse_tag(event.tag, line)
            return event.value
        if event.value in _CONSTANTS:
            return _CONSTANTS[event.value]
        if _INTEGER.fullmatch(event.value):
            if len(event.value) > 20:
                raise UserError(f"{self.name} has a number in line {line} that is too big.")
            return int(event.value)
        return float(event.value) if _FLOAT.fullmatch(event.value) else event.value

    def _refuse_tag(self, tag: str | None, line: int) -> None:
        if tag not in (None, "!"):
            raise UserError(
                f"{self.name} is not YAML that is taken here: it has the tag {tag} in line {line}."
            )


def _complaint(error: yaml.YAMLError, text: str) -> str:
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return " ".join(str(error).split()).rstrip(".")
    at = error.problem_mark
    if text[at.index : at.index + 1] == "\t":
        return f"a tab in line {at.line + 1}, where only spaces may be"
    hint = ""
    if "alias" in f"{error.context} {error.problem}":
        hint = " (a value that begins with * needs quotes)"
    return f"{error.problem or error.context} in line {at.line + 1}{hint}"
