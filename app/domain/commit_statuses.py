"""The status of a commit at its forge: what is said of it there, in words that every forge takes."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from app.domain.builds import BuildReason, BuildStatus
from app.domain.deployments import DeploymentStatus
from app.domain.runs import Reason, RunStatus

DESCRIPTION = 140  # characters, as GitHub takes them
CONTEXT = "jobyard"


class StatusState(enum.StrEnum):
    PENDING = "pending"  # something of it is still to come
    SUCCESS = "success"  # all went well, or nothing was to be done
    FAILURE = "failure"  # what the repository has can't be built, or its run failed
    ERROR = "error"  # Jobyard could not find out: cancelled, or something that it needs was away

    @property
    def is_final(self) -> bool:
        return self is not StatusState.PENDING


@dataclass(frozen=True)
class CommitStatus:
    """What is posted: `context` tells statuses of one commit apart, `link` is a page of ours, if it can be reached.

    What only some forges show: the whole `sentence`, of what `follows` (`run 7`), whether nothing `is_built`, and the
    last `lines` of the log of a failure. `posted_as` is what an earlier post of the same was called there.
    """

    context: str
    state: StatusState
    description: str
    link: str | None = None
    sentence: str = ""
    follows: str = ""
    is_built: bool = True
    lines: Sequence[str] = ()
    posted_as: str = ""


def shortened(sentence: str, most: int = DESCRIPTION) -> str:
    """A sentence in at most so many characters, cut between two words; one that fits, as it is."""
    line = " ".join(sentence.split())
    if len(line) <= most:
        return line
    words = line[:most].rpartition(" ")[0] if line[most - 1] != " " else line[: most - 1]
    kept = words if len(words) > most // 2 else line[: most - 1]
    return f"{kept[: most - 1].rstrip(' ,;:')}…"


class Part(enum.StrEnum):
    """What of a commit's way a status tells of, by the project's setting."""

    WHOLE = ""  # the build, and then the run it starts
    BUILD = "build"
    RUN = "run"


class Statuses(enum.StrEnum):
    """A project's setting: whether statuses are posted, and how many of each commit and job."""

    OFF = "off"
    ONE = "one"  # that moves: the build, and then the run it starts
    TWO = "two"  # one of the build, one of the run


@dataclass(frozen=True)
class Told:
    """What a status says, and the path of the page it is about."""

    state: StatusState
    sentence: str
    page: str = ""


@dataclass(frozen=True)
class BuildFacts:
    id: int
    status: BuildStatus
    reason: BuildReason | None
    sentence: str

    @property
    def told(self) -> Told:
        what = f"Build {self.id}"
        return Told(self._state, _words(what, self.status, self.sentence), f"/builds/{self.id}")

    @property
    def _state(self) -> StatusState:
        match self.status:
            case BuildStatus.QUEUED | BuildStatus.RUNNING:
                return StatusState.PENDING
            case BuildStatus.SUCCEEDED:
                return StatusState.SUCCESS
            case BuildStatus.FAILED if self.reason in _OF_THE_REPOSITORY:
                return StatusState.FAILURE
            case _:
                return StatusState.ERROR


@dataclass(frozen=True)
class RunFacts:
    id: int
    name: str
    status: RunStatus
    reason: Reason | None
    sentence: str

    @property
    def told(self) -> Told:
        return Told(self._state, _words(f"Run {self.name}", self.status, self.sentence), f"/runs/{self.id}")

    @property
    def _state(self) -> StatusState:
        match self.status:
            case RunStatus.QUEUED | RunStatus.RUNNING:
                return StatusState.PENDING
            case RunStatus.SUCCEEDED:
                return StatusState.SUCCESS
            case RunStatus.FAILED if self.reason in _OF_THE_JOB:
                return StatusState.FAILURE
            case _:
                return StatusState.ERROR


@dataclass(frozen=True)
class DeploymentFacts:
    """`decision` is what was decided for the job in question, empty if nothing is yet."""

    id: int
    status: DeploymentStatus
    sentence: str
    warning: str
    decision: str

    @property
    def told(self) -> Told:
        what, page = f"Deployment {self.id}", f"/deployments/{self.id}"
        match self.status:
            case DeploymentStatus.PENDING:
                return Told(StatusState.PENDING, f"{what} waits for the one before it.", page)
            case DeploymentStatus.RUNNING:
                return Told(StatusState.PENDING, f"{what} is under way.", page)
            case DeploymentStatus.SUCCEEDED:
                said = self.warning or self.decision
                return Told(StatusState.SUCCESS, said or f"{what} succeeded.", page)
            case DeploymentStatus.SUPERSEDED:
                return Told(StatusState.SUCCESS, self.decision or self.sentence, page)
            case DeploymentStatus.FAILED:
                return Told(StatusState.FAILURE, self.warning or self.sentence, page)
            case DeploymentStatus.CANCELLED:
                return Told(StatusState.ERROR, f"{what} was cancelled: {self.sentence}", page)


_OF_THE_REPOSITORY = (BuildReason.BUILD_FAILED, BuildReason.NOT_RECOGNISED, BuildReason.TIME_LIMIT)
_OF_THE_JOB = (Reason.EXIT_NONZERO, Reason.OUT_OF_MEMORY, Reason.TIME_LIMIT, Reason.UNHEALTHY)


def _words(what: str, status: BuildStatus | RunStatus, sentence: str) -> str:
    match status:
        case "queued" if sentence:
            return f"{what} waits: {sentence}"
        case "queued":
            return f"{what} is queued."
        case "running":
            return f"{what} is running."
        case "succeeded":
            return f"{what} succeeded."
        case "cancelled":
            return f"{what} was cancelled: {sentence}"
        case _:
            return f"{what} failed: {sentence}"


def of_part(part: Part, build: BuildFacts, after: Told | None) -> Told:
    """What a status says of a commit that is built; `after` is what came of a build that succeeded, if anything."""
    if part is Part.BUILD:
        return build.told
    if build.status is BuildStatus.SUCCEEDED:
        return after or build.told
    if part is Part.WHOLE:
        return build.told
    state, page = build.told.state, build.told.page
    if not state.is_final:
        return Told(state, f"The run waits for build {build.id}.", page)
    return Told(state, f"Nothing runs. {build.told.sentence}", page)


def context_of(name: str, part: Part, project: str | None = None) -> str:
    """What tells a job's status apart; with a `project`, from that of a job of the same name in another one."""
    of = f"{CONTEXT}/{project}/{name}" if project else f"{CONTEXT}/{name}"
    return f"{of}/run" if part is Part.RUN else of
