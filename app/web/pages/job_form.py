"""A job as the API gives and takes it and as the fields of its page. Health checks go by their type there
(`health_checks.liveness.port`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from app.domain.documents import Json
from app.domain.job.checks import CheckTimes
from app.domain.job.codec import schedule_to_json, shown_job
from app.domain.job.spec import (
    BuildServiceSource,
    GitSource,
    ImageSource,
    JobSource,
    JobSpec,
    NoSource,
    ScheduleSettings,
)
from app.web.pages.form_fields import (
    ABSENT,
    BUILD,
    GIT,
    Fields,
    Row,
    below,
    env_of,
    put,
    stored_rows,
    value_at,
    value_of,
)
from app.web.run_texts import OF_SPEC
from app.web.texts import COMMAND, NUMBER, OPTIONAL, OPTIONAL_NUMBER, SWITCH, TEXT, Kind

SOURCES = {
    "git": "a repository",
    "build_service": "a build service",
    "image": "an image",
    "none": "nothing yet",
}
CHECKS = ("liveness", "startup")
FIELDS: Fields = {
    "display_name": TEXT,
    "ci_enabled": SWITCH,
    "cd_enabled": SWITCH,
    "run_on_image_change": TEXT,
    "kind": TEXT,
    "deploy_trigger": OPTIONAL,
    **OF_SPEC,
}
OF_SOURCE: Mapping[str, Fields] = {
    "git": {"builds_in_flight": TEXT, **below("source.git", GIT), **below("source.build", BUILD)},
    "build_service": {"source.build_service": TEXT},
    "image": {"source.image": TEXT, "source.credential": OPTIONAL},
    "none": {},
}
OF_SCHEDULE: Fields = {
    "cron": TEXT,
    "time_zone": TEXT,
    "active": SWITCH,
    "concurrency_policy": TEXT,
    "starting_deadline_seconds": NUMBER,
}
OF_CHECK: Fields = {
    "protocol": OPTIONAL,
    "port": OPTIONAL_NUMBER,
    "path": OPTIONAL,
    "cmd": COMMAND,
    "initial_delay_seconds": NUMBER,
    "period_seconds": NUMBER,
    "timeout_seconds": NUMBER,
    "failure_threshold": NUMBER,
    "success_threshold": NUMBER,
}
_NO_CHECK = {"protocol": None, "port": None, "path": None, "cmd": None, **asdict(CheckTimes())}
_BLANK: Mapping[str, JobSource] = {
    "git": GitSource(url=""),
    "build_service": BuildServiceSource(""),
    "image": ImageSource(""),
    "none": NoSource(),
}


def blank(source: str) -> Json:
    """A job that nothing is said of yet, in the API's form."""
    return shown_job(JobSpec("", source=_BLANK[source]))


def shown(form: Json) -> tuple[dict[str, str], list[Row]]:
    """The texts of a job's fields by their names, and its variables."""
    given = {name: kind.show(value) for name, kind, value in _parts(form) if value is not ABSENT}
    return given, stored_rows(form["env"])


def definition(form: Json, given: Mapping[str, str], rows: Sequence[Row]) -> Json:
    """What was typed, as the API takes it: a patch of the job `form`, whose variables without a row it deletes.

    Raises InvalidValue for variables that no JSON object could hold.
    """
    patch: Json = {"source": {"type": form["source"]["type"]}}
    for name, kind, stored in _parts(form):
        put(patch, name, value_of(kind, stored, given.get(name, "")))
    if patch["kind"] != "cron":
        patch["schedule"] = None
    checks = patch.pop("health_checks", {})
    patch["health_checks"] = [
        {"type": kind, **checks[kind]} for kind in CHECKS if checks.get(kind, {}).get("protocol")
    ]
    patch["env"] = env_of(form["env"], rows)
    return patch


def names_of(form: Json, rows: Sequence[Row]) -> frozenset[str]:
    """What a sentence can stand at: the page's fields, and each variable."""
    return frozenset([name for name, _, _ in _parts(form)] + [f"env.{row.name}" for row in rows])


def as_typed(field: str, given: Mapping[str, str]) -> str:
    """The name on the page of a field of the API's."""
    checks = [kind for kind in CHECKS if given.get(f"health_checks.{kind}.protocol")]  # as they were sent
    match field.split("."):
        case ["health_checks", number, *rest] if number.isdecimal() and int(number) < len(checks):
            return ".".join(["health_checks", checks[int(number)], *rest])
        case _:
            return field


def _parts(form: Json) -> Iterator[tuple[str, Kind, Any]]:
    """Every field of the page with its kind and its value in `form`."""
    for name, kind in {**FIELDS, **OF_SOURCE[form["source"]["type"]]}.items():
        yield name, kind, value_at(form, name)
    schedule = form["schedule"] or schedule_to_json(ScheduleSettings(cron=""))
    for name, kind in OF_SCHEDULE.items():
        yield f"schedule.{name}", kind, schedule[name]
    checks = {each["type"]: each for each in form["health_checks"]}
    for check in CHECKS:
        for name, kind in OF_CHECK.items():
            yield f"health_checks.{check}.{name}", kind, checks.get(check, _NO_CHECK)[name]
