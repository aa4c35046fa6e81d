"""The configuration one run is made with: the job's, with this run's overrides on top, and where each value is from."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace

from app.domain.errors import InvalidValue
from app.domain.job.commands import Command, argv
from app.domain.job.records import Job
from app.domain.job.spec import OVERRIDABLE, RunSpec
from app.domain.job.variables import EnvValue, SharedValue

IMAGE_FIELDS = ("image", "build", "sha")  # overrides that say what a run executes
FIELDS = tuple(each.name for each in fields(RunSpec) if each.name != "env")
DEFAULTS = RunSpec()


@dataclass(frozen=True, slots=True)
class Overrides:
    """What is different in one run. `given` names the fields of `spec` that count; in `env`, None unsets a variable.

    At most one of `image`, `build` (an id) and `sha` says what is run instead of what the job has.
    """

    spec: RunSpec = field(default_factory=RunSpec)
    given: frozenset[str] = frozenset()
    env: Mapping[str, EnvValue | None] = field(default_factory=dict, repr=False)
    image: str | None = None
    build: int | None = None
    sha: str | None = None
    confirm_paused: bool | None = None  # None where nothing was said about it

    @property
    def image_fields(self) -> tuple[str, ...]:
        """The names of those of the three that are given."""
        return tuple(name for name in IMAGE_FIELDS if getattr(self, name) is not None)


NOTHING = Overrides()


@dataclass(frozen=True, slots=True)
class Effective:
    """`spec` is what a run stores; `origins` tells for each field and `env.NAME` whether it is `default`, `job`, …"""

    spec: RunSpec
    origins: Mapping[str, str]

    @property
    def overridden(self) -> tuple[str, ...]:
        return tuple(name for name, origin in self.origins.items() if origin == "override")


def variables_of(job: Job) -> dict[str, EnvValue]:
    """A job's variables and those of its secret groups, of which its own win."""
    return {**{name: shared.given for name, shared in job.shared_env.items()}, **job.env}


def effective_of(job: Job, overrides: Overrides = NOTHING) -> Effective:
    """Return what a run of the job is made with."""
    return merge(job.spec.run, overrides, job.shared_env)


def merge(
    spec: RunSpec, overrides: Overrides = NOTHING, shared_env: Mapping[str, SharedValue] | None = None
) -> Effective:
    """The effective configuration of a run.

    `shared_env` are the variables of the job's secret groups; the job's own win over them, the run's over both.
    """
    origins = {
        name: "default" if getattr(spec, name) == getattr(DEFAULTS, name) else "job" for name in FIELDS
    }
    env: dict[str, EnvValue] = {}
    for name, shared in (shared_env or {}).items():
        env[name], origins[f"env.{name}"] = shared.given, f"group {shared.group}"
    for name, own in spec.env.items():
        env[name], origins[f"env.{name}"] = own, "job"
    changes = {name: getattr(overrides.spec, name) for name in OVERRIDABLE if name in overrides.given}
    if "command" in changes:
        changes.setdefault("process", None)  # a command given for this run is meant instead of the job's
    elif "process" in changes:
        changes["command"] = None
    origins |= dict.fromkeys(overrides.given, "override")
    for name, value in overrides.env.items():
        origins[f"env.{name}"] = "override"
        if value is None:
            env.pop(name, None)
        else:
            env[name] = value
    return Effective(replace(spec, **changes, env=env), origins)


@dataclass(frozen=True)
class Invocation:
    """What replaces the image's own entrypoint and command; None keeps it."""

    entrypoint: tuple[str, ...] | None
    command: tuple[str, ...] | None


def invocation(spec: RunSpec, processes: Mapping[str, str]) -> Invocation:
    """Return how the container is called. `shell` hands the command to `/bin/sh -c` as it was written.

    A custom command keeps the image's entrypoint; a custom entrypoint clears the image's command. Raises InvalidValue
    for a process that the image doesn't have.
    """
    command, shell = spec.command, spec.shell
    if command is None and spec.process is not None:
        command = _command_of(spec.process, processes)
        shell = shell or _needs_shell(command)
    entrypoint = None if spec.entrypoint is None else argv(spec.entrypoint)
    if command is None:
        return Invocation(entrypoint, None)
    if not shell:
        return Invocation(entrypoint, argv(command))
    return Invocation((*(entrypoint or ()), "/bin/sh", "-c"), (_as_line(command),))


def _as_line(command: Command) -> str:
    return command if isinstance(command, str) else shlex.join(command)


def _command_of(process: str, processes: Mapping[str, str]) -> str:
    if process not in processes:
        known = ", ".join(sorted(processes)) or "none"
        raise InvalidValue("process", f"The image has no process named {process}; it has: {known}.")
    return processes[process]


def _needs_shell(command: str) -> bool:
    return any(character in command for character in "$`|&;<>()*?~")
