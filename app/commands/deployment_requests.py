"""Deployments that somebody asks for: of a commit, of builds, of the latest ones, or back to an earlier one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime

from app.commands.builds import build_env, key_of_build, request_build
from app.commands.deployment_choices import (
    builds_by_job,
    built_jobs,
    is_for,
    jobs_of_one_repository,
    latest_builds,
    latest_of,
)
from app.commands.deployments import begin_deployment
from app.commands.rebuilds import builds_again, images_again, record_rebuilds
from app.domain.builds import Build
from app.domain.deployments import Cause, Deployment, DeploymentStatus
from app.domain.errors import Conflict, EngineUnavailable, InvalidValue
from app.domain.events import BRANCH_PREFIX, short
from app.domain.job.records import Deployed, Job
from app.domain.refs import is_proposal
from app.domain.rules import require_unpaused
from app.runtime.ports import Vault
from app.store import apps, builds, jobs
from app.store.apps import App
from app.store.database import Tx

MissingImages = Callable[[Mapping[int, str]], frozenset[str]]  # of those that jobs are to get, by job


def images_to_deploy(
    tx: Tx, app: App, *, sha: str | None, build_ids: Sequence[int] | None
) -> Mapping[int, str]:
    """The images that there are already of what is asked for, by job: of a commit, of builds, or else the latest.

    Raises InvalidValue where both a commit and builds are given.
    """
    if sha is not None and build_ids is not None:
        raise InvalidValue("builds", "builds can't be given together with sha: give one of them.")
    images: dict[int, str] = {}
    for job in built_jobs(tx, app):
        assert job.source is not None
        if sha is not None:
            build = builds.newest_of_commit(tx, job.source.id, sha)
        elif build_ids is not None:
            build = next(iter(_for_job(tx, build_ids, job)), None)
        else:
            build = latest_of(tx, job)
        if build is not None and build.image is not None:
            images[job.id] = build.image
    return images


def gone_of(missing_images: MissingImages, images: Mapping[int, str]) -> frozenset[str]:
    """Those that can't be had any more. Where nobody says, the runs that need them find out."""
    try:
        return missing_images(images) if images else frozenset()
    except (EngineUnavailable, Conflict):
        return frozenset()


def deploy_app(
    tx: Tx,
    vault: Vault,
    app: App,
    who: str,
    now: datetime,
    *,
    sha: str | None,
    build_ids: Sequence[int] | None,
    confirm_paused: bool = False,
    gone: Collection[str] = (),
) -> Deployment:
    """Deploy a commit, builds, or else the latest builds to the jobs of an app."""
    if sha is not None:
        return deploy_commit(tx, vault, app, sha, who, now, confirm_paused=confirm_paused, gone=gone)
    if build_ids is not None:
        return deploy_builds(tx, app, build_ids, who, now, confirm_paused=confirm_paused, gone=gone)
    return deploy_latest(tx, app, who, now, confirm_paused=confirm_paused, gone=gone)


def deploy_commit(
    tx: Tx,
    vault: Vault,
    app: App,
    sha: str,
    who: str,
    now: datetime,
    *,
    confirm_paused: bool = False,
    gone: Collection[str] = (),
) -> Deployment:
    """Every component with a repository gets this commit, built where there is no build of it yet.

    Like the others, it raises Conflict where a job that gets an image is paused, and that is not confirmed; and what
    made an image that is `gone` is built again, and waited for.
    """
    built = jobs_of_one_repository(tx, app)
    require_unpaused(built, "deploy to", confirmed=confirm_paused)
    build_ids = [_build_of_commit(tx, vault, job, sha, who, now) for job in built]
    sentence = f"Deploy of {short(sha)} by {who}."
    return _deploy(tx, app, build_ids, sentence, who, now, gone, sha=sha)


def deploy_builds(
    tx: Tx,
    app: App,
    build_ids: Sequence[int],
    who: str,
    now: datetime,
    *,
    confirm_paused: bool = False,
    gone: Collection[str] = (),
) -> Deployment:
    """The components that these builds were made for get their images; at most one build for each."""
    by_job = builds_by_job(tx, app, build_ids)
    require_unpaused([jobs.with_id(tx, job_id) for job_id in by_job], "deploy to", confirmed=confirm_paused)
    listed = ", ".join(map(str, build_ids))
    sentence = f"Deploy of build{'s' * (len(build_ids) != 1)} {listed} by {who}."
    return _deploy(tx, app, build_ids, sentence, who, now, gone, sha=_common_sha(tx, build_ids))


def deploy_latest(
    tx: Tx,
    app: App,
    who: str,
    now: datetime,
    *,
    confirm_paused: bool = False,
    gone: Collection[str] = (),
) -> Deployment:
    """Every component with a repository gets its latest build that succeeded; CD is not changed."""
    latest = latest_builds(tx, app)
    require_unpaused([job for job, _ in latest], "deploy to", confirmed=confirm_paused)
    build_ids = [build.id for _, build in latest]
    sha, sentence = _common_sha(tx, build_ids), f"Deploy of the latest builds by {who}."
    return _deploy(tx, app, build_ids, sentence, who, now, gone, sha=sha, keeps_cd=True)


def _deploy(
    tx: Tx,
    app: App,
    build_ids: Sequence[int],
    sentence: str,
    who: str,
    now: datetime,
    gone: Collection[str],
    *,
    sha: str | None,
    keeps_cd: bool = False,
) -> Deployment:
    again = builds_again(tx, build_ids, gone, who, now)
    made = begin_deployment(
        tx,
        app,
        cause=Cause.API,
        by=who,
        sentence=sentence,
        now=now,
        build_ids=[again[each].id if each in again else each for each in build_ids],
        sha=sha,
        keeps_cd=keeps_cd,
    )
    awaited = {
        job.id: build
        for build in again.values()
        if not build.status.is_final
        for job in built_jobs(tx, app)
        if is_for(tx, build.id, job)
    }
    record_rebuilds(tx, made.id, awaited, now)
    return made


def images_to_roll_back_to(tx: Tx, deployment: Deployment) -> Mapping[int, Deployed]:
    """What an earlier deployment left live, for the jobs that are still in its app. Raises Conflict."""
    if deployment.status is not DeploymentStatus.SUCCEEDED:
        raise Conflict(
            f"Deployment {deployment.id} is {deployment.status}: only one that succeeded can be rolled back to."
        )
    app = apps.with_id(tx, deployment.app_id)
    images = {
        member.job_id: deployment.snapshot[member.job_id]
        for member in app.members
        if member.job_id in deployment.snapshot
    }
    if not images:
        raise Conflict(f"Deployment {deployment.id} left no image for any job that app {app.name} has now.")
    unclear = [image.image for image in images.values() if not image.digest]
    if unclear:
        raise Conflict(
            f"Deployment {deployment.id} left {', '.join(unclear)}, which may mean another image by now:"
            " deploy what is wanted."
        )
    return images


def roll_back(
    tx: Tx,
    deployment: Deployment,
    who: str,
    now: datetime,
    *,
    with_hooks: bool,
    confirm_paused: bool = False,
    gone: Collection[str] = (),
) -> Deployment:
    """The images of an earlier deployment once more; CD is held when they have moved.

    Those that are `gone` are made again first, and waited for. Raises Conflict for one that can't be.
    """
    kept = images_to_roll_back_to(tx, deployment)
    require_unpaused([jobs.with_id(tx, job_id) for job_id in kept], "deploy to", confirmed=confirm_paused)
    images = images_again(tx, deployment.project_id, kept, gone, who, now)
    made = begin_deployment(
        tx,
        apps.with_id(tx, deployment.app_id),
        cause=Cause.ROLLBACK,
        by=who,
        sentence=f"Rollback to deployment {deployment.id} by {who}.",
        now=now,
        build_ids=[build.id for build in images.awaited.values()],
        images=images.by_job,
        sha=deployment.sha,
        with_hooks=with_hooks,
    )
    record_rebuilds(tx, made.id, images.awaited, now)
    return made


def _build_of_commit(tx: Tx, vault: Vault, job: Job, sha: str, who: str, now: datetime) -> int:
    """A build of the commit that is there or on its way, else a new one."""
    source = job.source
    assert source is not None
    known = builds.newest_of_commit(tx, source.id, sha)
    if known is not None:
        return known.id
    env = build_env(source, jobs.of_source(tx, source.id))
    ref = BRANCH_PREFIX + source.branch
    key = key_of_build(vault, source, ref, sha, env)
    joined = builds.join_equal(tx, key, source.project_id, source.id, 0)
    if joined is not None:
        return joined.id
    return request_build(tx, job, sha=sha, branch=None, who=who, now=now, vault=vault)


def _for_job(tx: Tx, build_ids: Sequence[int], job: Job) -> Sequence[Build]:
    return [
        each
        for each in builds.with_ids(tx, build_ids).values()
        if is_for(tx, each.id, job) and not is_proposal(each.ref)
    ]


def _common_sha(tx: Tx, build_ids: Sequence[int]) -> str | None:
    shas = {builds.with_id(tx, build_id).sha for build_id in build_ids}
    return shas.pop() if len(shas) == 1 else None
