"""Start once: which step comes next, given what the engine lists for a key.

Look, take one step, look again; for a key that was just made up, the first look is taken to find nothing. A
start request goes out only by a name that this very call gave to the only container of the key, since it last
heard nothing odd. Whoever sent a start earlier, and did not hear of it, sent it to an older name, which is
nobody's now. Left open: the engine resolves a name and starts it in two moves, and a rename may fall in between
them (microseconds inside one process).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Seen:
    """A container of the key as listed. `fresh` if it has never left `created`."""

    id: str
    name: str
    fresh: bool


@dataclass(frozen=True, slots=True)
class Create:
    """There is none: create one under a new name."""


@dataclass(frozen=True, slots=True)
class Fence:
    """Rename `chosen` to a new name and remove the others, which never ran either."""

    chosen: Seen
    others: tuple[Seen, ...]


@dataclass(frozen=True, slots=True)
class Start:
    """The only one, under our name: start it by that name."""

    chosen: Seen


@dataclass(frozen=True, slots=True)
class Adopt:
    """This one ran or runs: never start anything for this key again. `others` never ran and can go."""

    chosen: Seen
    others: tuple[Seen, ...]


Step = Create | Fence | Start | Adopt


def next_step(seen: Sequence[Seen], our_name: str | None) -> Step:
    """`our_name` is what this call named a container last, or None if any answer has been lost since.

    Everybody chooses the same one, so that servers that race converge instead of removing each other's.
    """
    ordered = sorted(seen, key=lambda container: (container.fresh, container.id))
    if not ordered:
        return Create()
    chosen, *others = ordered
    if not chosen.fresh:
        return Adopt(chosen, tuple(container for container in others if container.fresh))
    if not others and chosen.name == our_name:
        return Start(chosen)
    return Fence(chosen, tuple(others))
