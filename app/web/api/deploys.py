"""Deploying by hand: point a job at a build or an image."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from app.domain.errors import InvalidValue
from app.domain.jobs import Deployed, Job
from app.domain.references import Ours
from app.orchestration.ownership import require_usable
from app.orchestration.releases.deploying import build_to_deploy, deploy_by_hand, image_of
from app.store import decisions, jobs
from app.store.database import Tx
from app.web.api.decisions import DecisionAnswer, decision_answer
from app.web.api.forms.fields import BuildChoice, ImageRef
from app.web.api.forms.job import JobAnswer
from app.web.api.idempotency import once
from app.web.api.jobs import job_answer
from app.web.api.operations import Call, Empty, Model, Operation, with_example
from app.web.api.scope import job_of
from app.web.principal import Role


class JobDeployForm(Model):
    """A build made for the job (`latest` keeps CD on), or an image from a registry."""

    model_config = with_example({"image": "registry.example.com/team/report:1.2"})

    build: BuildChoice | None = None
    image: ImageRef | None = None


class JobDeployAnswer(Model):
    """The job as it is now, and the decision that says what moved and whether a run started."""

    job: JobAnswer
    decision: DecisionAnswer


def deploy(call: Call[JobDeployForm, Empty]) -> Any:
    with call.yard.db.write() as tx:
        job = job_of(call, tx, Role.OPERATOR)

        def make() -> dict[str, Any]:
            yard, now = call.yard, call.yard.clock.now()
            image, latest = chosen(tx, yard.ours, job, call.body, now), call.body.build == "latest"
            made = deploy_by_hand(tx, yard.names, job, image, latest=latest, who=call.who, now=now)
            return {
                "job": job_answer(call, tx, jobs.with_id(tx, job.id)),
                "decision": decision_answer(decisions.with_id(tx, made)),
            }

        return once(call, tx, make)


def chosen(tx: Tx, ours: Ours, job: Job, form: JobDeployForm, now: datetime) -> Deployed:
    """The image that is asked for. Raises InvalidValue or Conflict where there is none."""
    build, image = form.build, form.image
    if image is not None:
        if build is not None:
            raise InvalidValue("image", "image can't be set together with build: give one of them.")
        require_usable(tx, ours, job.project_id, image)
        return Deployed(image, image.partition("@")[2], None, None, "", now)
    if build is None:
        raise InvalidValue("build", 'build is missing: give the id of a build, "latest", or an image.')
    return image_of(build_to_deploy(tx, job, None if build == "latest" else build), now)


OPERATIONS = (
    Operation(
        "POST",
        "/projects/{p}/jobs/{j}/deploy",
        "Point a job at a build or an image; all but the latest build turn CD off",
        deploy,
        Role.OPERATOR,
        body=JobDeployForm,
        answer=JobDeployAnswer,
        status=202,
        idempotent=True,
    ),
)
