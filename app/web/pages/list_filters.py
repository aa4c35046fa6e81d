"""What a list over all jobs is filtered by: it is in the address, read as the API reads it, and shown as words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar
from urllib.parse import urlencode

from app.store import projects
from app.store.database import Tx
from app.store.lists import LOOKED_AT, Count, Place, Stretch
from app.web.pages.context import PageContext
from app.web.pages.formatting import label, plural
from app.web.reading import read_value
from app.web.schemas.base import Model

PER_PAGE = 50
TEXT = 500  # characters of a filter
PROJECTS = 200  # to choose from
TIMES = ("since", "until")
M = TypeVar("M", bound=Model)


@dataclass(frozen=True)
class Choice:
    """A filter that has few values, such as a status."""

    name: str
    label: str
    values: Sequence[str]

    @property
    def options(self) -> list[tuple[str, str]]:
        return [("", "any"), *((value, label(value)) for value in self.values)]


@dataclass(frozen=True)
class Filters:
    """What is asked for: `given` are the filters that say something, by the names that the API has for them."""

    address: str
    given: Mapping[str, str]
    choices: Sequence[Choice]
    texts: Sequence[tuple[str, str]]  # names and labels
    projects: Sequence[str] = field(default=(), repr=False)

    def at(self, **changes: object) -> str:
        """The address of the list with other filters, or another page of it."""
        words = {**self.given, **changes}
        query = urlencode({name: value for name, value in words.items() if value not in (None, "")})
        return f"{self.address}?{query}" if query else self.address

    @property
    def words(self) -> list[tuple[str, str, str]]:
        """The filters that can be taken away: each one's name, its value, and the address without it."""
        shown = [(name, value, self.at(**{name: None})) for name, value in self.given.items()]
        if "project" in self.given:  # which a job needs
            shown = [
                (name, value, self.at(project=None, job=None) if name == "project" else href)
                for name, value, href in shown
            ]
        return [(name, label(value) if self._is_choice(name) else value, href) for name, value, href in shown]

    def _is_choice(self, name: str) -> bool:
        return any(each.name == name for each in self.choices)


def filters_of(
    ctx: PageContext, tx: Tx, address: str, choices: Sequence[Choice], texts: Sequence[tuple[str, str]]
) -> Filters:
    names = [*(name for name, _ in texts), *(each.name for each in choices), *TIMES]
    given = {name: ctx.query(name).strip()[:TEXT] for name in names}
    known = projects.page(tx, PROJECTS, None, only=ctx.projects) if dict(texts).get("project") else []
    found = {name: as_utc(value) if name in TIMES else value for name, value in given.items() if value}
    return Filters(address, found, choices, texts, sorted(each.name for each in known))


def read_filters(ctx: PageContext, model: type[M], filters: Filters) -> M:
    """The filters as the API takes them, but for what names a project or job. Raises ValidationError."""
    named = ("project", "job")
    return read_value(
        model, {name: each for name, each in filters.given.items() if name not in named}, ctx.server
    )


def as_utc(text: str) -> str:
    """A day and time without an offset, as browsers without scripts send them, is one of UTC."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return text
    return text if at.tzinfo else f"{at.isoformat()}Z"


def place_of(ctx: PageContext) -> Place:
    """Which page is asked for."""
    after = ctx.number("after")
    return Place(after=after) if after is not None else Place(before=ctx.number("before"))


@dataclass(frozen=True)
class Pager:
    """The ways from a page to others: towards the newest, towards the oldest; None where there is none."""

    newest: str | None
    newer: str | None
    older: str | None
    oldest: str | None
    looked: str  # says so where more may be found further on


def pager(filters: Filters, place: Place, stretch: Stretch) -> Pager:
    is_first = place.after is None and place.before is None
    looked = ""
    if stretch.looked_to is not None:
        way = "newer" if place.after is not None else "older"
        looked = f"{LOOKED_AT:,} were looked at for this page: go on to {way} ones to look further."
    return Pager(
        None if is_first else filters.at(),
        None if is_first or stretch.newer is None else filters.at(after=stretch.newer),
        None if stretch.older is None else filters.at(before=stretch.older),
        None if stretch.older is None else filters.at(after="0"),
        looked,
    )


def counted(count: Count, noun: str) -> str:
    """`1,204 runs`, `10,000+ runs`, `37 of the newest 10,000 runs`."""
    if count.among is None:
        return plural(count.number, noun)
    if count.number == count.among:
        return f"{count.among:,}+ {noun}s"
    return f"{count.number:,} of the newest {count.among:,} {noun}s"
