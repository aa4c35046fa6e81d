"""Which runs, builds and decisions a list is of, as a query of the API and the filters of a page say it."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from app.domain.build_parts import BuildTriggerType
from app.domain.builds import BuildStatus
from app.domain.decisions import EventType, Verdict
from app.domain.job.records import Job
from app.domain.runs import RunStatus, TriggerType
from app.store.build_lists import BuildFilter
from app.store.decision_lists import DecisionFilter
from app.store.projects import Project
from app.store.run_lists import RunFilter
from app.web.request_context import RequestContext
from app.web.schemas.base import Model
from app.web.schemas.fields import Time


class OfAll(Model):
    """The further fields of a list over all jobs."""

    project: str | None = None
    job: str | None = Field(default=None, description="a job's name, also of a deleted one; needs `project`")


class InTime(Model):
    since: Time | None = None
    until: Time | None = None

    def of(self, ctx: RequestContext, project: Project | None) -> dict[str, Any]:
        """What every filter is made of. One that names no project is of all that are within the caller's reach."""
        project_id = None if project is None else project.id
        return {"within": ctx.projects, "project_id": project_id, "since": self.since, "until": self.until}


class Moment(Model):
    at: Time


class RunsWanted(InTime):
    status: RunStatus | None = None
    trigger: TriggerType | None = None
    branch: str | None = Field(default=None, description="the branch that the run's build is of")

    def filter(self, ctx: RequestContext, project: Project | None, job: Job | None) -> RunFilter:
        return RunFilter(
            **self.of(ctx, project),
            job_id=None if job is None else job.id,
            status=self.status,
            trigger=self.trigger,
            branch=self.branch or "",
        )


class BuildsWanted(InTime):
    status: BuildStatus | None = None
    trigger: BuildTriggerType | None = None
    branch: str | None = None

    def filter(self, ctx: RequestContext, project: Project | None, job: Job | None) -> BuildFilter:
        source_id = None if job is None else 0 if job.source is None else job.source.id
        return BuildFilter(
            **self.of(ctx, project),
            source_id=source_id,
            status=self.status,
            trigger=self.trigger,
            branch=self.branch or "",
        )


class DecisionsWanted(InTime):
    verdict: Verdict | None = None
    event: EventType | None = Field(default=None, description="what was decided about")

    def filter(self, ctx: RequestContext, project: Project | None, job: Job | None) -> DecisionFilter:
        of = self.of(ctx, project)
        return DecisionFilter(
            **of, job_id=None if job is None else job.id, verdict=self.verdict, event=self.event
        )
