"""Start once: which step comes next, given what the engine lists for a key.

Look, take one step, look again; for a key that was just made up, the first look is taken to find nothing. A
start request goes out only by a name that this very call gave to the only container of the key, since it last
heard nothing odd. Whoever sent a start earlier, and did not hear of it, sent it to an older name, which is
nobody's now. But the engine resolves a name and starts what has it in two moves, and our rename may fall in between
them. So whoever renamed a container asks about it once more before the start: the answer comes after a start that
the engine has begun. Left open: a start that rests between its two moves until then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Candidate:
    """A listed container of the key. `fresh` means that it has never left the state `created`."""

    id: str
    name: str
    fresh: bool


@dataclass(frozen=True, slots=True)
class Create:
    """There is no container: create one under a new name."""


@dataclass(frozen=True, slots=True)
class Fence:
    """Rename `chosen` to a new name and remove the others, which never ran either."""

    chosen: Candidate
    others: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class Start:
    """It is the only container and has our name: start it by that name."""

    chosen: Candidate


@dataclass(frozen=True, slots=True)
class Adopt:
    """`chosen` ran or runs: never start anything for this key again. `others` never ran and can be removed."""

    chosen: Candidate
    others: tuple[Candidate, ...]


Step = Create | Fence | Start | Adopt


def next_step(seen: Sequence[Candidate], our_name: str | None) -> Step:
    """Return what to do next about the containers of a key.

    `our_name` is what this call named a container last, or None if any answer has been lost since. Every server
    chooses the same container, so that those that race converge instead of removing each other's.
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
