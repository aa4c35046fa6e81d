"""What is stored of a build besides its state, and its form as JSON: why it began, its plan and its steps."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypedDict, cast

from app.domain.documents import Json, Stored


class BuildTriggerType(enum.StrEnum):
    PUSH = "push"
    PULL_REQUEST = "pull_request"  # built for its status alone
    MANUAL = "manual"
    REBUILD = "rebuild"  # the image of another build was gone


@dataclass(frozen=True)
class BuildTrigger:
    """The reason why a build began. `by` is None where nobody is known; `of` is the build whose image is made again.

    `is_fork` says that anybody may have written the commit: nothing is given to the build, and it shares no cache.
    """

    type: BuildTriggerType
    by: str | None = None
    delivery: str | None = None
    of: int | None = None
    is_fork: bool = False


def trigger_to_json(trigger: BuildTrigger) -> Json:
    given = {"type": str(trigger.type), "delivery": trigger.delivery, "of": trigger.of, "by": trigger.by}
    given |= {"fork": trigger.is_fork or None}
    return {name: value for name, value in given.items() if value is not None}


def trigger_from_json(stored: Stored) -> BuildTrigger:
    type_ = BuildTriggerType(stored["type"])
    of, is_fork = stored.get("of"), bool(stored.get("fork"))
    return BuildTrigger(type_, stored.get("by"), stored.get("delivery"), of, is_fork)


class PlanDocument(TypedDict, total=False):
    """A build's plan as people and scripts are shown it: every decision of the compiler, and why."""

    runtime: str
    version: str | None
    version_source: str | None
    package_manager: str | None
    install_command: str | None
    build_command: str | None
    run_command: str | None
    command: list[str]
    processes: Mapping[str, str]
    root_directory: str
    dockerfile: str | None
    target: str | None
    reasons: list[str]
    warnings: list[str]


def plan_from_json(stored: Stored) -> PlanDocument:
    return cast(PlanDocument, dict(stored))


@dataclass(frozen=True)
class BuildStep:
    """One bar of a build's timeline. `started` and `duration` are seconds since the build began; None while it runs."""

    index: int
    total: int | None
    name: str
    started: float
    duration: float | None = None
    cached: bool = False
    failed: bool = False


@dataclass(frozen=True)
class BuildPhase:
    """A part of the work on a build, from `started` on; both are seconds, as in `BuildStep`."""

    name: str
    started: float
    duration: float


def step_to_json(step: BuildStep) -> Json:
    return dict(vars(step))


def step_from_json(stored: Stored) -> BuildStep:
    return BuildStep(**stored)
