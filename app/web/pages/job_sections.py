"""The sections of a job's settings: each saves by itself, and only what nobody else has changed meanwhile."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

from app.domain.documents import Json
from app.domain.errors import Conflict
from app.domain.job.codec import env_to_json, shown_job
from app.domain.job.records import Job
from app.web.pages import job_form
from app.web.pages.form_fields import Row, as_sent

SECTIONS = {
    "source": "Source",
    "push": "On a push, and on a new image",
    "starts": "When it starts",
    "runs": "What it runs",
    "limits": "Retries and limits",
    "env": "Variables",
    "health": "Health checks",
}
PUSH = frozenset(
    ["ci_enabled", "cd_enabled", "run_on_image_change", "builds_in_flight"]
    + [f"source.build.{name}" for name in ("paths", "paths_mode", "commit_flags")]
)
RUNS = frozenset(["command", "shell", "entrypoint", "process", "plan", "instances"])


def section_of(field: str) -> str:
    """The section that a field of the page is in."""
    if field in PUSH:
        return "push"
    if field in RUNS:
        return "runs"
    match field.split("."):
        case ["source" | "display_name", *_]:
            return "source"
        case ["kind" | "schedule" | "deploy_trigger", *_]:
            return "starts"
        case ["health_checks", *_]:
            return "health"
        case ["env", *_]:
            return "env"
        case _:
            return "limits"


def versions(job: Job) -> dict[str, str]:
    """A text for each section that is another one once something in it was changed."""
    texts, _ = job_form.shown(shown_job(job.spec))
    parts: dict[str, Json] = {section: {} for section in SECTIONS}
    for name, text in texts.items():
        parts[section_of(name)][name] = text
    parts["source"]["sealed"] = job.source.webhook_secret if job.source else None
    parts["env"] = env_to_json(job.spec.run.env)
    return {
        section: hashlib.sha256(json.dumps(part, sort_keys=True).encode()).hexdigest()[:16]
        for section, part in parts.items()
    }


def require_unchanged(job: Job, was: Mapping[str, str], section: str) -> None:
    """Raises Conflict where somebody has changed what is to be saved since it was shown; `section` may be all ('')."""
    now = versions(job)
    wanted = [section] if section else list(SECTIONS)
    stale = [SECTIONS[each] for each in wanted if was.get(f"was.{each}", now[each]) != now[each]]
    if stale:
        raise Conflict(
            f"Somebody else has changed this meanwhile: {', '.join(stale)}. Nothing was saved; open the settings"
            " anew to see what it is now."
        )


def was_of(given: Mapping[str, str]) -> dict[str, str]:
    """The versions that were sent, by their sections."""
    return {section: given[f"was.{section}"] for section in SECTIONS if f"was.{section}" in given}


def only(
    section: str, form: Json, given: Mapping[str, str], rows: Sequence[Row]
) -> tuple[dict[str, str], Sequence[Row]]:
    """What was typed in one section, and all else as it is stored."""
    texts, stored_rows = job_form.shown(form)
    mixed = {
        name: given.get(name, "") if section_of(name) == section else text for name, text in texts.items()
    }
    typed = {name: given.get(name, "") for name in job_form.names_of(form, ()) if section_of(name) == section}
    return mixed | typed, rows if section == "env" else stored_rows


def has_more(section: str, form: Json, given: Mapping[str, str], rows: Sequence[Row]) -> bool:
    """Whether something was typed in other sections that is not what is stored."""
    texts, stored_rows = job_form.shown(form)
    others = (name for name in texts if section_of(name) not in (section, "env"))
    if any(as_sent(given.get(name, "")) != as_sent(texts[name]) for name in others):
        return True
    return section != "env" and [_said(row) for row in rows] != [_said(row) for row in stored_rows]


def _said(row: Row) -> tuple[str, str, bool, str, str]:
    return row.name, as_sent(row.value), row.secret, row.scope, row.origin
