"""Runs, attempts and the overrides a run is started with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import Field

from app.domain import limits
from app.domain.job.checks import Check
from app.domain.job.codec import run_to_json, shown_env
from app.domain.job.spec import RunSpec
from app.domain.runs import Attempt, Container, Reason, Run, RunStatus, TriggerType
from app.runtime.telemetry import Vitals
from app.web.numbers import LARGEST
from app.web.schemas.base import Model, with_example
from app.web.schemas.fields import (
    Command,
    EnvName,
    EnvSize,
    ImageRef,
    PlanName,
    ProcessName,
    Retries,
    Seconds,
    ShaOrBegin,
    Time,
)
from app.web.schemas.variables import EnvEntry
from app.web.schemas.vitals import CheckAnswer, check_answers


class OverridesForm(Model):
    """What is different in this run only. In `env`, null unsets a variable of the job."""

    model_config = with_example({"env": {"DAY": "2026-01-31"}, "command": ["python", "report.py"]})

    image: ImageRef | None = None
    build: int | None = Field(default=None, ge=1, le=LARGEST, description="a build made for this job")
    sha: ShaOrBegin | None = Field(default=None, description="a commit that was built for this job")
    env: Annotated[dict[EnvName, EnvEntry | None], Field(max_length=limits.VARIABLES), EnvSize] = Field(
        default={}
    )
    command: Command | None = None
    entrypoint: Command | None = None
    shell: bool = Field(default=False, description="hands the command, or the process, to /bin/sh -c")
    process: ProcessName | None = None
    plan: PlanName | None = None
    retry_limit: Retries | None = None
    time_limit_seconds: Seconds | None = None
    confirm_paused: bool = Field(default=False, description="run although the job is paused")


class RerunForm(Model):
    """`same` repeats the run's image and configuration; `current` takes what the job has now."""

    model_config = with_example({"config": "same"})

    config: Literal["same", "current"] = "same"
    confirm_paused: bool = Field(default=False, description="run although the job is paused")


class DryRunAnswer(Model):
    """What a run would be made with, and where each field is from: default, group NAME, job, project (which holds all
    its runs to it), deployed or override.
    """

    effective: dict[str, Any]
    origins: dict[str, str]
    url: str = Field(description="of the form that is filled in like this; no secret value is in it")


class TriggerAnswer(Model):
    type: TriggerType
    by: str | None
    scheduled_for: Time | None
    cause: str


class RunAnswer(Model):
    id: int
    name: str
    project: str
    job: str
    status: RunStatus
    reason: Reason | None
    sentence: str = Field(description="the reason in words")
    trigger: TriggerAnswer
    image: str | None
    digest: str | None
    reference: str | None = Field(
        description="what the image was called, such as by a tag; null for a build's"
    )
    build: int | None
    sha: str | None
    effective: dict[str, Any] = Field(
        description="the configuration it was made with; plain variables are texts, secret ones objects without value"
    )
    overridden: list[str]
    attempts: int
    active: int
    succeeded: int
    failed: int
    retry_limit: int
    time_limit_seconds: int | None
    exit_code: int | None
    available_at: Time | None = Field(
        description="when a queued run may start; null while it waits for a build"
    )
    waits_for_build: int | None = Field(description="the build that makes its image again, which is gone")
    cancel_requested_at: Time | None
    cancel_forced_at: Time | None = Field(description="when its end was asked for once more")
    created_at: Time
    started_at: Time | None
    finished_at: Time | None
    updated_at: Time
    duration_seconds: float | None = Field(description="from the first start to the end")


class ContainerAnswer(Model):
    instance: int
    node: str = Field(description="the machine it is on, where the engine has several; else empty")
    started_at: Time | None
    finished_at: Time | None
    exit_code: int | None
    reason: Reason | None
    sentence: str
    health: list[CheckAnswer] = Field(description="one entry for each of the job's health checks")


class AttemptAnswer(Model):
    number: int
    status: RunStatus
    reason: Reason | None
    exit_code: int | None
    sentence: str
    created_at: Time
    started_at: Time | None
    finished_at: Time | None
    containers: list[ContainerAnswer]


class AttemptsAnswer(Model):
    """The attempts of a run, newest first."""

    items: list[AttemptAnswer]


def shown_effective(spec: RunSpec) -> dict[str, Any]:
    """With the variables that a run gets: a plain one is its text, a secret one the API's form without its value."""
    in_run = {name: value for name, value in spec.env.items() if value.in_run}
    shown = {**shown_env(in_run), **{name: each.value for name, each in in_run.items() if not each.secret}}
    return {**run_to_json(spec), "env": shown}


OF_SPEC = tuple(each.name for each in fields(RunSpec) if each.name in RunAnswer.model_fields)


def run_answer(run: Run) -> RunAnswer:
    awaits = run.awaited_build_id if run.status is RunStatus.QUEUED else None
    return RunAnswer(
        id=run.id,
        name=run.name,
        project=run.project,
        job=run.job,
        status=run.status,
        reason=run.reason,
        sentence=run.sentence,
        trigger=TriggerAnswer(**vars(run.trigger)),
        image=run.image,
        digest=run.digest,
        reference=run.reference,
        build=run.build_id,
        sha=run.sha,
        effective=shown_effective(run.spec),
        overridden=list(run.overridden),
        attempts=run.attempts,
        active=run.active,
        succeeded=run.succeeded,
        failed=run.failed,
        **{name: getattr(run.spec, name) for name in OF_SPEC},
        exit_code=run.exit_code,
        available_at=None if awaits is not None or run.status is not RunStatus.QUEUED else run.available_at,
        waits_for_build=awaits,
        cancel_requested_at=run.cancel_requested_at,
        cancel_forced_at=run.cancel_forced_at,
        created_at=run.created_at,
        started_at=run.first_started_at,
        finished_at=run.finished_at,
        updated_at=run.updated_at,
        duration_seconds=_seconds(run),
    )


def _seconds(run: Run) -> float | None:
    if run.first_started_at is None or run.finished_at is None:
        return None
    return (run.finished_at - run.first_started_at) / timedelta(seconds=1)


def attempt_answer(
    attempt: Attempt, containers: Sequence[Container], checks: Sequence[Check], vitals: Vitals
) -> AttemptAnswer:
    return AttemptAnswer(
        number=attempt.number,
        status=attempt.status,
        reason=attempt.reason,
        exit_code=attempt.exit_code,
        sentence=attempt.sentence,
        created_at=attempt.created_at,
        started_at=attempt.started_at,
        finished_at=attempt.finished_at,
        containers=[
            ContainerAnswer(
                instance=each.instance,
                node=(each.handle or {}).get("node", ""),
                started_at=each.started_at,
                finished_at=each.finished_at,
                exit_code=each.exit_code,
                reason=each.reason,
                sentence=each.sentence,
                health=check_answers(checks, vitals.health(each.instance) if checks else {}),
            )
            for each in containers
        ],
    )
