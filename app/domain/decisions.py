"""Decisions: every verdict is stored with its reason, so that "why did it (not) run?" always has an answer."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

# The facts that a verdict was made on, by their names.
Inputs = Mapping[str, str | int | Sequence[str] | None]


class Verdict(enum.StrEnum):
    STARTED = "started"  # a run was made
    BUILT = "built"  # a build was made, or an equal one joined
    AVAILABLE = "available"  # a build has an image that stays undeployed, and why
    DEPLOYED = "deployed"  # the image moved, and nothing ran because of it
    SKIPPED = "skipped"  # nothing happened, and why
    QUEUED = "queued"  # will happen when something else is over
    REPLACED = "replaced"  # took the place of a live run
    MISSED = "missed"  # a scheduled time passed while nobody could act
    DUPLICATE = "duplicate"  # already decided for the same event
    CANCELLED = "cancelled"  # somebody asked for a run's end
    PAUSED = "paused"  # from now on nothing happens by itself
    RESUMED = "resumed"  # what was held back goes on
    CONFIGURED = "configured"  # the repository's own file made the job, or changed it
    REFUSED = "refused"  # the repository's own file is wrong, so nothing is built


class EventType(enum.StrEnum):
    """What was decided about. The event's id is a delivery, build, run, … id of that type."""

    PUSH = "push"
    BUILD = "build"
    SCHEDULE = "schedule"
    MANUAL = "manual"
    DEPLOY = "deploy"
    PROMOTION = "promotion"
    DEPLOYMENT = "deployment"  # of an app
    RUN = "run"  # what came up when it was to start
    FILE = "file"  # of the repository, which says something of the job


@dataclass(frozen=True)
class Go:
    """Yes: `rule` names what allowed it."""

    rule: str
    sentence: str
    inputs: Inputs = field(default_factory=dict)


@dataclass(frozen=True)
class Skip:
    """No: `rule` names what forbade it, `sentence` says so to a person, `inputs` are what it was judged on."""

    rule: str
    sentence: str
    inputs: Inputs = field(default_factory=dict)
    verdict: Verdict = Verdict.SKIPPED


@dataclass(frozen=True)
class Decision:
    """A stored verdict about one event and one job."""

    id: int
    at: datetime
    event_type: EventType
    event_id: str
    project_id: int
    project: str
    job_id: int | None
    job: str | None
    verdict: Verdict
    rule: str
    sentence: str
    inputs: Inputs
    build_id: int | None = None
    run_id: int | None = None
    deployment_id: int | None = None
