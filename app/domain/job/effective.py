"""The configuration one run is made with: the job's, with this run's overrides on top, and where each value is from."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.domain import limits
from app.domain.errors import InvalidValue
from app.domain.job.records import Job
from app.domain.plans import DEFAULT_PLAN

FIELDS: Mapping[str, Any] = {
    "command": None,
    "entrypoint": None,
    "shell": False,
    "process": None,
    "plan": DEFAULT_PLAN,
    "instances": 1,
    "retry_limit": 0,
    "retry_backoff": "exponential",
    "time_limit_seconds": None,
    "grace_period_seconds": 30,
    "health_checks": [],
}
OVERRIDABLE = ("command", "entrypoint", "shell", "process", "plan", "retry_limit", "time_limit_seconds")
_ECHO = 200  # characters of a command in a sentence
Env = Mapping[str, Any]  # name → the API's form with sealed secrets


@dataclass(frozen=True)
class Effective:
    """`values` is what a run stores; `origins` tells for each field and `env.NAME` whether it is `default`, `job`, …"""

    values: Mapping[str, Any]
    origins: Mapping[str, str]

    @property
    def overridden(self) -> tuple[str, ...]:
        return tuple(name for name, origin in self.origins.items() if origin == "override")


def variables_of(job: Job) -> dict[str, Any]:
    """A job's variables and those of its secret groups, of which its own win; in the API's form, secrets sealed."""
    return {
        **{name: _without_group(given) for name, given in job.shared_env.items()},
        **job.definition.get("env", {}),
    }


def _without_group(given: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in given.items() if key != "group"}


def merge(
    definition: Mapping[str, Any], overrides: Mapping[str, Any], shared_env: Mapping[str, Any] | None = None
) -> Effective:
    """The effective configuration of a run. In `overrides["env"]`, a null unsets a variable.

    `shared_env` are the variables of the job's secret groups; the job's own win over them, the run's over both.
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for name, default in FIELDS.items():
        values[name] = definition.get(name, default)
        origins[name] = "default" if values[name] == default else "job"
        if name in OVERRIDABLE and name in overrides:
            values[name], origins[name] = overrides[name], "override"
    if "command" in overrides and "process" not in overrides:
        values["process"] = None  # a command given for this run is meant instead of the job's process
    if "process" in overrides and "command" not in overrides:
        values["command"] = None
    env: dict[str, Any] = {}
    for name, given in (shared_env or {}).items():
        env[name] = _without_group(given)
        origins[f"env.{name}"] = f"group {given['group']}"
    for name, given in definition.get("env", {}).items():
        env[name], origins[f"env.{name}"] = given, "job"
    for name, given in (overrides.get("env") or {}).items():
        origins[f"env.{name}"] = "override"
        if given is None:
            env.pop(name, None)
        else:
            env[name] = given
    return Effective({**values, "env": env}, origins)


def argv(text: str | list[str] | None) -> tuple[str, ...] | None:
    """A command as the process gets it: a list as it is, a string split as a shell would. Raises InvalidValue."""
    if text is None:
        return None
    try:
        return tuple(limits.split(text)) if isinstance(text, str) else tuple(text)
    except ValueError as error:
        raise InvalidValue(
            "command", f"The command {str(text)[:_ECHO]!r} can't be split as a shell would: {error}."
        ) from None


@dataclass(frozen=True)
class Invocation:
    """What replaces the image's own entrypoint and command; None keeps it."""

    entrypoint: tuple[str, ...] | None
    command: tuple[str, ...] | None


def invocation(values: Mapping[str, Any], processes: Mapping[str, str]) -> Invocation:
    """How the container is called. `shell` hands the command to `/bin/sh -c` as it was written.

    A custom command keeps the image's entrypoint; a custom entrypoint clears the image's command. Raises InvalidValue
    for a process that the image doesn't have.
    """
    command = values.get("command")
    shell = bool(values.get("shell"))
    if command is None and values.get("process") is not None:
        command = _command_of(values["process"], processes)
        shell = shell or _needs_shell(command)
    entrypoint = argv(values.get("entrypoint"))
    if command is None:
        return Invocation(entrypoint, None)
    if not shell:
        return Invocation(entrypoint, argv(command))
    text = command if isinstance(command, str) else shlex.join(command)
    return Invocation((*(entrypoint or ()), "/bin/sh", "-c"), (text,))


def _command_of(process: str, processes: Mapping[str, str]) -> str:
    if process not in processes:
        known = ", ".join(sorted(processes)) or "none"
        raise InvalidValue("process", f"The image has no process named {process}; it has: {known}.")
    return processes[process]


def _needs_shell(command: str) -> bool:
    return any(character in command for character in "$`|&;<>()*?~")
