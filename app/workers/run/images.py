"""Which image a run executes, decided when it starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from app.commands.image_ownership import own_image, require_own, require_usable
from app.commands.remote_access import registry_access_of_job
from app.commands.runs import how_to_get_an_image
from app.domain.errors import UserError
from app.domain.job.records import Job
from app.domain.references import Ours
from app.domain.runs import Run
from app.engines.base import RegistryLogin, ResolvedImage
from app.runtime.ports import Vault
from app.store import builds, jobs
from app.store.database import Database, Tx

Resolve = Callable[[str, RegistryLogin | None], ResolvedImage]  # asks the engine, which may take its time


@dataclass(frozen=True)
class Origin:
    """What the build of a run's image says about it; nothing for an image that was not built here."""

    branch: str = ""
    processes: Mapping[str, str] = field(default_factory=dict)


def image_of(db: Database, resolve: Resolve, vault: Vault, ours: Ours, run: Run) -> tuple[Run, Origin]:
    """The run with its image fixed: what it was made for, or what its job has now.

    Raises UserError where there is none, it can't be had or is another project's, and what `resolve` raises.
    """
    with db.read() as tx:
        if run.digest is not None:
            return run, _origin_of_own(tx, run)
        job = jobs.with_id(tx, run.job_id)
        reference = run.image or _reference_of(job)
        if reference is None:
            run = _with_deployed_image(tx, run, job)
            return run, _origin_of_own(tx, run)
        require_usable(tx, ours, run.project_id, reference)
        own = own_image(tx, ours, run.project_id, reference)
        if own is not None:  # no registry has it by that name, or has any business to hear the name
            return replace(run, image=own[0], digest=own[1], reference=reference), Origin()
        login = registry_access_of_job(tx, vault, job, reference)
    resolved = resolve(reference, login)
    with db.read() as tx:
        require_own(tx, run.project_id, reference, resolved.digest)
    return replace(run, image=resolved.image, digest=resolved.digest, reference=reference), Origin()


def _origin_of_own(tx: Tx, run: Run) -> Origin:
    if run.build_id is None and run.digest is not None:  # a build was chosen among the project's own
        require_own(tx, run.project_id, run.image or run.digest, run.digest)
    return origin_of(tx, run)


def _with_deployed_image(tx: Tx, run: Run, job: Job) -> Run:
    has = job.deployed
    if has is None:
        raise UserError(f"Job {run.job} has no image to run: {how_to_get_an_image(tx, job)}.")
    return replace(
        run, image=has.image, digest=has.digest, reference=has.reference, build_id=has.build_id, sha=has.sha
    )


def origin_of(tx: Tx, run: Run) -> Origin:
    if run.build_id is None:
        return Origin()
    build = builds.with_id(tx, run.build_id)
    return Origin(build.branch, (build.plan or {}).get("processes", {}))


def _reference_of(job: Job) -> str | None:
    """The image reference that is resolved when a run starts; None where the job's image is held by digest."""
    if job.deployed is not None:
        return None if job.deployed.digest else job.deployed.image
    return job.spec.image
