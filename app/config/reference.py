"""What settings there are, group by group, for the guide."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from app.config.client import ClientSettings
from app.config.group import Group
from app.config.settings import Settings


@dataclass(frozen=True)
class Described:
    """A setting: `variable` is what it is called in the environment, `default` empty where it has none."""

    variable: str
    default: str
    description: str


@dataclass(frozen=True)
class DescribedGroup:
    title: str
    sentence: str
    settings: tuple[Described, ...]


def describe_settings() -> Iterator[DescribedGroup]:
    """Yield the groups of a server in the order in which they build on one another, then that of the command line."""
    groups: list[type[Group]] = [
        each
        for each in reversed(Settings.__mro__)
        if issubclass(each, Group) and each not in (Group, Settings)
    ]
    groups.append(ClientSettings)
    for group in groups:
        yield DescribedGroup(
            _title(group),
            " ".join((sys.modules[group.__module__].__doc__ or "").split()),
            tuple(
                _described(name, group.model_fields[name])
                for name in group.__annotations__
                if _is_field(group, name)
            ),
        )


def _is_field(group: type[Group], name: str) -> bool:
    return name in group.model_fields


def _title(group: type[Group]) -> str:
    words = re.findall(r"[A-Z][a-z]+", group.__name__.removesuffix("Settings"))
    return " ".join(words).capitalize()


def _described(name: str, field: FieldInfo) -> Described:
    value = field.default
    default = "" if value is None or isinstance(value, SecretStr) else str(value)
    return Described(f"JOBYARD_{name.upper()}", default, field.description or "")
