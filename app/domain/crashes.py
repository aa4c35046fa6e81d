"""Crash counting: how often a server crashed while it worked on a build, run or delivery, which may be the cause.

A crash is any end of a server that was not told to stop, a kill included. What was worked on at several crashes is
suspected: it is retried only when the server has stayed up for a while, longer each time, and one thing of a kind at a
time. So a server that somebody else kills again and again does not reach it, and nothing is lost; what does crash the
server is found, and given up. A crash during work that is suspected counts against nothing else.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from datetime import timedelta
from typing import TypeVar

K = TypeVar("K", bound=Hashable)

SUSPECTED_AFTER = 3
GIVEN_UP_AFTER = 8
FIRST_QUIET = timedelta(seconds=15)
# A run that a server has had for this long is suspected no more: it is longer than any time in `quiet_after`.
CLEARED_AFTER = timedelta(minutes=10)


def is_suspected(crashes: int) -> bool:
    return crashes >= SUSPECTED_AFTER


def is_given_up(crashes: int) -> bool:
    return crashes >= GIVEN_UP_AFTER


def quiet_after(crashes: int) -> timedelta:
    """Return how long a server has to have been up before it retries something."""
    if not is_suspected(crashes) or is_given_up(crashes):
        return timedelta(0)
    return FIRST_QUIET * int(2 ** (crashes - SUSPECTED_AFTER))


def blamed(crashes: Mapping[K, int]) -> set[K]:
    """Return what a crash counts against, of all that was worked on; `crashes` are the counts before it."""
    suspects = {each for each, count in crashes.items() if is_suspected(count)}
    return suspects or set(crashes)
