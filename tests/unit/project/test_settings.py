"""Settings: each belongs to one group, and no group is forgotten."""

from __future__ import annotations

from collections import Counter
from importlib import import_module
from pkgutil import iter_modules

import app.config
from app.config import ClientSettings, Settings
from app.config.group import Group


def groups() -> list[type[Group]]:
    """Those that the modules of the package make."""
    modules = [import_module(f"app.config.{each.name}") for each in iter_modules(app.config.__path__)]
    made = [value for module in modules for value in vars(module).values() if isinstance(value, type)]
    return [each for each in dict.fromkeys(made) if issubclass(each, Group) and each not in (Group, Settings)]


def test_every_group_is_read() -> None:
    assert [each for each in groups() if each is not ClientSettings and each not in Settings.__mro__] == []


def test_a_setting_belongs_to_one_group() -> None:
    named = Counter(name for each in groups() for name in each.__annotations__ if name in each.model_fields)
    assert set(named) == {*Settings.model_fields, *ClientSettings.model_fields}
    assert [name for name, count in named.items() if count > 1] == []


def test_every_setting_says_what_it_is_for() -> None:
    described = [*Settings.model_fields.values(), *ClientSettings.model_fields.values()]
    assert all(each.description for each in described)
