"""`/projects/{p}/jobs/{j}/run`: run a job with changes, for this run only, after seeing what it would run with."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from app.domain.effective import Effective, merge
from app.domain.errors import InvalidValue, UserError
from app.domain.jobs import ENV_NAME, Job
from app.domain.plans import Plan
from app.domain.runs import Run, Trigger, TriggerType
from app.orchestration.dispatch import start_by_hand
from app.orchestration.ports import ENV_PURPOSE
from app.store import runs
from app.web.pages import words
from app.web.pages.jobs import address, job_of
from app.web.pages.runs import find
from app.web.pages.visit import Visit, get, post, see

FIELDS = ("command", "plan", "retry_limit", "time_limit_seconds", "env")
NUMBERS = {"retry_limit": (0, 100), "time_limit_seconds": (1, 366 * 86400)}


@dataclass(frozen=True)
class Shown:
    """One line of the preview: a value and where it is from."""

    name: str
    value: str
    origin: str


def show_form(visit: Visit) -> Response:
    """Filled in from the address (which starts nothing by itself), or as another run was changed."""
    with visit.yard.db.read() as tx:
        job = job_of(tx, visit)
        model = find(tx, visit.query("like")) if visit.query("like") else None
    given = {name: visit.query(name) for name in (*FIELDS, "shell")}
    if model is not None and model.job_id == job.id:
        given = as_given(model)
    return _form(visit, job, given)


def _form(
    visit: Visit,
    job: Job,
    given: Mapping[str, str],
    *,
    error: UserError | None = None,
    preview: Effective | None = None,
) -> Response:
    return visit.page(
        "run_form.html",
        422 if error else 200,
        job=job,
        address=address(job),
        given=given,
        error=error,
        wrong=error.field if isinstance(error, InvalidValue) else None,
        preview=None if preview is None else shown(preview),
        plans=visit.yard.plans,
        env=sorted(job.env.items()),
    )


def start(visit: Visit) -> Response:
    """Preview, or start and go to the run."""
    given = {name: visit.field(name) for name in (*FIELDS, "shell")}
    with visit.yard.db.read() as tx:
        job = job_of(tx, visit)
    try:
        overrides = read_overrides(given, visit.yard.plans)
        if visit.field("preview"):
            return _form(visit, job, given, preview=merge(job.definition, overrides))
        confirmed = {**overrides, "confirm_paused": bool(visit.field("confirm_paused"))}
        sealed = {**confirmed, "env": _sealed(visit, job, overrides["env"])}
        trigger = Trigger(TriggerType.MANUAL, by=visit.who)
        with visit.yard.db.write() as tx:
            run_id = start_by_hand(tx, visit.yard.names, job_of(tx, visit), sealed, trigger, visit.now)
            name = runs.with_id(tx, run_id).name
    except UserError as error:
        return _form(visit, job, given, error=error)
    return see(f"/runs/{name}")


def _sealed(visit: Visit, job: Job, env: Mapping[str, str | None]) -> dict[str, Any]:
    """What replaces a secret is one itself."""
    kept: dict[str, Any] = {}
    for name, value in env.items():
        secret = name in job.env and job.env[name].secret
        if secret and value is not None:
            kept[name] = {"value": visit.yard.vault.seal(value, ENV_PURPOSE), "secret": True}
        else:
            kept[name] = value
    return kept


def read_overrides(given: Mapping[str, str], plans: Mapping[str, Plan]) -> dict[str, Any]:
    """The form's fields as overrides; an empty field changes nothing. Raises InvalidValue naming the field."""
    overrides: dict[str, Any] = {"env": read_env(given["env"])}
    if command := given["command"].strip():
        overrides["command"] = command
        if given["shell"]:
            overrides["shell"] = True
        else:
            _splits(command)
    if given["plan"]:
        if given["plan"] not in plans:
            raise InvalidValue("plan", f"There is no plan {given['plan']}: choose one of {', '.join(plans)}.")
        overrides["plan"] = given["plan"]
    for name, (least, most) in NUMBERS.items():
        if text := given[name].strip():
            if name == "time_limit_seconds" and text == "none":
                overrides[name] = None
            elif text.isdecimal() and least <= int(text) <= most:
                overrides[name] = int(text)
            else:
                raise InvalidValue(name, f"Give a whole number from {least} to {most:,}.")
    return overrides


def _splits(command: str) -> None:
    try:
        shlex.split(command)
    except ValueError as error:
        raise InvalidValue("command", f"This can't be split into arguments ({error}): close it.") from error


def read_env(text: str) -> dict[str, str | None]:
    """`NAME=value` sets, `NAME` alone unsets; one a line."""
    env: dict[str, str | None] = {}
    for line in filter(str.strip, text.split("\n")):
        name, equals, value = line.partition("=")
        name = name.strip().removeprefix("export ")
        if not ENV_NAME.fullmatch(name):
            raise InvalidValue("env", f"{name[:60]!r} is no variable's name: write NAME=value, one a line.")
        env[name] = value if equals else None
    return env


def as_given(run: Run) -> dict[str, str]:
    """The changes of a run as the form's fields; secrets stay where they are."""
    values = run.effective
    changed = {name: values.get(name) for name in FIELDS if name in run.overridden}
    given = {name: "none" if value is None else str(value) for name, value in changed.items()}
    command = values.get("command")
    if "command" in changed and command is not None:
        given["command"] = command if isinstance(command, str) else shlex.join(command)
    lines = []
    for name in (each.removeprefix("env.") for each in run.overridden if each.startswith("env.")):
        value = values.get("env", {}).get(name)
        if value is None:
            lines.append(name)
        elif isinstance(value, str):
            lines.append(f"{name}={value}")
        elif not value.get("secret"):
            lines.append(f"{name}={value['value']}")
    shell = "1" if "shell" in run.overridden and values.get("shell") else ""
    return {**dict.fromkeys(FIELDS, ""), **given, "env": "\n".join(lines), "shell": shell}


def shown(effective: Effective) -> list[Shown]:
    """The merged result, as far as a reader may see it."""
    lines = []
    for name, origin in effective.origins.items():
        kind, _, variable = name.partition("env.")
        if kind:
            value = effective.values[name]
            text = words.NONE if value in (None, []) else value if isinstance(value, str) else str(value)
        else:
            value = effective.values["env"].get(variable)
            secret = isinstance(value, Mapping) and value.get("secret")
            text = (
                "unset"
                if value is None
                else "***"
                if secret
                else value
                if isinstance(value, str)
                else value["value"]
            )
        lines.append(Shown(variable or name, text, origin))
    return lines


def routes() -> list[Route]:
    path = "/projects/{project}/jobs/{job}/run"
    return [get(path, show_form), post(path, start)]
