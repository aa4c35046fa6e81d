"""What an import comes to: things with remarks, written as YAML with a comment for all that has no counterpart."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

Json = dict[str, Any]
SECRETIVE = re.compile(
    r"(?i)secret|token|password|passwd|credential|key|auth|environment|files|mounts|envs|url|data"
)
PLANS = (
    (256, 0.25, "micro"),
    (512, 0.5, "small"),
    (1024, 1, "medium"),
    (2048, 2, "large"),
    (8192, 4, "xlarge"),
)
LONGEST_NAME = 52


@dataclass
class Draft:
    """A file for `apply` in the making. `remarks` say what has no counterpart, or is to be done by hand."""

    sections: dict[str, list[Json]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def add(self, section: str, thing: Json) -> None:
        self.sections.setdefault(section, []).append(thing)

    def remark(self, where: str, what: str) -> None:
        self.remarks.append(f"{where}: {what}")

    def written(self, project: str, *, makes_it: bool) -> str:
        """The YAML, after its comments; `makes_it` has it make the project where there is none."""
        lines = [line for remark in self.remarks for line in one_line(remark)]
        settings: Json = {"settings": {}} if makes_it else {}
        document = {"project": project, **settings, **self.sections}
        text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110)
        return "".join(f"# {line}\n" for line in lines) + text


def one_line(text: str) -> Iterator[str]:
    """What a comment can hold: printable, and cut where nobody would read on."""
    printable = "".join(each if each.isprintable() else " " for each in text)
    yield printable if len(printable) <= 500 else f"{printable[:499]}…"


class Reader:
    """An object of another platform, of which each field is taken once; what is left is remarked upon."""

    def __init__(self, value: Any, where: str, draft: Draft) -> None:
        self.where = where
        self.draft = draft
        self._left: Json = dict(value) if isinstance(value, dict) else {}
        if not isinstance(value, dict | None):
            draft.remark(where, f"is no object, but {shown(value)}: left out.")

    def take(self, name: str, kind: type | tuple[type, ...] = str) -> Any:
        """The field, or None where it is missing or of another kind, which is remarked upon."""
        value = self._left.pop(name, None)
        if value is None:
            return None
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            self.remark(name, f"is {shown(value)}, which is not understood: left out.")
            return None
        return value

    def below(self, name: str) -> Reader:
        """The object in the field."""
        return Reader(self._left.pop(name, None), f"{self.where}.{name}", self.draft)

    def items(self, name: str) -> list[Any]:
        return self.take(name, list) or []

    def has(self, name: str) -> bool:
        return name in self._left

    def give_back(self, name: str, value: Any) -> None:
        self._left[name] = value

    def skip(self, *names: str) -> None:
        """Take what means nothing here."""
        for name in names:
            self._left.pop(name, None)

    def remark(self, name: str, what: str) -> None:
        self.draft.remark(f"{self.where}.{name}" if name else self.where, what)

    def finish(self) -> None:
        """Remark upon every field that nobody took."""
        for name, value in self._left.items():
            if value not in (None, "", [], {}):
                what = "***" if SECRETIVE.search(str(name)) else shown(value)
                self.remark(str(name), f"has no counterpart: {what}")
        self._left = {}


def shown(value: Any) -> str:
    """A value in a remark, on one line and not too long; what may be secret is not in it."""
    if isinstance(value, Mapping):
        each = (
            f"{name}: {'***' if SECRETIVE.search(str(name)) else shown(it)}" for name, it in value.items()
        )
        return f"{{{', '.join(list(each)[:8])}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(shown, value[:8]))}]"
    text = str(value)
    return text if len(text) <= 80 else f"{text[:79]}…"


def name_of(given: Any, taken: set[str], otherwise: str) -> str:
    """A name as Jobyard has them: lower-case letters, digits and hyphens, and none twice."""
    plain = re.sub(r"[^a-z0-9]+", "-", str(given or "").lower()).strip("-")
    base = plain[: LONGEST_NAME - 4].strip("-") or otherwise
    name, number = base, 2
    while name in taken:
        name, number = f"{base}-{number}", number + 1
    taken.add(name)
    return name


def plan_of(memory_mb: float, cpus: float) -> str:
    """The smallest of the usual plans that has as much, or the biggest there is."""
    fits = (name for memory, cores, name in PLANS if memory >= memory_mb and cores >= cpus)
    return next(fits, PLANS[-1][2])
