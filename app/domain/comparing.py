"""Pushes that no hook told of: what is known of a branch against what its remote says it is at."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.domain.events import Push, RepositoryRef, repo_key
from app.domain.pushes import Movement

REMOTE = "remote"
"""In the place of a forge's name, of deliveries that were found so."""
GRACE = timedelta(seconds=45)  # for the hook of a push that has only just been made
FIRST_PAUSE = timedelta(seconds=30)


@dataclass(frozen=True)
class Seen:
    """A branch as a source knows it: at `head` (None: not there) when its newest movement had `position`.

    `found` is another head that was first seen there at `found_at`.
    """

    head: str | None
    position: int = 0
    found: str | None = None
    found_at: datetime | None = None


@dataclass(frozen=True)
class Step:
    """A movement that nobody told of: from where a branch was when last known to where it is."""

    before: str | None
    after: str | None


def first_seen(head: str | None, newest: Movement | None) -> Seen:
    """Return what is known of a branch that is tracked from now on, which builds nothing by itself."""
    return Seen(head, 0 if newest is None else newest.position)


def judge(
    seen: Seen | None, newest: Movement | None, head: str | None, now: datetime
) -> tuple[Seen, Step | None]:
    """Return what is known after a look at the remote, and the step that counts as a push from now on, if there is one.

    `newest` is the newest movement that the source was told of. A head that differs must still be there after `GRACE`.
    """
    is_later = newest is not None and (seen is None or newest.position > seen.position)
    if newest is not None and is_later:
        known, position = newest.after, newest.position
    elif seen is not None:
        known, position = seen.head, seen.position
    else:
        return first_seen(head, None), None
    if head == known:
        return Seen(head, position), None
    if seen is None or seen.found_at is None or seen.found_at > now or seen.found != head or is_later:
        return Seen(known, position, head, now), None  # after now: the clock was set back
    if now - seen.found_at < GRACE:
        return seen, None
    return Seen(head, position), Step(known, head)


def pause_after(failures: int, interval: timedelta) -> timedelta:
    """Return how long a remote that failed so many times in a row is left alone."""
    pause: timedelta = FIRST_PAUSE * 2 ** min(failures - 1, 20)
    return min(pause, interval)


def is_taken(taken: Sequence[Movement], before: str | None, after: str | None) -> bool:
    """Return whether a source was told of a found push after all. `taken` are its movements."""
    since = max((each.position for each in taken if each.after == before), default=0)
    return any(each.after == after and each.position > since for each in taken)


def is_found_before(taken: Sequence[Movement], before: str | None, after: str | None) -> bool:
    """Return whether what a hook tells of late was found before, then perhaps as one step with others. Newest first."""
    if not taken or before == taken[0].after:
        return False
    return any(each.is_found and each.after == after for each in taken)


def found_push(
    url: str, ref: str, step: Step, at: datetime, *, message: str = "", is_forced: bool = False
) -> Push:
    """The push that a step amounts to. Who pushed isn't known."""
    return Push(
        forge=REMOTE,
        repository=RepositoryRef(repo_key(url).partition("/")[2].lstrip("/"), (url,)),
        ref=ref,
        before=step.before,
        after=step.after,
        deleted=step.after is None,
        created=step.before is None,
        forced=is_forced,
        commits=(),
        head_message=message,
        changed_files=None,
        pusher="",
        compare_url="",
        found_at=at,
    )


def to_body(push: Push) -> bytes:
    """Return the step as it is stored in the place of what a forge would have sent."""
    assert push.found_at is not None
    body = {
        "url": push.repository.urls[0],
        "ref": push.ref,
        "before": push.before,
        "after": push.after,
        "forced": push.forced,
        "message": push.head_message,
        "found_at": push.found_at.isoformat(),
    }
    return json.dumps(body).encode()


def from_body(body: bytes) -> Push:
    found = json.loads(body)
    return found_push(
        found["url"],
        found["ref"],
        Step(found["before"], found["after"]),
        datetime.fromisoformat(found["found_at"]),
        message=found["message"],
        is_forced=found["forced"],
    )


def how_found(push: Push) -> str:
    """The sentence about a push that no hook told of; empty for any other.

    A hook may have told of it in vain, or tell of it yet.
    """
    if push.found_at is None:
        return ""
    forced = " What was there before is not part of it." if push.forced else ""
    at = push.found_at.strftime("%Y-%m-%d %H:%M:%S")
    found = f"Found by comparing with the remote at {at} UTC"
    return f"{found}: no delivery of a hook that was processed by then tells of this push.{forced}"
