"""Runs: one execution of a job, in attempts.

    queued ─begin▶ running ─conclude▶ succeeded | failed | cancelled
       ▲──────────────┘ (retry: available_at = now + delay)

A run that waits to be tried again is queued with `available_at`; so is one whose image is being built again, as
`awaited_build_id` says. A request to cancel is a timestamp, not a state.
Only `conclude` decides what an ended attempt means for its run.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from app.domain.job.spec import RunSpec
from app.domain.outages import WHILE_ENGINE_IS_DOWN, in_vain, pause_after
from app.domain.retry import delay_after

INTERRUPTION_LIMIT = 3  # being restarted is nobody's failure, but not without end


class RunStatus(enum.StrEnum):
    QUEUED = "queued"  # waits for a worker, or for `available_at`
    RUNNING = "running"  # an attempt is alive, or being started
    SUCCEEDED = "succeeded"  # the last attempt exited 0
    FAILED = "failed"  # has a reason
    CANCELLED = "cancelled"  # asked for by a person, or replaced by a newer run

    @property
    def is_final(self) -> bool:
        return self not in (RunStatus.QUEUED, RunStatus.RUNNING)


class Reason(enum.StrEnum):
    """Why a run or an attempt did not succeed."""

    EXIT_NONZERO = "exit_nonzero"  # the process ended with another code than 0
    OUT_OF_MEMORY = "out_of_memory"  # killed for using more memory than its plan has
    TIME_LIMIT = "time_limit"  # the run's time limit passed
    UNHEALTHY = "unhealthy"  # a health check failed
    IMAGE_UNAVAILABLE = "image_unavailable"  # the image can't be had
    SECRET_UNAVAILABLE = "secret_unavailable"  # noqa: S105 - what a secret is read from does not have it, or no answer
    ENGINE_FAILED = "engine_failed"  # the container engine failed, refused or lost the container
    INTERRUPTED = "interrupted"  # the server died, or the data was restored, and how it ended is not known
    CANCELLED = "cancelled"  # a person asked
    REPLACED = "replaced"  # a newer scheduled run took its place


class Cancel(enum.StrEnum):
    """What came of asking for a run's end."""

    OVER = "over"  # nothing of it ran, or none any more: it ended at once
    ASKED = "asked"  # it is stopped, with its grace period
    # It had been asked before: it is killed without waiting for the rest of its grace period.
    FORCED = "forced"


class TriggerType(enum.StrEnum):
    MANUAL = "manual"
    API = "api"
    SCHEDULE = "schedule"
    IMAGE_CHANGE = "image_change"
    PROMOTION = "promotion"
    DEPLOY = "deploy"
    PRE_DEPLOY = "pre_deploy"
    POST_DEPLOY = "post_deploy"
    FAILED_DEPLOY = "failed_deploy"
    FLOW = "flow"

    @property
    def is_awaited(self) -> bool:
        """Return whether a deployment or a flow goes on when such a run is over."""
        return self in (self.PRE_DEPLOY, self.POST_DEPLOY, self.FAILED_DEPLOY, self.FLOW)


@dataclass(frozen=True)
class Trigger:
    """What started a run: `by` is a person or token, `cause` one sentence, the stored decision's."""

    type: TriggerType
    by: str | None = None
    scheduled_for: datetime | None = None
    cause: str = ""


@dataclass(frozen=True)
class Run:
    """One run as stored. `spec` is the effective configuration it was made with."""

    id: int
    name: str
    project_id: int
    project: str
    job_id: int
    job: str
    status: RunStatus
    trigger: Trigger
    spec: RunSpec = field(repr=False)
    created_at: datetime
    updated_at: datetime
    reason: Reason | None = None
    sentence: str = ""
    overridden: tuple[str, ...] = ()
    image: str | None = None
    digest: str | None = None
    reference: str | None = None  # what the image was called before it was resolved, such as by a tag
    build_id: int | None = None
    sha: str | None = None
    attempts: int = 0
    active: int = 0
    succeeded: int = 0
    failed: int = 0
    interruptions: int = 0
    crashes: int = 0
    tries: int = 0  # to find out what its image is that met an outage, since `unanswered_since`
    unanswered_since: datetime | None = None
    awaited_build_id: int | None = None  # makes its image again; until a container of it has started
    exit_code: int | None = None
    available_at: datetime | None = None
    first_started_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    cancel_requested_at: datetime | None = None
    cancel_forced_at: datetime | None = None
    cancel_reason: Reason | None = None
    cancel_sentence: str = ""
    token: int = 0

    @property
    def deadline_at(self) -> datetime | None:
        """Return when the time limit passes: from the first container's start, waits and retries included."""
        limit = self.spec.time_limit_seconds
        if limit is None or self.first_started_at is None:
            return None
        return self.first_started_at + timedelta(seconds=limit)

    @property
    def cancel(self) -> Cancel | None:
        """Return what came of asking for the run's end; None if nobody has."""
        if self.cancel_requested_at is None:
            return None
        if self.status.is_final:
            return Cancel.OVER
        return Cancel.ASKED if self.cancel_forced_at is None else Cancel.FORCED


@dataclass(frozen=True)
class Attempt:
    """One try of a run. `status` follows the run's words; `reason` is set unless it succeeded."""

    id: int
    run_id: int
    number: int
    status: RunStatus
    token: int
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    reason: Reason | None = None
    exit_code: int | None = None
    sentence: str = ""


@dataclass(frozen=True)
class Container:
    """One container of an attempt; `handle` is the engine's, as JSON."""

    id: int
    attempt_id: int
    instance: int
    key: str
    handle: Mapping[str, str] | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    exit_code: int | None = None
    reason: Reason | None = None
    sentence: str = ""


def container_key(run_id: int, attempt: int, instance: int, epoch: str = "") -> str:
    """Return what the engine knows a container by: one per instance of an attempt, for ever.

    Ids come again where an older database was restored: what was begun since then has the `epoch` in its key.
    """
    return f"run-{run_id}-{attempt}-{instance}{epoch and f'-{epoch}'}"


def epoch_of_key(key: str) -> str:
    return "".join(key.split("-", 4)[4:])


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended; `reason` is None exactly when it succeeded. `ended_at` is the process's own end.

    `left_behind` says that the data was restored while it was alive: nothing will ever be known of it here.
    `is_refusal` says that the specification can't run: trying again changes nothing. `image_is_gone` says that the
    image was there once, and nothing was started.
    """

    reason: Reason | None
    exit_code: int | None = None
    sentence: str = ""
    ended_at: datetime | None = None
    left_behind: bool = False
    is_refusal: bool = False
    image_is_gone: bool = False

    @property
    def goes_on(self) -> bool:
        """Return whether only the server was interrupted: the containers may be alive, and are followed further."""
        return self.reason is Reason.INTERRUPTED and not self.left_behind

    @property
    def status(self) -> RunStatus:
        """That of the attempt."""
        match self.reason:
            case None:
                return RunStatus.SUCCEEDED
            case Reason.CANCELLED | Reason.REPLACED:
                return RunStatus.CANCELLED
            case _:
                return RunStatus.FAILED


@dataclass(frozen=True)
class Final:
    """The run is over."""

    status: RunStatus
    reason: Reason | None
    sentence: str


@dataclass(frozen=True)
class Again:
    """The run is queued for another attempt. `unanswered_since` is set where this try met an outage."""

    available_at: datetime
    sentence: str
    unanswered_since: datetime | None = None


OVERRULING = {Reason.TIME_LIMIT, Reason.CANCELLED, Reason.REPLACED}
NOT_RETRIED = OVERRULING | {Reason.IMAGE_UNAVAILABLE, Reason.SECRET_UNAVAILABLE}


def conclude(run: Run, outcome: Outcome, now: datetime) -> Final | Again:
    """Return what the end of the current attempt means. `run.failed` and `run.interruptions` don't count it yet.

    A cancel or a passed time limit wins over whatever the process did meanwhile, even over exit 0; of what was left
    behind nobody knows whether it went on until then.
    """
    if run.cancel_requested_at is not None:
        return cancelled(run)
    is_late = not outcome.left_behind and is_past_deadline(run, outcome.ended_at or now)
    if outcome.reason is Reason.TIME_LIMIT or is_late:
        return out_of_time(run)
    if outcome.reason is None:
        return Final(RunStatus.SUCCEEDED, None, outcome.sentence)
    if outcome.goes_on:
        if run.interruptions + 1 < INTERRUPTION_LIMIT:
            return Again(now, f"{outcome.sentence} Trying again.".lstrip())
        return Final(RunStatus.FAILED, Reason.INTERRUPTED, outcome.sentence)
    if outcome.reason in NOT_RETRIED or outcome.is_refusal or run.failed >= run.spec.retry_limit:
        return Final(RunStatus.FAILED, outcome.reason, outcome.sentence)
    return _retry(run, outcome, now)


def given_up(run: Run) -> Final:
    """Give up a run that servers crashed with too often, or cancel it if that was asked for."""
    if run.cancel_requested_at is not None:
        return cancelled(run)
    sentence = (
        f"The server was killed, or failed, {run.crashes} times while it worked on this run, although nothing else was "
        "under suspicion any more; not going on with it."
    )
    return Final(RunStatus.FAILED, Reason.INTERRUPTED, sentence)


def overruled(outcome: Outcome, verdict: Final | Again) -> Outcome:
    """The end of an attempt as its run takes it: a cancel or a passed time limit wins over what the process did."""
    if not isinstance(verdict, Final) or verdict.reason not in OVERRULING or verdict.reason is outcome.reason:
        return outcome
    sentence = f"{verdict.sentence} {outcome.sentence}".strip()
    return replace(outcome, reason=verdict.reason, sentence=sentence)


def _retry(run: Run, outcome: Outcome, now: datetime) -> Again:
    delay = delay_after(run.failed + 1, run.spec.retry_backoff)
    available_at = now + delay
    deadline = run.deadline_at
    which, wait = f"retry {run.failed + 1} of {run.spec.retry_limit}", f"{delay.total_seconds():.0f} s"
    retry = f"{which} in {wait}"
    if deadline is not None and deadline < available_at:
        available_at = deadline  # woken then, only to end by the time limit
        retry = f"the time limit passes before {which}, {wait} from now"
    return Again(available_at, f"{outcome.sentence.rstrip('.')} — {retry}.")


def no_answer(
    run: Run,
    sentence: str,
    now: datetime,
    *,
    engine_is_down: bool = False,
    reason: Reason = Reason.ENGINE_FAILED,
) -> Final | Again:
    """Decide what becomes of a run whose image or secrets nobody could tell. `run.tries` doesn't count it yet."""
    if engine_is_down:
        again = f"Asked again in {WHILE_ENGINE_IS_DOWN.total_seconds():.0f} s."
        return Again(_no_later(run, now + WHILE_ENGINE_IS_DOWN), f"{sentence.rstrip('.')}. {again}")
    since, pause = run.unanswered_since or now, pause_after(run.tries)
    if pause is None:
        given_up_with = in_vain(sentence, run.tries + 1, since, now, "run")
        return Final(RunStatus.FAILED, reason, given_up_with)
    again = f"Asked again in {pause.total_seconds():.0f} s."
    return Again(_no_later(run, now + pause), f"{sentence.rstrip('.')}. {again}", since)


LOOKED_AT_EVERY = timedelta(minutes=5)


def waits_for_build(run: Run, sentence: str, now: datetime) -> Again:
    """Its image is being built again. It is told when that is over; that it looks by itself as well costs little."""
    return Again(_no_later(run, now + LOOKED_AT_EVERY), sentence)


def _no_later(run: Run, at: datetime) -> datetime:
    """Return `at`, or the end of the time limit if that is earlier: a run that waits is woken then, only to end."""
    return at if run.deadline_at is None else min(at, run.deadline_at)


def is_past_deadline(run: Run, now: datetime) -> bool:
    return run.deadline_at is not None and now >= run.deadline_at


def out_of_time(run: Run) -> Final:
    unused = run.spec.retry_limit - run.failed
    left = f"; {unused} of {run.spec.retry_limit} retries left unused" if unused > 0 else ""
    return Final(
        RunStatus.FAILED,
        Reason.TIME_LIMIT,
        f"The time limit of {run.spec.time_limit_seconds} s passed{left}.",
    )


def cancelled(run: Run) -> Final:
    return Final(RunStatus.CANCELLED, run.cancel_reason or Reason.CANCELLED, run.cancel_sentence)
