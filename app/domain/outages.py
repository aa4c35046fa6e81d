"""How long work waits for what is away: an engine, a registry, a Git server. Builds and runs wait alike.

For an engine that is known not to answer they wait without an end, as nothing else could be done meanwhile."""

from __future__ import annotations

from datetime import datetime, timedelta

UNANSWERED_LIMIT = 15  # tries: over some three quarters of an hour, their own time not counted
FIRST_PAUSE = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(minutes=5)
WHILE_ENGINE_IS_DOWN = timedelta(seconds=30)  # between tries, which then don't count


def pause_after(tries: int) -> timedelta | None:
    """Return how long to wait after a try that met an outage, `tries` others before it; None once that is to be given
    up.
    """
    if tries + 1 >= UNANSWERED_LIMIT:
        return None
    pause: timedelta = FIRST_PAUSE * 2**tries
    return min(pause, LONGEST_PAUSE)


PATIENCE = sum((pause_after(tries) or timedelta(0) for tries in range(UNANSWERED_LIMIT)), timedelta(0))


def asked_again(sentence: str, seconds: float | None) -> str:
    """Said while an engine is asked again and again, for so long at most if there is an end to it."""
    how_long = "until it answers" if seconds is None else f"for {seconds / 60:.0f} min at most"
    return f"{sentence.rstrip('.')}. It is asked again and again, {how_long}."


def unanswered_for(sentence: str, seconds: float) -> str:
    """Said when that was in vain."""
    return f"{sentence.rstrip('.')}. It was asked again and again for {seconds / 60:.0f} min."


def in_vain(sentence: str, tries: int, since: datetime, now: datetime, what: str) -> str:
    """Said when it is given up. `tries` are all of them, `what` is what may be started again."""
    minutes = (now - since).total_seconds() / 60
    tried = f"Tried {tries} times in {minutes:.0f} min."
    return f"{sentence.rstrip('.')}. {tried} Start the {what} again once that is over."
