"""Which builds somebody's deploy of an app is of, looked up alike by whoever does it and whoever only asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from app.domain.builds import Build, BuildStatus
from app.domain.errors import Conflict, InvalidValue
from app.domain.events import BRANCH_PREFIX
from app.domain.job.records import Job
from app.store import builds, jobs
from app.store.apps import App
from app.store.database import Tx


def built_jobs(tx: Tx, app: App) -> Sequence[Job]:
    """The app's jobs that Jobyard builds. Raises Conflict where there are none."""
    members = [jobs.with_id(tx, member.job_id) for member in app.members]
    built = [job for job in members if job.source is not None]
    if not built:
        raise Conflict(f"No job of app {app.name} is built from a repository, so there is nothing to deploy.")
    return built


def chosen_builds(
    tx: Tx, app: App, *, sha: str | None, build_ids: Sequence[int] | None
) -> Mapping[int, Build | None]:
    """The build that each job gets, by the job's id, of a commit, of builds, or else the latest.

    None stands for a build of the commit that is made first. Raises InvalidValue or Conflict where nothing can be.
    """
    if sha is not None:
        return {job.id: _of_commit(tx, job, sha) for job in jobs_of_one_repository(tx, app)}
    if build_ids is not None:
        found = builds_by_job(tx, app, build_ids)
        return {job_id: builds.with_id(tx, build_id) for job_id, build_id in found.items()}
    return {job.id: build for job, build in latest_builds(tx, app)}


def jobs_of_one_repository(tx: Tx, app: App) -> Sequence[Job]:
    """The jobs that a commit is for. Raises InvalidValue where they are of several repositories."""
    built = built_jobs(tx, app)
    if len({job.source.repo_key for job in built if job.source is not None}) > 1:
        raise InvalidValue(
            "sha",
            f"sha can't be one commit: the jobs of app {app.name} are of several repositories, so give builds.",
        )
    return built


def builds_by_job(tx: Tx, app: App, build_ids: Sequence[int]) -> Mapping[int, int]:
    """The build that each job gets of these. Raises InvalidValue for one that is for none, or two for one job."""
    by_job: dict[int, int] = {}
    for build_id in build_ids:
        of_build = [job for job in built_jobs(tx, app) if is_for(tx, build_id, job)]
        if not of_build:
            message = f"builds must be made for jobs of app {app.name}, which build {build_id} is not."
            raise InvalidValue("builds", message)
        build = builds.with_id(tx, build_id)
        if build.status not in (*builds.OPEN, BuildStatus.SUCCEEDED):
            message = f"builds must be such as succeeded or are not over; build {build_id} is {build.status}."
            raise InvalidValue("builds", message)
        for job in of_build:
            other = by_job.setdefault(job.id, build_id)
            if other != build_id:
                message = f"builds {other} and {build_id} are both for job {job.name}: give one of them."
                raise InvalidValue("builds", message)
    return by_job


def latest_builds(tx: Tx, app: App) -> Sequence[tuple[Job, Build]]:
    """Each job that has a build of its branch that succeeded, with the latest. Raises Conflict where none has."""
    latest = [(job, build) for job in built_jobs(tx, app) if (build := latest_of(tx, job))]
    if not latest:
        raise Conflict(f"No job of app {app.name} has a build of its branch that succeeded yet.")
    return latest


def latest_of(tx: Tx, job: Job) -> Build | None:
    """The latest build of the job's branch that succeeded."""
    if job.source is None:
        return None
    return builds.latest_succeeded(tx, job.source.id, BRANCH_PREFIX + job.source.branch)


def is_for(tx: Tx, build_id: int, job: Job) -> bool:
    """Whether the build was made for the job."""
    return job.source is not None and job.source.id in builds.sources_of(tx, build_id)


def _of_commit(tx: Tx, job: Job, sha: str) -> Build | None:
    assert job.source is not None
    return builds.newest_of_commit(tx, job.source.id, sha)
