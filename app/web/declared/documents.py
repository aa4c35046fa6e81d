"""From the documents of a file to the things that they declare, whatever is wrong with single ones.

A document names its `project` and has a section for each kind of thing; `settings` are the project's own. A document
without any section is a job by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from app.domain.documents import Json
from app.web.declared.github_apps import GITHUB_APPS
from app.web.declared.jobs import JOBS
from app.web.declared.kinds import Kind
from app.web.declared.notifications import TARGETS
from app.web.declared.releases import APPS, FLOWS, PIPELINES
from app.web.declared.shared import BUILD_SERVICES, CREDENTIALS, SECRET_GROUPS

KINDS: tuple[Kind, ...] = (
    CREDENTIALS,
    GITHUB_APPS,
    BUILD_SERVICES,
    JOBS,
    SECRET_GROUPS,
    APPS,
    PIPELINES,
    FLOWS,
    TARGETS,
)
OF_SECTION = {kind.section: kind for kind in KINDS}
SETTINGS, PROJECT = "settings", "project"
Fault = tuple[str, str]  # a dotted place, and a sentence


@dataclass(frozen=True)
class Item:
    """A thing as it is declared, at a dotted place of the file; `kind` is None for the settings of a project."""

    kind: Kind | None
    project: str
    name: str
    place: str
    fields: Json = field(repr=False)

    @property
    def label(self) -> str:
        return label_of(self.kind, self.project, self.name)


@dataclass
class Declared:
    """What a file declares: `sections` are those it has, also empty ones, by project and section."""

    items: list[Item] = field(default_factory=list)
    sections: set[tuple[str, str]] = field(default_factory=set)
    faults: list[Fault] = field(default_factory=list)

    def of(self, kind: Kind | None) -> Iterator[Item]:
        return (item for item in self.items if item.kind is kind)


def label_of(kind: Kind | None, project: str, name: str) -> str:
    return f"project {project}" if kind is None else f"{kind.word} {project}/{name}"


def read_documents(documents: Sequence[Any], project: str | None, begin: str = "documents") -> Declared:
    """What the documents declare; `project` is whose things are that say no other."""
    found = Declared()
    for number, document in enumerate(documents):
        place = f"{begin}.{number}"
        if not isinstance(document, dict):
            found.faults.append(
                (place, f"Document {number + 1} must be an object: a job, or sections such as jobs.")
            )
        elif _has_sections(document):
            _read_sections(found, document, project, place)
        else:
            _add(found, JOBS, document, project, place)
    _refuse_twice(found)
    return found


def _has_sections(document: Json) -> bool:
    known = {*OF_SECTION, SETTINGS}
    if known.intersection(document):
        return True
    return "name" not in document and any(get_close_matches(each, known, 1, 0.75) for each in document)


def _read_sections(found: Declared, document: Json, default: str | None, place: str) -> None:
    project = document.get(PROJECT, default)
    for section, given in document.items():
        kind, at = OF_SECTION.get(section), f"{place}.{section}"
        if section == PROJECT:
            continue
        if kind is None and section != SETTINGS:
            hint = suggestion(section, [PROJECT, SETTINGS, *OF_SECTION])
            found.faults.append((at, f"There is no section {section}{hint}"))
        elif kind is None:
            _add_settings(found, given, project, at)
        elif not isinstance(given, list | None):
            found.faults.append((at, f"{section} must be a list."))
        else:
            if isinstance(project, str):
                found.sections.add((project, section))
            for number, fields in enumerate(given or []):
                _add(found, kind, fields, project, f"{at}.{number}")


def _add_settings(found: Declared, given: Any, project: Any, place: str) -> None:
    if not isinstance(project, str):
        found.faults.append((place, "settings are of a project: name it by project, as text."))
    elif not isinstance(given, dict | None):
        found.faults.append((place, "settings must be an object."))
    else:
        found.items.append(Item(None, project, project, place, given or {}))


def _add(found: Declared, kind: Kind, fields: Any, default: Any, place: str) -> None:
    of = fields.get(PROJECT, default) if isinstance(fields, dict) else default
    if (
        not isinstance(fields, dict)
        or not isinstance(fields.get("name"), str)
        or not isinstance(of, str | None)
    ):
        number = 1 + sum(1 for _ in found.of(kind)) + sum(kind.word in fault for _, fault in found.faults)
        rule = "needs its name as text, and so is its project if it is given."
        found.faults.append((place, f"{kind.word} number {number} in the file {rule}"))
    elif of is None:
        found.faults.append(
            (place, f"{kind.word} {fields['name']} needs its project: name it by project, or --project.")
        )
    else:
        own = {name: value for name, value in fields.items() if name != PROJECT}
        found.items.append(Item(kind, of, fields["name"], place, own))


def _refuse_twice(found: Declared) -> None:
    once: dict[str, Item] = {}
    for item in found.items:
        if item.label in once:
            found.faults.append((item.place, f"{item.label} is declared twice."))
        once.setdefault(item.label, item)
    found.items = list(once.values())


def suggestion(given: str, known: Sequence[str]) -> str:
    """How a sentence about what isn't known ends: with what is close to it, where anything is."""
    close = get_close_matches(given, known, 1)
    return f": did you mean {close[0]}?" if close else "."
