"""What a deploy or a rollback of an app would do, by the rules that do it, with nothing stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from app.commands.deployment_choices import chosen_builds
from app.commands.deployment_requests import images_to_roll_back_to
from app.commands.dry_run import Effect, of_deployment
from app.commands.image_rollout import admission_of
from app.domain.deployments import Deployment
from app.domain.events import short
from app.domain.rollout import DeploymentForecast, forecast, forecast_hook
from app.domain.rules import ImageEvent
from app.store import apps, jobs
from app.store.apps import App
from app.store.database import Tx


def of_app_deploy(
    tx: Tx, app: App, *, sha: str | None, build_ids: Sequence[int] | None, confirm_paused: bool, who: str
) -> list[Effect]:
    """What deploying a commit, builds, or else the latest builds does to each job, if all goes well.

    It is planned as if it had been agreed to for paused jobs. Raises InvalidValue or Conflict as deploying does.
    """
    said = {}
    for job_id, build in chosen_builds(tx, app, sha=sha, build_ids=build_ids).items():
        if build is None:
            said[job_id] = f"{short(sha or '')}, which is built first, deployed by {who}"
        else:
            said[job_id] = f"Build {build.id} of {short(build.sha)} deployed by {who}"
    is_chosen = sha is not None or build_ids is not None
    return _effects(tx, app, said, is_chosen=is_chosen, with_hooks=True, confirm_paused=confirm_paused)


def of_rollback(
    tx: Tx, deployment: Deployment, *, with_hooks: bool, confirm_paused: bool, who: str
) -> list[Effect]:
    """What going back to an earlier deployment does to each job, if all goes well.

    It is planned as if it had been agreed to for paused jobs. Raises Conflict as going back does.
    """
    said = {
        job_id: f"{short(image.sha) if image.sha else image.image} rolled back to by {who} (CD is held then)"
        for job_id, image in images_to_roll_back_to(tx, deployment).items()
    }
    app = apps.with_id(tx, deployment.app_id)
    return _effects(tx, app, said, is_chosen=False, with_hooks=with_hooks, confirm_paused=confirm_paused)


def _effects(
    tx: Tx, app: App, said: Mapping[int, str], *, is_chosen: bool, with_hooks: bool, confirm_paused: bool
) -> list[Effect]:
    """`said` are the words for the image that each job gets, by the job's id."""
    members = [(jobs.with_id(tx, each.job_id), each.hook) for each in app.members]
    moves = tuple(
        forecast(
            job,
            ImageEvent.DEPLOYED,
            said[job.id],
            admission=admission_of(tx, job),
            is_chosen=is_chosen,
            is_hook=hook is not None,
        )
        for job, hook in members
        if job.id in said
    )
    what = f"A deployment of app {app.name}"
    hooks = tuple(
        forecast_hook(job, hook, said.get(job.id, what), gets_image=job.id in said)
        for job, hook in members
        if hook is not None and with_hooks
    )
    return of_deployment(
        DeploymentForecast(moves, hooks), lambda job_id: said.get(job_id, what), confirm_paused
    )
