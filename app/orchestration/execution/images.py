"""Which image a run executes, decided when it starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from app.domain.errors import UserError
from app.domain.jobs import Job
from app.domain.references import Ours
from app.domain.runs import Run
from app.engines.base import Engine
from app.orchestration.access import registry_access_of_job
from app.orchestration.ownership import own_image, require_own, require_usable
from app.orchestration.ports import Vault
from app.store import builds, jobs
from app.store.database import Database, Tx


@dataclass(frozen=True)
class Origin:
    """What the build of a run's image says about it; nothing for an image that was not built here."""

    branch: str = ""
    processes: Mapping[str, str] = field(default_factory=dict)


def image_of(db: Database, engine: Engine, vault: Vault, ours: Ours, run: Run) -> tuple[Run, Origin]:
    """The run with its image fixed: what it was made for, or what its job has now.

    Raises UserError where there is none, it can't be had or is another project's, EngineUnavailable.
    """
    with db.read() as tx:
        if run.digest is not None:
            return run, _origin_of_own(tx, run)
        job = jobs.with_id(tx, run.job_id)
        reference = run.image or _reference_of(job)
        if reference is None:
            run = _with_deployed_image(run, job)
            return run, _origin_of_own(tx, run)
        require_usable(tx, ours, run.project_id, reference)
        own = own_image(tx, ours, run.project_id, reference)
        if own is not None:  # no registry has it by that name, or has any business to hear the name
            return replace(run, image=own[0], digest=own[1]), Origin()
        login = registry_access_of_job(tx, vault, job, reference)
    resolved = engine.resolve(reference, login)
    with db.read() as tx:
        require_own(tx, run.project_id, reference, resolved.digest)
    return replace(run, image=resolved.image, digest=resolved.digest), Origin()


def _origin_of_own(tx: Tx, run: Run) -> Origin:
    if run.build_id is None and run.digest is not None:  # a build was chosen among the project's own
        require_own(tx, run.project_id, run.image or run.digest, run.digest)
    return origin_of(tx, run)


def _with_deployed_image(run: Run, job: Job) -> Run:
    has = job.deployed
    if has is None:
        raise UserError(f"Job {run.job} has no image yet: build it first, by a push or by hand.")
    return replace(run, image=has.image, digest=has.digest, build_id=has.build_id, sha=has.sha)


def origin_of(tx: Tx, run: Run) -> Origin:
    if run.build_id is None:
        return Origin()
    build = builds.with_id(tx, run.build_id)
    return Origin(build.branch, (build.plan or {}).get("processes", {}))


def _reference_of(job: Job) -> str | None:
    """The image reference that is resolved when a run starts; None where the job's image is held by digest."""
    if job.deployed is not None:
        return None if job.deployed.digest else job.deployed.image
    source = job.definition["source"]
    return source["image"] if source["type"] == "image" else None
