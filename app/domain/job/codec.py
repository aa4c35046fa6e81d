"""Between specifications and JSON, in the form of the API; secrets stay sealed.

What is stored has a `version` besides, which an answer of the API has not. Rows without one are of the releases before
there were versions: the form is the same, fields that came later are missing and have their defaults, and a variable
may be a bare text. A row of a later version than ours is refused with ValueError rather than read wrongly.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from app.domain.documents import Json, Stored
from app.domain.external_secrets import reference_from_json, reference_to_json
from app.domain.job.checks import Check, CheckTimes, CheckType, CommandCheck, HttpCheck, Protocol, TcpCheck
from app.domain.job.commands import Command
from app.domain.job.effective import Overrides
from app.domain.job.spec import (
    OVERRIDABLE,
    BuildConfig,
    BuildServiceSource,
    BuildsInFlight,
    ConcurrencyPolicy,
    GitSource,
    ImageSource,
    JobKind,
    JobSource,
    JobSpec,
    Network,
    NoSource,
    RunOnImageChange,
    RunSpec,
    ScheduleSettings,
)
from app.domain.job.variables import Env, EnvScope, EnvValue, SharedValue
from app.domain.retry import Backoff

VERSION = 1


def _names(of: type) -> tuple[str, ...]:
    return tuple(each.name for each in fields(of))


_BUILD, _SCHEDULE, _RUN, _TIMES = map(_names, (BuildConfig, ScheduleSettings, RunSpec, CheckTimes))
_OF_GIT = ("submodules", "lfs", "tags", "pull_requests")  # are among the fields of `git` there
_OF_JOB = tuple(name for name in _names(JobSpec) if name not in ("run", "source", "schedule"))


def stored_job(spec: JobSpec) -> Json:
    return {"version": VERSION, **job_to_json(spec)}


def stored_run(spec: RunSpec) -> Json:
    return {"version": VERSION, **run_to_json(spec)}


def job_to_json(spec: JobSpec) -> Json:
    own = {name: _plain(getattr(spec, name)) for name in _OF_JOB}
    paused, deploy_trigger = own.pop("paused"), own.pop("deploy_trigger")
    return {
        "name": own.pop("name"),
        "display_name": own.pop("display_name"),
        "source": source_to_json(spec.source),
        **own,
        "schedule": None if spec.schedule is None else schedule_to_json(spec.schedule),
        "deploy_trigger": deploy_trigger,
        **_run_fields(spec.run),
        "paused": paused,
    }


def shown_job(spec: JobSpec) -> Json:
    """A job as it could be given again: its secrets are there, without their values."""
    shown = {"builds_in_flight": spec.builds_in_flight.value, **job_to_json(spec)}
    return {**shown, "env": shown_env(spec.run.env)}


def run_to_json(spec: RunSpec) -> Json:
    """The form of a run's configuration, whose variables come last."""
    values = _run_fields(spec)
    values["env"] = values.pop("env")
    return values


def _run_fields(spec: RunSpec) -> Json:
    values = {name: _plain(getattr(spec, name)) for name in _RUN}
    values["env"] = env_to_json(spec.env)
    values["health_checks"] = [check_to_json(check) for check in spec.health_checks]
    return values


def job_from_json(stored: Stored) -> JobSpec:
    _require_known(stored)
    given = {name: stored[name] for name in _OF_JOB if name in stored}
    _convert(given, _JOB_VALUES)
    schedule = stored.get("schedule")
    return JobSpec(
        **given,
        source=source_from_json(stored.get("source", _NO_SOURCE)),
        schedule=None if schedule is None else schedule_from_json(schedule),
        run=_run_from(stored),
    )


def run_from_json(stored: Stored) -> RunSpec:
    _require_known(stored)
    return _run_from(stored)


def _run_from(stored: Stored) -> RunSpec:
    given = {name: stored[name] for name in _RUN if name in stored}
    _convert(given, _RUN_VALUES)
    return RunSpec(**given)


def source_to_json(source: JobSource) -> Json:
    match source:
        case GitSource():
            build = build_to_json(source.build)
            of_git = {name: build.pop(name) for name in _OF_GIT}
            git = {"url": source.url, "branch": source.branch, "credential": source.credential, **of_git}
            return {"type": source.type, "git": git, "build": build}
        case BuildServiceSource():
            return {"type": source.type, "build_service": source.build_service}
        case ImageSource():
            return {"type": source.type, "image": source.image, "credential": source.credential}
        case NoSource():
            return {"type": source.type}


def source_from_json(stored: Stored) -> JobSource:
    match stored["type"]:
        case "git":
            git = stored["git"]
            of_git = {name: git[name] for name in _OF_GIT if name in git}
            build = build_from_json({**stored.get("build", {}), **of_git})
            return GitSource(git["url"], git["branch"], git.get("credential"), build)
        case "build_service":
            return BuildServiceSource(stored["build_service"])
        case "image":
            return ImageSource(stored["image"], stored.get("credential"))
        case "none":
            return NoSource()
        case unknown:
            raise ValueError(f"no source has the type {unknown!r}")


def build_to_json(build: BuildConfig) -> Json:
    return {name: _plain(getattr(build, name)) for name in _BUILD}


def build_from_json(stored: Stored) -> BuildConfig:
    given = {name: stored[name] for name in _BUILD if name in stored}
    _convert(given, {"paths": tuple, "commit_flags": tuple})
    return BuildConfig(**given)


def schedule_to_json(schedule: ScheduleSettings) -> Json:
    return {name: _plain(getattr(schedule, name)) for name in _SCHEDULE}


def schedule_from_json(stored: Stored) -> ScheduleSettings:
    given = dict(stored)
    _convert(given, {"concurrency_policy": ConcurrencyPolicy})
    return ScheduleSettings(**given)


def check_to_json(check: Check) -> Json:
    """Return a check with all three of path, port and cmd; those of another protocol are null."""
    asked: Json = {"path": None, "port": None, "cmd": None}
    match check:
        case HttpCheck():
            asked |= {"path": check.path, "port": check.port}
        case TcpCheck():
            asked["port"] = check.port
        case CommandCheck():
            asked["cmd"] = _plain(check.cmd)
    times = {name: getattr(check, name) for name in _TIMES}
    return {"type": check.type.value, "protocol": check.protocol.value, **asked, **times}


def check_from_json(stored: Stored) -> Check:
    type_ = CheckType(stored["type"])
    times = {name: stored[name] for name in _TIMES if name in stored}
    match Protocol(stored["protocol"]):
        case Protocol.HTTP:
            return HttpCheck(type_, stored["path"], stored["port"], **times)
        case Protocol.TCP:
            return TcpCheck(type_, stored["port"], **times)
        case Protocol.CMD:
            return CommandCheck(type_, _command(stored["cmd"]), **times)


def env_to_json(env: Env) -> Json:
    return {name: value_to_json(value) for name, value in env.items()}


def value_to_json(value: EnvValue) -> str | Json:
    """A plain variable of runs alone is its bare text."""
    return value.value if not value.secret and value.scope is EnvScope.RUN else _whole(value)


def _whole(value: EnvValue) -> Json:
    held: Json = {"value": value.value} if value.reference is None else reference_to_json(value.reference)
    return {**held, "secret": value.secret, "scope": value.scope.value}


def shown_env(env: Env) -> Json:
    """Variables as they are shown: without the value of any secret."""
    return {
        name: {"value": None, "secret": True, "scope": value.scope.value}
        if value.secret and value.reference is None
        else value_to_json(value)
        for name, value in env.items()
    }


def env_from_json(stored: Stored) -> dict[str, EnvValue]:
    return {name: value_from_json(given) for name, given in stored.items()}


def value_from_json(given: str | Stored) -> EnvValue:
    if isinstance(given, str):
        return EnvValue(given)
    scope = EnvScope(given.get("scope") or EnvScope.RUN)
    if "from" in given:
        return EnvValue("", True, scope, reference_from_json(given))
    return EnvValue(given["value"], bool(given.get("secret")), scope)


def shared_to_json(shared: Mapping[str, SharedValue]) -> Json:
    return {name: {**_whole(each.given), "group": each.group} for name, each in shared.items()}


def shared_from_json(stored: Stored) -> dict[str, SharedValue]:
    return {name: SharedValue(value_from_json(given), given["group"]) for name, given in stored.items()}


def overrides_to_json(overrides: Overrides) -> Json:
    """Return what was given, and no more; variables come last."""
    given: Json = {name: getattr(overrides, name) for name in overrides.image_fields}
    given |= {name: _plain(getattr(overrides.spec, name)) for name in OVERRIDABLE if name in overrides.given}
    if overrides.confirm_paused is not None:
        given["confirm_paused"] = overrides.confirm_paused
    env = {name: None if value is None else value_to_json(value) for name, value in overrides.env.items()}
    return {**given, "env": env}


def shown_overrides(overrides: Overrides) -> Json:
    """Overrides as they could be given again: their secrets are there, without their values."""
    env = overrides.env
    shown = shown_env({name: value for name, value in env.items() if value is not None})
    return {**overrides_to_json(overrides), "env": {name: shown.get(name) for name in env}}


def overrides_from_json(stored: Stored) -> Overrides:
    given = {name: stored[name] for name in OVERRIDABLE if name in stored}
    _convert(given, _RUN_VALUES)
    env = {
        name: None if value is None else value_from_json(value)
        for name, value in stored.get("env", {}).items()
    }
    asked = {name: stored.get(name) for name in ("image", "build", "sha", "confirm_paused")}
    return Overrides(RunSpec(**given), frozenset(given), env, **asked)


def _command(stored: str | list[str]) -> Command:
    return stored if isinstance(stored, str) else tuple(stored)


def _checks(stored: Sequence[Stored]) -> tuple[Check, ...]:
    return tuple(check_from_json(each) for each in stored)


Conversions = Mapping[str, Callable[[Any], Any]]
_JOB_VALUES: Conversions = {
    "builds_in_flight": BuildsInFlight,
    "run_on_image_change": RunOnImageChange,
    "kind": JobKind,
}
_RUN_VALUES: Conversions = {
    "command": _command,
    "entrypoint": _command,
    "env": env_from_json,
    "retry_backoff": Backoff,
    "health_checks": _checks,
    "network": Network,
}
_NO_SOURCE = {"type": "none"}


def _convert(given: Json, conversions: Conversions) -> None:
    for name, convert in conversions.items():
        if given.get(name) is not None:
            given[name] = convert(given[name])


def _plain(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return value.value
    return list(value) if isinstance(value, tuple) else value


def _require_known(stored: Stored) -> None:
    version = stored.get("version", 0)
    if version > VERSION:
        raise ValueError(f"version {version} of this form is of a later release, which alone can read it")
