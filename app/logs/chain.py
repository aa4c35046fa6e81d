"""Which objects of a bucket make up a log, in which order: each holds what is new since the one before it.

A writer numbers its objects, below the term of the claim that it writes under. Its first one names the object that it
goes on from, or is whole: so what a writer still stores that somebody else has taken over from belongs to nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Self

WHOLE = "whole"


class Link(NamedTuple):
    """An object, as its name says. `before` is None for one that is whole."""

    term: int
    number: int
    before: tuple[int, int] | None

    @property
    def place(self) -> tuple[int, int]:
        return self.term, self.number

    @property
    def name(self) -> str:
        own = _text(self.place)
        if self.before is None:
            return f"{own}.{WHOLE}"
        return own if self.before == (self.term, self.number - 1) else f"{own}.{_text(self.before)}"

    @classmethod
    def of(cls, name: str) -> Self:
        """Raises ValueError for what is no such name."""
        term, number, *rest = name.split(".")
        if rest == [WHOLE]:
            return cls(int(term), int(number), None)
        before = (int(rest[0]), int(rest[1])) if rest else (int(term), int(number) - 1)
        return cls(int(term), int(number), before)

    def next(self, term: int) -> Link:
        """The one after this by a writer under that term."""
        number = self.number + 1 if term == self.term else 1
        return Link(term, number, self.place)


def newest(names: Iterable[str]) -> list[Link]:
    """The objects that make up the log as it is now, first to last; those before the first are not among the names."""
    links = {link.place: link for link in map(Link.of, names)}
    found: list[Link] = []
    place = max(links, default=None)
    while place in links:
        found.append(links[place])
        place = links[place].before
    return found[::-1]


def still_to_come(names: Iterable[str], last: Link | None) -> Sequence[Link] | None:
    """The objects after the last one that somebody has, of those that come after it by name; None if what they have
    is not the beginning of the log any more.
    """
    links = newest(names)
    if not links or links[0].before is None:
        return links if last is None or not links else None
    return links if last is not None and links[0].before == last.place else None


def _text(place: tuple[int, int]) -> str:
    return f"{place[0]:010d}.{place[1]:08d}"
