"""Between a job as the API gives and takes it and the text fields of a page. What is right is the API's to say.

A field of the page has the API's path as its name. Variables are rows (`env.0.name`, `env.0.value` …), and health
checks go by their type (`health_checks.liveness.port`). A text that is as it was shown keeps the stored value, so
that nothing changes by being looked at. Secrets are never shown: an empty text keeps what is stored.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.domain.errors import InvalidValue
from app.web.api.forms.job import BuildForm, HealthCheckForm, JobForm, ScheduleForm

SOURCES = {
    "git": "a repository",
    "build_service": "a build service",
    "image": "an image",
    "none": "nothing yet",
}
CHECKS = ("liveness", "startup")
_ABSENT: Any = object()
_WHOLE = re.compile(r"-?[0-9]{1,18}")
_ROW = re.compile(r"env\.([0-9]{1,6})\.name")


@dataclass(frozen=True)
class Kind:
    """How a value is shown as text, and how a text is read; what it reads wrongly, the API refuses."""

    show: Callable[[Any], str]
    read: Callable[[str], Any]


def _number(text: str) -> Any:
    return int(text) if _WHOLE.fullmatch(text.strip()) else text


def _shown_command(value: Any) -> str:
    return shlex.join(value) if isinstance(value, list) else str(value or "")


TEXT = Kind(str, lambda text: text)
OPTIONAL = Kind(lambda value: str(value or ""), lambda text: text if text.strip() else None)
NUMBER = Kind(str, _number)
OPTIONAL_NUMBER = Kind(
    lambda value: "" if value is None else str(value),
    lambda text: _number(text) if text.strip() else None,
)
SWITCH = Kind(lambda value: "1" if value else "", bool)
COMMAND = Kind(_shown_command, lambda text: text if text.strip() else None)
LINES = Kind("\n".join, lambda text: [line for line in text.split("\n") if line.strip()])
SECRET = Kind(lambda _value: "", lambda text: text or None)

FIELDS: Mapping[str, Kind] = {
    "display_name": TEXT,
    "ci_enabled": SWITCH,
    "cd_enabled": SWITCH,
    "run_on_image_change": TEXT,
    "kind": TEXT,
    "deploy_trigger": OPTIONAL,
    "command": COMMAND,
    "entrypoint": COMMAND,
    "shell": SWITCH,
    "process": OPTIONAL,
    "plan": TEXT,
    "instances": NUMBER,
    "retry_limit": NUMBER,
    "retry_backoff": TEXT,
    "time_limit_seconds": OPTIONAL_NUMBER,
    "grace_period_seconds": NUMBER,
}
OF_SOURCE: Mapping[str, Mapping[str, Kind]] = {
    "git": {
        "builds_in_flight": TEXT,
        "source.git.url": TEXT,
        "source.git.branch": TEXT,
        "source.git.credential": OPTIONAL,
        "source.git.webhook_secret": SECRET,
        "source.build.mode": TEXT,
        "source.build.root_directory": TEXT,
        "source.build.dockerfile": TEXT,
        "source.build.target": OPTIONAL,
        "source.build.install_command": OPTIONAL,
        "source.build.build_command": OPTIONAL,
        "source.build.run_command": OPTIONAL,
        "source.build.time_limit_seconds": NUMBER,
        "source.build.paths": LINES,
        "source.build.paths_mode": TEXT,
        "source.build.commit_flags": LINES,
    },
    "build_service": {"source.build_service": TEXT},
    "image": {"source.image": TEXT, "source.credential": OPTIONAL},
    "none": {},
}
OF_SCHEDULE: Mapping[str, Kind] = {
    "cron": TEXT,
    "time_zone": TEXT,
    "active": SWITCH,
    "concurrency_policy": TEXT,
    "starting_deadline_seconds": NUMBER,
}
OF_CHECK: Mapping[str, Kind] = {
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
_NO_CHECK = HealthCheckForm.model_construct(type="liveness", protocol=None).model_dump(exclude={"type"})


def blank(source: str) -> dict[str, Any]:
    """A job that nothing is said of yet, with the API's defaults."""
    form = JobForm.model_construct(name="").model_dump(mode="json", warnings=False)
    form["source"] = {"type": source}
    if source == "git":
        form["source"] |= {"git": {"url": "", "branch": "main"}, "build": BuildForm().model_dump(mode="json")}
    return {**form, "env": {}}


@dataclass(frozen=True)
class Row:
    """A variable as it is typed. `is_stored` says that a secret has a value already."""

    name: str = ""
    value: str = ""
    secret: bool = False
    scope: str = "run"
    is_stored: bool = False


def shown(form: Mapping[str, Any]) -> tuple[dict[str, str], list[Row]]:
    """The texts of a job's fields by their names, and its variables."""
    given = {name: kind.show(value) for name, kind, value in _parts(form) if value is not _ABSENT}
    return given, [_row(name, entry) for name, entry in sorted(form["env"].items())]


def _row(name: str, entry: Any) -> Row:
    if isinstance(entry, str):
        return Row(name, entry)
    secret = bool(entry.get("secret"))
    return Row(name, "" if secret else entry["value"], secret, entry.get("scope", "run"), secret)


def rows_of(form: Mapping[str, Sequence[str]], stored: Mapping[str, Any]) -> list[Row]:
    """The variables as they were typed, in their order."""
    found = sorted(int(match[1]) for name in form if (match := _ROW.fullmatch(name)))

    def text(number: int, part: str) -> str:
        return (form.get(f"env.{number}.{part}") or [""])[0]

    rows = []
    for number in found:
        name = text(number, "name").strip()
        entry = stored.get(name)
        is_stored = isinstance(entry, dict) and bool(entry.get("secret"))
        secret, scope = bool(text(number, "secret")), text(number, "scope") or "run"
        rows.append(Row(name, text(number, "value"), secret, scope, is_stored))
    return [row for row in rows if row.name or row.value]


def definition(form: Mapping[str, Any], given: Mapping[str, str], rows: Sequence[Row]) -> dict[str, Any]:
    """What was typed, as the API takes it: a patch of the job `form`, whose variables without a row it deletes.

    Raises InvalidValue for variables that no JSON object could hold.
    """
    patch: dict[str, Any] = {"source": {"type": form["source"]["type"]}}
    for name, kind, stored in _parts(form):
        text = given.get(name, "")
        kept = stored is not _ABSENT and kind is not SECRET and text == _as_sent(kind.show(stored))
        _put(patch, name, stored if kept else kind.read(text))
    if patch["kind"] != "cron":
        patch["schedule"] = None
    checks = patch.pop("health_checks", {})
    patch["health_checks"] = [
        {"type": kind, **checks[kind]} for kind in CHECKS if checks.get(kind, {}).get("protocol")
    ]
    patch["env"] = _env(form["env"], rows)
    return patch


def names_of(form: Mapping[str, Any], rows: Sequence[Row]) -> frozenset[str]:
    """What a sentence can stand at: the page's fields, and each variable."""
    return frozenset([name for name, _, _ in _parts(form)] + [f"env.{row.name}" for row in rows])


def _parts(form: Mapping[str, Any]) -> Iterator[tuple[str, Kind, Any]]:
    """Every field of the page with its kind and its value in `form`."""
    for name, kind in {**FIELDS, **OF_SOURCE[form["source"]["type"]]}.items():
        yield name, kind, _at(form, name)
    schedule = form["schedule"] or {"cron": "", **ScheduleForm.model_construct().model_dump()}
    for name, kind in OF_SCHEDULE.items():
        yield f"schedule.{name}", kind, schedule[name]
    checks = {each["type"]: each for each in form["health_checks"]}
    for check in CHECKS:
        for name, kind in OF_CHECK.items():
            yield f"health_checks.{check}.{name}", kind, checks.get(check, _NO_CHECK)[name]


def _at(form: Any, path: str) -> Any:
    for part in path.split("."):
        if not isinstance(form, Mapping) or part not in form:
            return _ABSENT
        form = form[part]
    return form


def _put(patch: dict[str, Any], path: str, value: Any) -> None:
    *above, last = path.split(".")
    for part in above:
        patch = patch.setdefault(part, {})
    patch[last] = value


def _as_sent(text: str) -> str:
    """A text as it comes back from a browser's text area."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _env(stored: Mapping[str, Any], rows: Sequence[Row]) -> dict[str, Any]:
    env: dict[str, Any] = dict.fromkeys(stored)
    for row in rows:
        if not row.name:
            raise InvalidValue("env", "env: a value has no name: name it, or empty it.")
        if sum(each.name == row.name for each in rows) > 1:
            raise InvalidValue(f"env.{row.name}", f"env.{row.name} is given twice: keep one of them.")
        before = _row(row.name, stored[row.name]) if row.name in stored else Row()
        value: str | None = row.value
        if not row.value and (row.secret or before.secret):
            value = None  # the API keeps a secret that stays one, and asks for the text of one that does not
        elif not before.secret and row.value == _as_sent(before.value):
            value = before.value
        env[row.name] = {"value": value, "secret": row.secret, "scope": row.scope}
    return env


def placed(
    errors: Sequence[Mapping[str, str]], checks: Sequence[Mapping[str, Any]], names: frozenset[str]
) -> tuple[dict[str, str], list[str]]:
    """Each sentence at its field among `names`, and those that belong to none. `checks` are those that were sent."""
    at: dict[str, str] = {}
    left = []
    for error in errors:
        field = _as_typed(error["field"], checks)
        while field and field not in names:
            field = field.rpartition(".")[0]
        if field and field not in at:
            at[field] = error["message"]
        else:
            left.append(error["message"])
    return at, left


def _as_typed(field: str, checks: Sequence[Mapping[str, Any]]) -> str:
    match field.split("."):
        case ["health_checks", number, *rest] if number.isdecimal() and int(number) < len(checks):
            return ".".join(["health_checks", str(checks[int(number)]["type"]), *rest])
        case _:
            return field
