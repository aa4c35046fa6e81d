"""How values read on a page: times, durations, states and names."""

from __future__ import annotations

import re
import shlex
from datetime import UTC, datetime, timedelta
from typing import Any

from app.domain.events import repo_key
from app.domain.fires import listed_after
from app.domain.health import checks_of
from app.domain.jobs import Job, RunOnImageChange
from app.domain.schedule import Schedule
from app.domain.schedule.words import describe

NONE = "\N{EN DASH}"
_LABELS = {
    "exit_nonzero": "exit code",
    "image_change": "image change",
    "not_recognised": "not recognised",
    "api": "API",
}


def iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def utc(at: datetime) -> str:
    """What is read where no script runs."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def clock(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%H:%M:%S")


def duration(value: timedelta | float | None) -> str:
    """`0.4 s`, `41 s`, `1 m 42 s`, `2 h 05 m`, `3 d 4 h`."""
    if value is None:
        return NONE
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if seconds < 10:
        return f"{max(seconds, 0):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} m {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} m"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def label(name: object) -> str:
    """A code such as `time_limit` as people say it."""
    text = str(name)
    return _LABELS.get(text, text.replace("_", " "))


def setting(name: str, value: Any) -> str:
    """What a setting of a job or run is, such as its command, its health checks or its number of instances."""
    match value:
        case None | [] | "":
            return NONE
        case bool():
            return "yes" if value else "no"
        case list() if name == "health_checks":
            return "; ".join(f"{check.type}: {check.words}" for check in checks_of(value))
        case list():
            return shlex.join(value)
        case _:
            return str(value)


def outcome(thing: Any) -> str:
    """The state of a run, attempt or build in words, with its reason: `Failed · time limit`."""
    word = str(thing.status).capitalize()
    reason = getattr(thing, "reason", None)
    if reason is None or str(reason) == str(thing.status):
        return word
    if str(reason) == "exit_nonzero" and getattr(thing, "exit_code", None) is not None:
        return f"{word} · exit {thing.exit_code}"
    if str(reason) == "build_failed":
        return word
    return f"{word} · {label(reason)}"


def short(text: str | None) -> str:
    """A commit or digest as it fits into a line."""
    if not text:
        return NONE
    digest = text.rpartition("sha256:")[2]
    if digest != text:
        return f"sha256:{digest[:8]}…{digest[-2:]}"
    return text[:7] if re.fullmatch(r"[0-9a-f]{40,64}", text) else text


def repository(url: str) -> str:
    """`acme/report` for a repository's URL."""
    parts = repo_key(url).removeprefix("file://").split("/")
    return "/".join(parts[-2:]) if len(parts) > 2 else "/".join(parts)


def size(count: int) -> str:
    mib = count / (1024 * 1024)
    return f"{mib:.0f} MiB" if mib < 1024 else f"{mib / 1024:g} GiB"


def plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def attempts(run: Any) -> str:
    """How a run's attempts stand: `2 failed · 1 active`."""
    counts = [(run.succeeded, "succeeded"), (run.failed, "failed"), (run.active, "active")]
    return " · ".join(f"{count} {word}" for count, word in counts if count)


def command(value: Any) -> str:
    """An argv or a shell line as it is typed."""
    if value is None:
        return "the image's own"
    return value if isinstance(value, str) else shlex.join(value)


def starts(job: Job) -> str:
    """What starts a job by itself."""
    if job.paused:
        return "only by hand while paused"
    if job.schedule is not None:
        schedule = Schedule.parse(job.schedule.cron, job.schedule.time_zone)
        said = describe(schedule.fields, job.schedule.time_zone)
        return said if job.schedule.active else f"{said}, but inactive"
    return _with_an_image(job)


def _with_an_image(job: Job) -> str:
    by_cd = job.source is not None and job.cd_enabled
    match job.run_on_image_change:
        case RunOnImageChange.NEVER:
            return "by hand"
        case RunOnImageChange.CD_PROMOTE:
            return "with each new build or promotion" if by_cd else "with each promotion"
        case RunOnImageChange.ALWAYS:
            return "with each new image" if by_cd else "with each deploy or promotion"


def next_fire(job: Job, now: datetime) -> datetime | None:
    """When its schedule is due next; None for a job that no schedule starts."""
    if job.paused or job.schedule is None or not job.schedule.active:
        return None
    schedule = Schedule.parse(job.schedule.cron, job.schedule.time_zone)
    return schedule.next_after(listed_after(job.next_fire_at, now))


def on_push(job: Job) -> str:
    """What a push to the branch of a job's source does."""
    if job.source is None:
        return "nothing: it is not built here"
    if job.source.name is not None:
        does = "builds" if job.source.ci_enabled else "does nothing: CI off"
        return f"{does} (build service {job.source.name})"
    if job.paused:
        return "does nothing: paused"
    return "builds" if job.ci_enabled else "does nothing: CI off"


def on_image(job: Job) -> str:
    """What a new image does to a job."""
    if job.source is None:
        runs = job.run_on_image_change is RunOnImageChange.CD_PROMOTE
        return f"nothing by itself{', runs after a promotion' if runs else ''}"
    deploys = "deploys it" if job.cd_enabled else "keeps the old one (CD off)"
    match job.run_on_image_change:
        case RunOnImageChange.NEVER:
            return deploys
        case RunOnImageChange.CD_PROMOTE:
            return f"{deploys}, runs after CD and promotion"
        case RunOnImageChange.ALWAYS:
            return f"{deploys}, always runs"
