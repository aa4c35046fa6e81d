"""Dry runs as they are asked for and answered."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, model_validator

from app.domain.decisions import Verdict
from app.domain.events import BRANCH_PREFIX, Push, RepositoryRef
from app.domain.job.spec import GitSource
from app.web.schemas.base import Model, one_of, with_example
from app.web.schemas.drafts import git_source
from app.web.schemas.fields import BranchName, GitUrl, Name, Sha, Time
from app.web.schemas.job import BuildForm
from app.web.schemas.job_deploy import JobDeployForm
from app.web.schemas.pipeline import PromotionForm

NO_COMMIT = "0" * 40


class PushForm(Model):
    """A push that was not made. What isn't given is asked of Git, or (`message`) taken as if it said nothing.

    A deletion has to be asked for, by `deleted` or an `after` of zeros.
    """

    repository: str = Field(min_length=1, max_length=1000, description="owner/name, or the repository's URL")
    ref: str = Field(min_length=1, max_length=300, description="refs/heads/main, refs/tags/v1, or a branch")
    before: Sha | None = Field(default=None, description="null or zeros for a new branch")
    after: Sha | None = Field(
        default=None,
        description="the pushed commit; null for the head of the branch, which Git is asked for;"
        " zeros for a deleted branch",
    )
    deleted: bool = Field(default=False, description="that the branch is deleted, so that nothing is pushed")
    message: str = Field(default="", max_length=100_000, description="of the pushed commits")
    files: list[str] | None = Field(default=None, max_length=10_000, description="that the push changed")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.deleted and self.after not in (None, NO_COMMIT):
            raise ValueError("must have no after where deleted is true")
        return self

    def as_push(self) -> Push:
        """As a forge would have told of it; without `after` and not `deleted`, it is the head."""
        ref = self.ref if self.ref.startswith("refs/") else BRANCH_PREFIX + self.ref
        before, after = (None if sha == NO_COMMIT else sha for sha in (self.before, self.after))
        return Push(
            forge="",
            repository=RepositoryRef(self.repository.strip("/"), (self.repository,)),
            ref=ref,
            before=before,
            after=after,
            deleted=self.deleted or self.after == NO_COMMIT,
            created=before is None,
            forced=False,
            commits=(),
            head_message=self.message,
            changed_files=None if self.files is None else frozenset(self.files),
            pusher="",
            compare_url="",
        )


class DetectGitForm(Model):
    url: GitUrl
    branch: BranchName = "main"
    submodules: bool = False
    lfs: bool = False
    credential: Name | None = Field(default=None, description="of kind git; needs `project`")


class DetectForm(Model):
    """A repository to look at."""

    git: DetectGitForm
    build: BuildForm = Field(default_factory=BuildForm)
    project: Name | None = Field(default=None, description="where the credential is")

    def source(self) -> GitSource:
        return git_source(self.git, self.build)


class PlanPromotionForm(PromotionForm):
    """A promotion that is not made."""

    project: Name
    pipeline: Name


class PlanDeployForm(JobDeployForm):
    """A deploy by hand that is not made."""

    project: Name
    job: Name


class PlanSettingsForm(Model):
    """An edit of a job's settings that is not made; a job that is not there yet would be made."""

    project: Name
    fields: dict[str, Any] = Field(
        description="of the job, as they would be given; `name` says which job",
        json_schema_extra={"required": ["name"], "properties": {"name": {"type": "string"}}},
    )


class PlanForm(Model):
    """One of them: a delivery to rehearse again, a push, a promotion, a deploy, an edit, or a repository to look at."""

    model_config = with_example(
        {
            "push": {
                "repository": "acme/report",
                "ref": "refs/heads/main",
                "before": "a" * 40,
                "after": "b" * 40,
            }
        },
        one_of("delivery", "push", "promotion", "deploy", "settings", "detect"),
    )

    delivery: str | None = Field(default=None, min_length=1, max_length=200)
    push: PushForm | None = None
    promotion: PlanPromotionForm | None = None
    deploy: PlanDeployForm | None = None
    settings: PlanSettingsForm | None = None
    detect: DetectForm | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        given = (self.delivery, self.push, self.promotion, self.deploy, self.settings, self.detect)
        if sum(each is not None for each in given) != 1:
            raise ValueError("must have one of delivery, push, promotion, deploy, settings and detect")
        return self


class StageAnswer(Model):
    verdict: Verdict
    rule: str
    sentence: str


class EffectAnswer(Model):
    project: str
    job: str | None = Field(description="null for a build service without jobs")
    build_service: str | None
    would_build: bool
    would_deploy: bool
    would_run: bool
    file: StageAnswer | None = Field(
        description="what jobyard.yaml of the pushed commit changes of the job; null where nothing"
    )
    build: StageAnswer | None = Field(description="null for a promotion or a deploy, which build nothing")
    deploy: StageAnswer | None = Field(description="if the build succeeds; null where nothing is built")


class PlanAnswer(Model):
    sentence: str
    items: list[EffectAnswer]


class FieldChangeAnswer(Model):
    field: str
    before: Any
    after: Any


class EditAnswer(Model):
    """What an edit of settings would change; nothing is built or run by it."""

    sentence: str
    is_new: bool
    changes: list[FieldChangeAnswer]
    next_fire_at: Time | None
    deploy: StageAnswer | None = Field(description="what becomes of the image where CD goes on again by it")


class DetectAnswer(Model):
    sha: str
    plan: dict[str, Any]
    dockerfile: str
