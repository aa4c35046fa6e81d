"""When a forge is asked again that did not take the status of a commit, and when it is left at that."""

from __future__ import annotations

from datetime import datetime, timedelta

FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=5), timedelta(minutes=10)
GIVEN_UP_AFTER = timedelta(hours=24)


def next_try(tries: int, now: datetime, not_before: datetime | None) -> datetime:
    """When to try again after so many tries, and never before the forge said so."""
    pause: timedelta = min(FIRST_PAUSE * 2 ** min(tries - 1, 10), LONGEST_PAUSE)
    return max(now + pause, not_before or now)


def is_in_vain(failing_since: datetime | None, now: datetime) -> bool:
    return failing_since is not None and now - failing_since >= GIVEN_UP_AFTER


def given_up(sentence: str) -> str:
    """Said when it is left at that."""
    return f"{sentence} Given up after {GIVEN_UP_AFTER.total_seconds() / 3600:.0f} hours."
