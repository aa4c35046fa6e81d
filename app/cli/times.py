"""Times as people write and read them. The only clock of the commands is here."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo

from app.domain.errors import InvalidValue

_UNITS = ((86_400, "day"), (3_600, "h"), (60, "min"), (1, "s"))


def now() -> datetime:
    return datetime.now(UTC)


def read_time(text: str, option: str, zone: tzinfo | None = None) -> datetime:
    """Read an instant from RFC 3339, or from a date or time without offset in `zone` (None is this machine's).

    Raises InvalidValue naming the option.
    """
    try:
        at = datetime.fromisoformat(text)
        return at.astimezone() if at.tzinfo or zone is None else at.replace(tzinfo=zone)
    except (ValueError, OverflowError, OSError):
        raise InvalidValue(
            option,
            f"{option} must be a time such as 2026-01-31T12:00:00Z or '2026-01-31 12:00', not {text!r}.",
        ) from None


def instant(text: str | None, option: str) -> str | None:
    """Return the time that an option gives as the API takes it; wrong usage if it is none."""
    from typer import BadParameter

    if text is None:
        return None
    try:
        return rfc3339(read_time(text, option))
    except InvalidValue as error:
        raise BadParameter(str(error), param_hint=option) from None


def rfc3339(at: datetime) -> str:
    """Return the time in UTC, as the API takes it."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def when(text: str | None, at: datetime) -> str:
    """Return `3 min ago · 2026-01-31 12:00:00`, in this machine's zone, as seen at `at`; empty for None."""
    if text is None:
        return ""
    that = datetime.fromisoformat(text)
    return f"{relative(that, at)} · {that.astimezone():%Y-%m-%d %H:%M:%S}"


def relative(that: datetime, at: datetime) -> str:
    seconds = round((at - that) / timedelta(seconds=1))
    if seconds == 0:
        return "now"
    return f"{span(seconds)} ago" if seconds > 0 else f"in {span(-seconds)}"


def span(seconds: float) -> str:
    """Return the largest unit, rounded down; under ten seconds with a decimal."""
    if 0 < seconds < 10 and seconds != int(seconds):
        return f"{seconds:.1f} s"
    for size, name in _UNITS:
        if seconds >= size:
            number = int(seconds // size)
            return f"{number} {name}{'s' if name == 'day' and number > 1 else ''}"
    return "0 s"
