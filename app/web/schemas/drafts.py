"""From what the API was given to drafts, which commands take."""

from __future__ import annotations

from pydantic import BaseModel

from app.domain.job.codec import job_from_json, overrides_from_json, source_from_json
from app.domain.job.drafts import BuildServiceDraft, JobDraft, OverridesDraft
from app.domain.job.effective import IMAGE_FIELDS
from app.domain.job.spec import BuildsInFlight, GitSource
from app.web.schemas.build_service import BuildServiceForm
from app.web.schemas.job import BuildForm, BuildServiceSourceForm, GitSourceForm, JobForm
from app.web.schemas.run import OverridesForm
from app.web.schemas.variables import env_draft_of_its_own, env_drafts


def job_draft(form: JobForm) -> JobDraft:
    source = form.source
    return JobDraft(
        job_from_json(form.model_dump(mode="json", exclude={"env"})),
        env_drafts(form.env),
        webhook_secret=source.git.webhook_secret if isinstance(source, GitSourceForm) else None,
        branch=source.branch if isinstance(source, BuildServiceSourceForm) else None,
    )


def service_draft(form: BuildServiceForm) -> BuildServiceDraft:
    return BuildServiceDraft(
        form.name,
        git_source(form.git, form.build),
        ci_enabled=form.ci_enabled,
        builds_in_flight=BuildsInFlight(form.builds_in_flight),
        webhook_secret=form.git.webhook_secret,
        config_file=form.config_file,
    )


def git_source(git: BaseModel, build: BuildForm) -> GitSource:
    parts = {"git": git.model_dump(mode="json"), "build": build.model_dump(mode="json")}
    source = source_from_json({"type": "git", **parts})
    assert isinstance(source, GitSource)
    return source


def overrides_draft(form: OverridesForm) -> OverridesDraft:
    """What was given; null means none, where there can be none."""
    given = form.model_dump(mode="json", exclude_unset=True, exclude={"env"})
    for name in ("plan", "retry_limit", *IMAGE_FIELDS):
        if given.get(name, ...) is None:
            del given[name]
    env = {name: None if entry is None else env_draft_of_its_own(entry) for name, entry in form.env.items()}
    return OverridesDraft(overrides_from_json(given), env)
