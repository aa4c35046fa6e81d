"""What a run is made with, as forms have it: texts by the names of fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from app.domain.job.effective import IMAGE_FIELDS, Overrides
from app.domain.job.spec import OVERRIDABLE
from app.domain.job.variables import EnvValue
from app.domain.runs import Run
from app.web.texts import COMMAND, NUMBER, OPTIONAL, OPTIONAL_NUMBER, SWITCH, TEXT, Kind

OF_SPEC: Mapping[str, Kind] = {
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
    "non_root": SWITCH,
    "read_only": SWITCH,
    "network": TEXT,
}
FIELDS: Mapping[str, Kind] = {
    "image": TEXT,
    "build": NUMBER,
    "sha": TEXT,
    **{name: OF_SPEC[name] for name in OVERRIDABLE if OF_SPEC[name] is not SWITCH},
}
GIVEN = (*FIELDS, "env", "shell")


def changes_of(run: Run) -> Overrides:
    """What was different in a run that is stored."""
    names = [name.removeprefix("env.") for name in run.overridden if name.startswith("env.")]
    changed = frozenset(run.overridden)
    return Overrides(
        run.spec,
        changed.intersection(OVERRIDABLE),
        {name: run.spec.env.get(name) for name in names},
        image=run.image if "image" in changed else None,
        build=run.build_id if "build" in changed else None,
        sha=run.sha if "sha" in changed else None,
    )


def texts_of(overrides: Overrides) -> dict[str, str]:
    """The texts of the fields that say something; no value of a secret is among them.

    What a text field can't say is left out: no command where the job has one, and a value of several lines.
    """
    values = {name: getattr(overrides.spec, name) for name in OVERRIDABLE if name in overrides.given}
    values |= {name: getattr(overrides, name) for name in IMAGE_FIELDS if name in overrides.image_fields}
    texts = {name: _text(kind, values[name]) for name, kind in FIELDS.items() if name in values}
    lines = [line for name, value in overrides.env.items() if (line := _line_of(name, value)) is not None]
    texts |= {"env": "\n".join(lines), "shell": "1" if values.get("shell") else ""}
    return {name: text for name, text in texts.items() if text}


def form_query(overrides: Overrides) -> str:
    """The same as the query of an address."""
    return urlencode(texts_of(overrides))


def _text(kind: Kind, value: Any) -> str:
    """An empty field says nothing, so that no limit has to be said."""
    return "none" if kind is OPTIONAL_NUMBER and value is None else kind.show(value)


def _line_of(name: str, value: EnvValue | None) -> str | None:
    if value is None:
        return name
    return None if value.secret or "\n" in value.value else f"{name}={value.value}"
