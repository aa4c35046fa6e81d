"""What the answers of forges' APIs mean: they use the statuses of HTTP alike."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from app.domain.events import one_line
from app.domain.http import HttpAnswer
from app.forges.api import Later, Moved, Outcome, Refused, Taken, body_of

WITHOUT_A_TIME = timedelta(minutes=1)  # to wait at a limit that does not say how long, as GitHub asks for
LONGEST_WAIT = timedelta(hours=2)  # limits are by the hour
_REDIRECTS = {301, 302, 307, 308}


def outcome_of(answer: HttpAnswer, now: datetime, name: str, permission: str) -> Outcome:
    """Return what an answer means of a forge with that name; `permission` is what the request takes there."""
    status, location = answer.status, answer.headers.get("location")
    if 200 <= status < 300:
        if isinstance(body_of(answer), dict | list):
            return Taken()
        return Later(
            f"What answered with status {status} is not {name}'s API: look at the credential's api_url."
        )
    if status in _REDIRECTS and location:
        return Moved(location)
    if status == 429 or (status == 403 and is_limit(answer)):
        return Later(
            f"{name} asks to wait (status {status}): a rate limit is reached.", _end(answer, now), True
        )
    if status >= 500 or status in (408, 425):
        return Later(f"{name} answered with status {status}.")
    return _refused(status, said_in(answer), name, permission)


def _refused(status: int, said: str, name: str, permission: str) -> Refused:
    match status:
        case 401:
            return Refused(
                f"{name} does not know the credential (401): its token is wrong, revoked or expired.", True
            )
        case 403:
            return Refused(
                f"{name} does not let the credential do this (403): it needs {permission}.{said}", True
            )
        case 404:
            needs = f"the credential needs access to it, and {permission}"
            return Refused(f"{name} shows the credential no such repository (404): {needs}.", True)
        case 422:
            return Refused(f"{name} did not take it (422): was the commit rewritten, and is gone?{said}")
        case _:
            return Refused(f"{name} refused it with status {status}.{said}")


def is_limit(answer: HttpAnswer) -> bool:
    """Return whether a 403 is a rate limit, of GitHub the primary one or a secondary."""
    if "retry-after" in answer.headers or answer.headers.get("x-ratelimit-remaining") == "0":
        return True
    return "rate limit" in said_in(answer).lower()


def _end(answer: HttpAnswer, now: datetime) -> datetime:
    """Return when a limit ends: by Retry-After, else by X-RateLimit-Reset, within bounds."""
    at = _retry_after(answer.headers.get("retry-after", ""), now)
    if at is None and answer.headers.get("x-ratelimit-remaining") == "0":
        at = _epoch(answer.headers.get("x-ratelimit-reset", ""))
    return now + WITHOUT_A_TIME if at is None else min(max(at, now), now + LONGEST_WAIT)


def _retry_after(text: str, now: datetime) -> datetime | None:
    if text.isascii() and text.isdecimal() and len(text) < 9:
        return now + timedelta(seconds=int(text))
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _epoch(text: str) -> datetime | None:
    is_time = text.isascii() and text.isdecimal() and len(text) < 12
    return datetime.fromtimestamp(int(text), UTC) if is_time else None


def said_in(answer: HttpAnswer) -> str:
    """Return what the forge says, as a sentence behind one of ours; empty if it says nothing that can be read."""
    body = body_of(answer)
    said = (body.get("message") or body.get("error")) if isinstance(body, dict) else None
    return f" It said: {one_line(said)[:200].rstrip('.')}." if isinstance(said, str) and said.strip() else ""
