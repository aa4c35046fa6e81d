"""Servers that end without being told to, and the work that they had in hand: it may be the cause, or may not.

What was in hand at several such ends is under suspicion: it is gone on with only when the server has stayed up for a
while, longer each time, and one thing of a kind at a time. So a server that somebody else kills again and again never
comes to it, and nothing is lost; what does take the server down is found out, and given up. While something that is
under suspicion was in hand, nothing else is blamed. A server that is told to stop lets go of its work:
that is no death.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from datetime import timedelta
from typing import TypeVar

K = TypeVar("K", bound=Hashable)

SUSPECTED_AFTER = 3
GIVEN_UP_AFTER = 8
FIRST_QUIET = timedelta(seconds=15)
ACQUITTED_AFTER = timedelta(
    minutes=10
)  # of a server's life: longer than any time that it has to stay up before


def is_suspected(deaths: int) -> bool:
    return deaths >= SUSPECTED_AFTER


def is_given_up(deaths: int) -> bool:
    return deaths >= GIVEN_UP_AFTER


def quiet_after(deaths: int) -> timedelta:
    """How long a server has to have been up before it goes on with something."""
    if not is_suspected(deaths) or is_given_up(deaths):
        return timedelta(0)
    return FIRST_QUIET * int(2 ** (deaths - SUSPECTED_AFTER))


def blamed(deaths: Mapping[K, int]) -> set[K]:
    """What may be the cause, of all that was in hand when servers ended; `deaths` as they were before."""
    suspects = {each for each, count in deaths.items() if is_suspected(count)}
    return suspects or set(deaths)
