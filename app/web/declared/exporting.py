"""Everything that `apply` takes, written as it would have to be given again; what is secret is only named."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from app.domain.documents import Json
from app.store.database import Tx
from app.store.projects import Project
from app.web.declared.documents import KINDS, PROJECT, SETTINGS
from app.web.declared.projects import shown_settings
from app.web.schemas.fields import HIDDEN

WRITE_ONLY = ("secret", "address", "private_key")
UNSET = (
    "Secrets are not exported. Where a thing is there already, these stay as they are; on another server, give each of"
    " these its value before the file is applied:"
)


def exported(tx: Tx, project: Project) -> Json:
    """The document of a project: its settings, and a section for each kind of thing that it has."""
    document: Json = {PROJECT: project.name, SETTINGS: shown_settings(project)}
    for kind in KINDS:
        found = [kind.shown(tx, project, name) for name in kind.names(tx, project)]
        if found:
            document[kind.section] = found
    return document


def as_yaml(document: Json) -> str:
    """The document as YAML, after a comment with the secrets to set."""
    unset = list(_unset(document, ""))
    lines = [UNSET, *(f"  {place}" for place in unset)] if unset else []
    text: str = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
    return "".join(f"# {line}\n" for line in lines) + text


class _Dumper(yaml.SafeDumper):
    """Writes a list that is there twice twice, and texts of several lines as such."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> Any:
    style = "|" if "\n" in text and text.isprintable() else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def _unset(value: Any, place: str) -> Iterator[str]:
    """The places of secrets, by the names of what has them."""
    match value:
        case {"secret": True, "value": None}:
            yield place
        case {"ssh_key": True}:
            return
        case dict():
            for name, each in value.items():
                below = f"{place}.{name}" if place else name
                if (name in WRITE_ONLY and each is None) or each == HIDDEN:
                    yield below
                yield from _unset(each, below)
        case list():
            for each in value:
                name = each.get("name", "") if isinstance(each, dict) else ""
                yield from _unset(each, f"{place}.{name}" if name else place)
