"""What every kind of thing that can be declared has: how it is checked, shown, saved and removed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from pydantic import BaseModel

from app.domain.documents import Json
from app.domain.errors import NotFound
from app.domain.principals import Right
from app.domain.references import Ours
from app.runtime.ports import Names, Vault
from app.store.database import Tx
from app.store.projects import Project
from app.web.form_rules import FormRules

PAGE = 100


class Numbered(Protocol):
    @property
    def id(self) -> int: ...


T = TypeVar("T", bound=Numbered)
Found = TypeVar("Found")


@dataclass(frozen=True)
class Scene:
    """Who declares something, when, and by what rules. `require` raises 403 unless they have the right in the project
    of that id or, with None, in all; `project` is the project of a name, and raises NotFound for one out of reach.
    """

    rules: FormRules
    names: Names
    vault: Vault
    ours: Ours
    who: str
    now: datetime
    require: Callable[[Right, int | None], None]
    project: Callable[[Tx, str], Project]


@dataclass(frozen=True)
class Kind:
    """A kind of thing that a project has, declared in a `section` of a file and called `word` in sentences.

    `shown` is a thing as it could be given again, with null for its secrets; None where there is none of that name.
    `save` makes it of all fields or changes the fields given; it returns warnings. What is wrong is raised by `save`
    and `remove` as an error of the domain or a ValidationError, and then nothing is done.
    """

    section: str
    word: str
    right: Right
    form: type[BaseModel]
    names: Callable[[Tx, Project], list[str]]
    shown: Callable[[Tx, Project, str], Json | None]
    save: Callable[[Tx, Scene, Project, Json], Sequence[str]]
    remove: Callable[[Tx, Scene, Project, str], None]


def all_of(fetch: Callable[[int | None], Sequence[T]]) -> list[T]:
    """Everything of a list that `fetch` gives page by page, oldest first."""
    found: list[T] = []
    before: int | None = None
    while page := fetch(before):
        found += page
        before = page[-1].id
    return found[::-1]


def or_none(find: Callable[[], Found]) -> Found | None:
    """What `find` finds, or None where it raises NotFound."""
    try:
        return find()
    except NotFound:
        return None
