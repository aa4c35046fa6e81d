"""Who is next where places are few: first whoever has the fewest of them, then whoever has waited longest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence


def lane_of(repositories: Iterable[tuple[int, str]]) -> str:
    """The name of the lane for (project id, repository key) pairs: what is for other ones never waits for it."""
    return " ".join(f"{project}:{key}" for project, key in sorted(set(repositories)))


def owner_of(lane: str) -> str:
    """The project whose share of the places a lane takes: the first one in its name."""
    return lane.partition(":")[0]


def next_in_line(
    waiting: Sequence[tuple[int, str]], busy: Collection[str], *, places: int, per_owner: int
) -> int | None:
    """The id of what may begin now, if anything. `waiting` are ids and lanes, oldest first, `busy` the lanes at work.

    `places` are there in all; nobody gets more than `per_owner`, so that some are always left for others.
    """
    if len(busy) >= places:
        return None
    taken = Counter(map(owner_of, busy))
    free = [(id_, lane) for id_, lane in waiting if lane not in busy and taken[owner_of(lane)] < per_owner]
    first = min(free, key=lambda each: taken[owner_of(each[1])], default=None)
    return None if first is None else first[0]
