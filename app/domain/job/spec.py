"""What a job is: where its image comes from, when it runs, and with what."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,50}[a-z0-9])?")
NAME_RULE = "1 to 52 lower-case letters, digits and hyphens, with no hyphen at either end"
DEFAULT_COMMIT_FLAGS = ("[skip ci]", "[ci skip]", "[no ci]", "[skip jobyard]")


class JobKind(enum.StrEnum):
    MANUAL = "manual"
    CRON = "cron"


class RunOnImageChange(enum.StrEnum):
    """When a change of the image starts a run; the truth table is `rules.on_image_change`."""

    NEVER = "never"
    CD_PROMOTE = "cd-promote"
    ALWAYS = "always"


class ConcurrencyPolicy(enum.StrEnum):
    """What a scheduled start does while another run of the job is alive."""

    ALLOW = "allow"
    FORBID = "forbid"
    REPLACE = "replace"


class BuildsInFlight(enum.StrEnum):
    ALL = "all"
    LATEST = "latest"  # a newer push cancels queued builds of the same branch


@dataclass(frozen=True)
class BuildConfig:
    """How an image is made from a commit, and which pushes are worth one."""

    mode: Literal["auto", "dockerfile"] = "auto"
    root_directory: str = "/"
    dockerfile: str = "/Dockerfile"
    target: str | None = None
    install_command: str | None = None
    build_command: str | None = None
    run_command: str | None = None
    time_limit_seconds: int = 3600
    paths: tuple[str, ...] = ()
    paths_mode: Literal["ignore", "allow"] = "ignore"
    commit_flags: tuple[str, ...] = DEFAULT_COMMIT_FLAGS
    submodules: bool = False  # fetched with the commit, which is where both are said to users
    lfs: bool = False

    def to_json(self) -> dict[str, Any]:
        return {
            name: list(value) if isinstance(value, tuple) else value for name, value in vars(self).items()
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> BuildConfig:
        tuples = {name: tuple(data[name]) for name in ("paths", "commit_flags") if name in data}
        return cls(**{**data, **tuples})


@dataclass(frozen=True)
class ScheduleSettings:
    cron: str
    time_zone: str = "UTC"
    active: bool = True
    concurrency_policy: ConcurrencyPolicy = ConcurrencyPolicy.ALLOW
    starting_deadline_seconds: int = 100


def schedule_from_definition(schedule: Mapping[str, Any] | None) -> ScheduleSettings | None:
    if schedule is None:
        return None
    policy = ConcurrencyPolicy(schedule.get("concurrency_policy", ConcurrencyPolicy.ALLOW))
    return ScheduleSettings(**{**schedule, "concurrency_policy": policy})
