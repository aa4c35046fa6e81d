"""Rehearsals: what a push would do and why, and what a repository would be built as."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Self

from pydantic import Field, model_validator

from app.commands.dry_run import Detected, Outlook, of_deploy, of_promotion
from app.commands.promotions import plan
from app.domain.decisions import Verdict
from app.domain.errors import InvalidValue, require_consistent
from app.domain.events import BRANCH_PREFIX, Push, RepositoryRef
from app.domain.hosts import git_host
from app.domain.jobs import BuildConfig
from app.domain.pipelines import route
from app.domain.principals import Role
from app.store import jobs, pipelines
from app.store.projects import Project
from app.web.api.defining import Edit, rehearse_edit
from app.web.api.definitions import build_fields, check_build, credential_of
from app.web.api.deploys import JobDeployForm, chosen, pin
from app.web.api.operations import ApiContext, Operation
from app.web.api.scope import delivery_called, project_named, within
from app.web.schemas.base import Empty, Model, with_example
from app.web.schemas.fields import BranchName, GitUrl, Name, Sha, Time
from app.web.schemas.job import BuildForm
from app.web.schemas.pipeline import PromotionForm
from app.web.server_context import ServerContext

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
    fields: dict[str, Any] = Field(description="of the job, as they would be given; `name` says which job")


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
        }
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


class OutlookAnswer(Model):
    project: str
    job: str | None = Field(description="null for a build service without jobs")
    build_service: str | None
    would_build: bool
    would_deploy: bool
    would_run: bool
    build: StageAnswer | None = Field(description="null for a promotion or a deploy, which build nothing")
    deploy: StageAnswer | None = Field(description="if the build succeeds; null where nothing is built")


class PlanAnswer(Model):
    sentence: str
    items: list[OutlookAnswer]


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


def rehearse(ctx: ApiContext[PlanForm, Empty]) -> Any:
    form, rehearsal = ctx.body, ctx.server.rehearsal
    if form.detect is not None:
        return _detect(ctx, form.detect)
    if form.settings is not None:
        return _settings(ctx, form.settings)
    if form.deploy is not None:
        found = [_deploy(ctx, form.deploy)]
    elif form.promotion is not None:
        found = _promotion(ctx, form.promotion)
    elif form.push is not None:
        found = rehearsal.of_push(push_of(form.push), ctx.principal.project_id)
    else:
        with ctx.server.db.read() as tx:
            delivery = delivery_called(ctx, tx, form.delivery or "")
        found = rehearsal.of_delivery(delivery, ctx.principal.project_id)
    return {"sentence": summary(found), "items": [asdict(each) for each in found]}


def _detect(ctx: ApiContext[PlanForm, Empty], form: DetectForm) -> Any:
    if form.project is not None:
        with ctx.server.db.read() as tx:
            project = project_named(ctx, tx, form.project, Role.OPERATOR)
        return asdict(look_at(ctx.server, project, form, "detect."))
    if form.git.credential is not None:
        raise InvalidValue("detect.project", "detect.project is missing: a credential needs its project.")
    return asdict(look_at(ctx.server, None, form, "detect."))


def look_at(server: ServerContext, project: Project | None, form: DetectForm, at: str) -> Detected:
    """What the head of a branch would be built as; `at` comes before the names of fields.

    Raises Contradictions, InvalidValue or TransientError where that can't be said.
    """
    require_consistent(check_build(form.build, f"{at}build"))
    credential_id = None
    if project is not None:
        name, host = form.git.credential, git_host(form.git.url)
        with server.db.read() as tx:
            credential_id = credential_of(tx, project, name, "git", host, f"{at}git.credential")
    contents = build_fields(form.build, submodules=form.git.submodules, lfs=form.git.lfs)
    config = BuildConfig.from_json(contents)
    return server.rehearsal.detect(form.git.url, form.git.branch, config, credential_id)


def _settings(ctx: ApiContext[PlanForm, Empty], form: PlanSettingsForm) -> Any:
    with ctx.server.db.read() as tx:
        project = project_named(ctx, tx, form.project, Role.OPERATOR)
        return edit_answer(
            rehearse_edit(tx, ctx.server, project, form.fields, ctx.who), str(form.fields.get("name"))
        )


def edit_answer(edit: Edit, name: str) -> dict[str, Any]:
    if edit.is_new:
        sentence = f"Job {name} would be made; nothing was done."
    else:
        settings = f"{len(edit.changes)} setting{'s' * (len(edit.changes) != 1)}"
        sentence = f"{settings} of {name} would change; nothing was done."
    return {"sentence": sentence, **asdict(edit)}


def _deploy(ctx: ApiContext[PlanForm, Empty], form: PlanDeployForm) -> Outlook:
    with ctx.server.db.read() as tx:
        project = project_named(ctx, tx, form.project, Role.OPERATOR)
        name = form.job
        job = within(ctx, Role.OPERATOR, f"job {name}", lambda: jobs.named(tx, project.name, name))
    pinned = pin(ctx.server, job, form)
    with ctx.server.db.read() as tx:
        image = chosen(tx, ctx.server.ours, job, form, pinned, ctx.now)
        return of_deploy(
            tx,
            job,
            image,
            latest=form.build == "latest",
            confirm_paused=form.confirm_paused,
            who=ctx.who,
        )


def _promotion(ctx: ApiContext[PlanForm, Empty], form: PlanPromotionForm) -> list[Outlook]:
    with ctx.server.db.read() as tx:
        project = project_named(ctx, tx, form.project, Role.ADMIN if form.skip_stages else Role.OPERATOR)
        pipeline = within(
            ctx,
            Role.OPERATOR,
            f"pipeline {form.pipeline}",
            lambda: pipelines.named(tx, project.name, form.pipeline),
        )
        way = route(
            pipeline, form.source, to=form.to, to_stage=form.to_stage, may_skip_stages=form.skip_stages
        )
        planned = plan(tx, way, who=ctx.who, confirm_paused=True)
        return of_promotion(tx, planned, confirm_paused=form.confirm_paused)


def push_of(form: PushForm) -> Push:
    """The push that is described, as a forge would have told of it; without `after` and not `deleted`, of the head."""
    ref = form.ref if form.ref.startswith("refs/") else BRANCH_PREFIX + form.ref
    before, after = (None if sha == NO_COMMIT else sha for sha in (form.before, form.after))
    return Push(
        forge="",
        repository=RepositoryRef(form.repository.strip("/"), (form.repository,)),
        ref=ref,
        before=before,
        after=after,
        deleted=form.deleted or form.after == NO_COMMIT,
        created=before is None,
        forced=False,
        commits=(),
        head_message=form.message,
        changed_files=None if form.files is None else frozenset(form.files),
        pusher="",
        compare_url="",
    )


def summary(found: list[Outlook]) -> str:
    """How many would be built, deployed and run, in a sentence."""
    counts = [sum(getattr(each, f"would_{what}") for each in found) for what in ("build", "deploy", "run")]
    built, deployed, run = (count or "none" for count in counts)
    jobs_ = sum(each.job is not None for each in found)
    services = len(found) - jobs_
    counted = [f"{jobs_} job{'s' * (jobs_ != 1)}"] if jobs_ or not services else []
    counted += [f"{services} build service{'s' * (services != 1)} without jobs"] if services else []
    what = " and ".join(counted)
    return f"Of {what}, {built} would be built, {deployed} deployed and {run} run; nothing was done."


OPERATIONS = (
    Operation(
        "POST",
        "/plan",
        "Rehearse a push, delivery, promotion, deploy or edit, or look at a repository; nothing is done",
        rehearse,
        Role.OPERATOR,
        body=PlanForm,
        answer=PlanAnswer | EditAnswer | DetectAnswer,
    ),
)
