"""Between the form of overrides and what a run is made with."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

from app.commands.runs import IMAGE_FIELDS
from app.domain.errors import InvalidValue
from app.domain.job.effective import merge, variables_of
from app.domain.job.records import Job
from app.runtime.ports import Vault
from app.web.api.definitions import NOTHING_TO_WRAP, ONLY_OF_BUILDS, inheriting, sealed
from app.web.schemas.run import OverridesForm


def contradictions_of(form: OverridesForm, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Fields, below `prefix`, that can't be set together, and what to do."""
    given = [name for name in IMAGE_FIELDS if getattr(form, name) is not None]
    if len(given) > 1:
        yield f"{prefix}{given[1]}", f"can't be set together with {given[0]}: give one of them"
    if form.command is not None and form.process is not None:
        yield f"{prefix}process", "can't be set together with command: give one of them"


def overrides_of(
    form: OverridesForm, job: Job, vault: Vault, kept: Mapping[str, Any] | None = None, prefix: str = ""
) -> dict[str, Any]:
    """What was given, with secrets sealed; null means none, where there can be none.

    A secret without a value has that of the `kept` variables, or else the job's. Raises InvalidValue.
    """
    given = form.model_dump(mode="json", exclude_unset=True, exclude={"env"})
    for name in ("plan", "retry_limit", *IMAGE_FIELDS):
        if given.get(name, ...) is None:
            del given[name]
    _require_use_of_shell(form, job, given, f"{prefix}command")
    _require_a_build(form, job, given, f"{prefix}process")
    stored = variables_of(job)
    known = {**stored, **(kept or {})}
    given["env"] = {
        name: None
        if entry is None
        else sealed(f"{prefix}env.{name}", inheriting(entry, stored.get(name)), vault, known.get(name))
        for name, entry in form.env.items()
    }
    return given


def _require_use_of_shell(form: OverridesForm, job: Job, given: Mapping[str, Any], field: str) -> None:
    """Raises InvalidValue for a shell that is asked for where this run, as far as is known now, has nothing for it."""
    values = merge(job.definition, given).values
    if form.shell and values["command"] is None and values["process"] is None:
        raise InvalidValue(field, f"{field} {NOTHING_TO_WRAP}.")


def _require_a_build(form: OverridesForm, job: Job, given: Mapping[str, Any], field: str) -> None:
    """Raises InvalidValue for a process where the image is none of ours, and has none."""
    is_built = "build" in given or "sha" in given
    if "image" not in given and not is_built:
        from_build = job.deployed is not None and job.deployed.build_id is not None
        is_built = from_build or job.definition["source"]["type"] != "image"
    if form.process is not None and not is_built:
        raise InvalidValue(field, f"{field} {ONLY_OF_BUILDS}.")


def form_query(overrides: Mapping[str, Any]) -> str:
    """What fills in the form of a run like `overrides_of`, for an address: no value of a secret is in it.

    What a text field can't say is left out: no command where the job has one, and a value of several lines.
    """
    given = {
        name: shlex.join(value) if isinstance(value, list) else str(value)
        for name, value in overrides.items()
        if name not in ("env", "shell", "confirm_paused") and value is not None
    }
    if overrides.get("time_limit_seconds", ...) is None:
        given["time_limit_seconds"] = "none"
    lines = [line for name, value in overrides["env"].items() if (line := _line_of(name, value)) is not None]
    given |= {"env": "\n".join(lines), "shell": "1" if overrides.get("shell") else ""}
    return urlencode({name: text for name, text in given.items() if text})


def _line_of(name: str, value: Any) -> str | None:
    if value is None:
        return name
    if isinstance(value, Mapping):
        if value.get("secret"):
            return None
        value = value["value"]
    return None if "\n" in value else f"{name}={value}"
