"""When a failed attempt is tried again."""

from __future__ import annotations

import enum
from datetime import timedelta

FIRST_DELAY = timedelta(seconds=10)
LONGEST_DELAY = timedelta(minutes=6)


class Backoff(enum.StrEnum):
    NONE = "none"
    FIXED = "fixed"
    EXPONENTIAL = "exponential"


def delay_after(failures: int, backoff: Backoff) -> timedelta:
    """The wait before the next attempt after so many failed ones (1 or more): 10 s, 20 s, 40 s … at most 6 min."""
    match backoff:
        case Backoff.NONE:
            return timedelta(0)
        case Backoff.FIXED:
            return FIRST_DELAY
        case Backoff.EXPONENTIAL:
            doublings = min(failures - 1, 10)  # far past the longest delay; keeps the number small
            return min(FIRST_DELAY * (1 << doublings), LONGEST_DELAY)
