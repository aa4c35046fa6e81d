"""How values read on a page: times, durations, states and names."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from app.domain.events import repo_key
from app.domain.job.records import Job, Source
from app.domain.job.spec import RunOnImageChange
from app.domain.plans import Plan
from app.domain.schedule import Schedule
from app.domain.schedule.words import describe
from app.store.apps import Part

NONE = "\N{EN DASH}"
CRONS = (
    ("*/5 * * * *", "every five minutes"),
    ("0 * * * *", "every hour"),
    ("0 3 * * *", "each night at 03:00"),
    ("0 6 * * 1-5", "on weekdays at 06:00"),
    ("0 6 * * 1", "on Mondays at 06:00"),
    ("0 0 1 * *", "on the first of each month"),
)
# What a build may be told that a repository is, as `builders.runtimes` has the languages, which pages don't load.
LANGUAGES = {
    "go": "Go",
    "java": "Java",
    "php": "PHP",
    "python": "Python",
    "ruby": "Ruby",
    "rust": "Rust",
    "node": "Node.js",
    "cmake": "C and C++",
}
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
        case None | () | "":
            return NONE
        case bool():
            return "yes" if value else "no"
        case tuple() if name == "health_checks":
            return "; ".join(f"{check.type}: {check.words}" for check in value)
        case tuple():
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


def capacity(plan: Plan) -> str:
    """What a container of this size has, such as `0.5 CPU · 512 MB`."""
    return f"{plan.cpus:g} CPU · {size(plan.memory_bytes)}"


def plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def paused(names: Sequence[str]) -> str:
    """`a is paused`, `a, b are paused`."""
    return f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} paused"


def attempts(run: Any) -> str:
    """How a run's attempts stand: `2 failed · 1 active`."""
    counts = [(run.succeeded, "succeeded"), (run.failed, "failed"), (run.active, "active")]
    return " · ".join(f"{count} {word}" for count, word in counts if count)


def command(value: Any) -> str:
    """An argv or a shell line as it is typed."""
    if value is None:
        return "the image's own"
    return value if isinstance(value, str) else shlex.join(value)


def starts(job: Job, part: Part | None = None) -> str:
    """What starts a job by itself; `part` is its part in an app."""
    if job.paused:
        return "only manually while paused"
    if job.schedule is None:
        return _with_an_image(job, part) or "manually"
    schedule = Schedule.parse(job.schedule.cron, job.schedule.time_zone)
    said = describe(schedule.fields, job.schedule.time_zone)
    if not job.schedule.active:
        said = f"{said}, but inactive"
    also = _with_an_image(job, part)
    return f"{said}, and {also}" if also else said


def _with_an_image(job: Job, part: Part | None) -> str:
    """Which new images start it; empty for none."""
    if part is not None and part.hook is not None:
        return f"as {part.hook} job of app {part.app}"
    by_builds = job.source is not None and _why_kept(job, part) is None
    match job.run_on_image_change:
        case _ if job.schedule_inactive:
            return ""
        case RunOnImageChange.NEVER:
            return ""
        case RunOnImageChange.CD_PROMOTE:
            return "with each new build or promotion" if by_builds else "with each promotion"
        case RunOnImageChange.ALWAYS:
            return "with each new image" if by_builds else "with each deploy or promotion"


def _why_kept(job: Job, part: Part | None) -> str | None:
    """Why a build of its branch is not deployed by itself; None where it is."""
    if job.paused:
        return "paused"
    if not job.cd_enabled:
        return "CD off"
    return f"app {part.app} is held" if part is not None and part.held_by is not None else None


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


def on_image(job: Job, part: Part | None = None) -> str:
    """What a new image does to a job: one that is built for it, or one that somebody promotes or deploys."""
    kept = _why_kept(job, part)
    if job.source is None:
        does = "nothing by itself"
    else:
        does = "deploys it" if kept is None else f"keeps the old one ({kept})"
    runs = _runs_by(job, part, by_builds=job.source is not None and kept is None)
    return f"{does}, {runs}" if runs else does


def _runs_by(job: Job, part: Part | None, *, by_builds: bool) -> str:
    if job.paused:
        return "runs nothing"
    if part is not None and part.hook is not None:
        return f"runs as {part.hook} job of app {part.app}"
    if job.schedule_inactive:
        return "runs nothing (schedule inactive)"
    match job.run_on_image_change:
        case RunOnImageChange.NEVER:
            return ""
        case RunOnImageChange.CD_PROMOTE:
            return "runs after CD and promotion" if by_builds else "runs after a promotion"
        case RunOnImageChange.ALWAYS:
            return "always runs" if by_builds else "runs after a promotion or deploy"


def first_run(job: Job, part: Part | None, need: str | None) -> str:
    """How a job that never ran comes to run; `need` is how it gets the image that it lacks."""
    if need is not None:
        return f"This job has not run yet, and has no image to run: {need}."
    if job.paused:
        return "This job has not run yet: resume it, or run it manually though it is paused."
    by_build = (
        _why_kept(job, part) is None and not job.schedule_inactive and (part is None or part.hook is None)
    )
    if job.source is None or not (job.builds_pushes and by_build and job.run_on_image_change != "never"):
        return "This job has not run yet: run it now."
    return f"This job has not run yet: run it now, or push to {job.source.branch}."


def no_build(source: Source, *, by_push: bool) -> str:
    """How a first build comes about."""
    return f"No build yet: {f'a push to {source.branch}' if by_push else 'a manual build'} makes one."


def told(value: object) -> str:
    """A value of any kind in a few words, as the audit log tells it."""
    if value is None or value == "":
        return "nothing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
