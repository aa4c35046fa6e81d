"""Between the form of overrides and what a run is made with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from app.domain.effective import merge, variables_of
from app.domain.errors import InvalidValue
from app.domain.jobs import Job
from app.orchestration.ports import Vault
from app.web.api.definitions import NOTHING_TO_WRAP, ONLY_OF_BUILDS, inheriting, sealed
from app.web.api.forms.run import OverridesForm

IMAGE_FIELDS = ("image", "build", "sha")


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
