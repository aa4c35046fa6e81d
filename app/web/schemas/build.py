"""Builds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from app.domain.build_parts import step_to_json, trigger_to_json
from app.domain.builds import Build, BuildReason, BuildStatus
from app.web.schemas.base import Model, with_example
from app.web.schemas.fields import BranchName, Sha, Time


class ManualBuildForm(Model):
    """What to build: a commit, or (without `sha`) the head of the branch when the build starts."""

    model_config = with_example({"ref": "main"})

    sha: Sha | None = None
    ref: BranchName | None = Field(default=None, description="a branch; the tracked one if left out")


class BuildAnswer(Model):
    id: int
    project: str
    job: str | None = Field(description="the job it was made for")
    build_service: str | None
    jobs: list[str] = Field(description="all jobs it was made for")
    status: BuildStatus
    reason: BuildReason | None
    sentence: str = Field(description="the reason in words")
    sha: str | None
    ref: str
    message: str = Field(description="the first line of the commit's message")
    author: str
    trigger: dict[str, Any]
    rebuild_of: int | None = Field(
        description="the build whose image was gone, and is made again by this one"
    )
    plan: dict[str, Any] | None
    dockerfile: str | None
    steps: list[dict[str, Any]]
    image: str | None
    digest: str | None
    cancel_requested_at: Time | None
    created_at: Time
    started_at: Time | None
    finished_at: Time | None


def build_answer(build: Build, made_for: Sequence[tuple[str | None, str | None]]) -> BuildAnswer:
    """`made_for` are pairs of a build service's name and a job's."""
    jobs = [job for _, job in made_for if job is not None]
    return BuildAnswer(
        id=build.id,
        project=build.project,
        job=next(iter(jobs), None),
        build_service=next((service for service, _ in made_for if service is not None), None),
        jobs=jobs,
        status=build.status,
        reason=build.reason,
        sentence=build.sentence,
        sha=build.sha,
        ref=build.ref,
        message=build.message,
        author=build.author,
        trigger=trigger_to_json(build.trigger),
        rebuild_of=build.rebuild_of,
        plan=None if build.plan is None else dict(build.plan),
        dockerfile=build.dockerfile,
        steps=[step_to_json(step) for step in build.steps],
        image=build.image,
        digest=build.digest,
        cancel_requested_at=build.cancel_requested_at,
        created_at=build.created_at,
        started_at=build.started_at,
        finished_at=build.finished_at,
    )
