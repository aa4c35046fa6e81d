"""What differs between a thing as it was and as it is, field by field; a secret is only told to be another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from app.commands.job_edits import FieldChange
from app.domain.documents import Json
from app.web.schemas.fields import HIDDEN

A_SECRET, ANOTHER = "a secret", "another secret"


def differences(before: Json | None, after: Json, given: Json) -> list[FieldChange]:
    """What changes of a thing; `given` is what a file says of it. Of a new thing (None) it is everything given."""
    if before is None:
        return [FieldChange(name, None, after.get(name)) for name in given if name != "name"]
    changes = list(_changes(before, after, ""))
    known = {change.field for change in changes}
    return changes + [
        FieldChange(place, A_SECRET, ANOTHER) for place in _secrets(given, after, "") if place not in known
    ]


def _changes(before: Any, after: Any, path: str) -> Iterator[FieldChange]:
    for name in dict.fromkeys([*before, *after]):
        old, new, place = before.get(name), after.get(name), f"{path}{name}"
        if isinstance(old, dict) and isinstance(new, dict) and not path.startswith("env."):
            yield from _changes(old, new, f"{place}.")
        elif old != new:
            yield FieldChange(place, old, new)


def _secrets(given: Any, shown: Any, place: str) -> Iterator[str]:
    """The places of texts that are given and not shown again."""
    match given:
        case dict():
            for name, value in given.items():
                below = shown.get(name) if isinstance(shown, dict) else shown
                yield from _secrets(value, below, f"{place}.{name}" if place else name)
        case list():
            for number, value in enumerate(given):
                below = shown[number] if isinstance(shown, list) and number < len(shown) else None
                yield from _secrets(value, below, f"{place}.{number}")
        case str():
            if shown in (None, HIDDEN) and given != HIDDEN and given != shown:
                yield place
