"""Images that are gone: the builds that make them again, and the runs that wait for those."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import and_, delete, update
from sqlmodel import col, or_, select

from app.domain.build_parts import BuildTrigger, trigger_to_json
from app.domain.builds import Build, BuildStatus
from app.domain.events import repo_key
from app.domain.job.records import Job
from app.domain.runs import Again, Attempt, Run, RunStatus
from app.store import builds, jobs
from app.store.claims import is_held
from app.store.database import Tx, touch
from app.store.run_values import run_value
from app.store.runs import QUEUED as RUNS_QUEUED
from app.store.schema import AttemptRow, BuildRow, BuildSourceRow, ContainerRow, JobRow, RunRow, SourceRow
from app.store.transitions import move


def made_by(tx: Tx, project_id: int, digest: str) -> Build | None:
    """The newest build of a project that made an image."""
    query = select(BuildRow.id).where(BuildRow.project_id == project_id, BuildRow.digest == digest)
    found = tx.exec(query.order_by(col(BuildRow.id).desc()).limit(1)).first()
    return None if found is None else builds.with_id(tx, found)


def made_again_by(tx: Tx, gone: Build) -> Build | None:
    """A later build that makes the same as one whose image is gone: one with an image, else one under way.

    Until the transaction ends nobody else asks for this.
    """
    root = _root(gone)
    tx.exec(select(BuildRow.id).where(BuildRow.id == root).with_for_update()).all()
    key = select(BuildRow.key).where(BuildRow.id == root, BuildRow.key != "").scalar_subquery()
    has_image = col(BuildRow.status) == BuildStatus.SUCCEEDED
    is_there = and_(has_image, col(BuildRow.digest) != gone.digest)
    is_coming = and_(col(BuildRow.status).in_(builds.OPEN), col(BuildRow.cancel_requested_at).is_(None))
    query = (
        select(BuildRow.id)
        .where(BuildRow.project_id == gone.project_id, BuildRow.id > gone.id)
        .where(or_(col(BuildRow.rebuild_of) == root, col(BuildRow.key) == key), or_(is_there, is_coming))
        .order_by(has_image.desc(), col(BuildRow.id).desc())
        .limit(1)
        .with_for_update()  # whoever ends it tells those who wait by then
    )
    found = tx.exec(query).first()
    return None if found is None else builds.with_id(tx, found)


def enqueue(tx: Tx, gone: Build, trigger: BuildTrigger, now: datetime) -> Build:
    """A queued build of the commit and settings of one whose image is gone, for the same sources."""
    root = tx.get_one(BuildRow, _root(gone))
    same = ("project_id", "url", "ref", "sha", "config", "env", "position", "on_branch", "message", "author")
    row = BuildRow(
        **{name: getattr(root, name) for name in same},
        key="",  # a push joins no rebuild, which CD has nothing to do with
        credential_id=_credential(tx, root),
        status=BuildStatus.QUEUED,
        trigger=trigger_to_json(trigger),
        rebuild_of=root.id,
        available_at=now,
        created_at=now,
    )
    tx.add(row)
    tx.flush()
    for source_id in builds.sources_of(tx, root.id):
        tx.add(BuildSourceRow(build_id=row.id, source_id=source_id))
    touch(tx, "builds", f"build:{row.id}", builds.QUEUED)
    return builds.with_id(tx, row.id)


def _credential(tx: Tx, root: BuildRow) -> int | None:
    """Return what its repository is fetched with now: that may have been replaced since it was built."""
    query = (
        select(SourceRow.credential_id)
        .join(BuildSourceRow, col(BuildSourceRow.source_id) == col(SourceRow.id))
        .where(BuildSourceRow.build_id == root.id, SourceRow.repo_key == repo_key(root.url))
    )
    return next(iter(tx.exec(query.order_by(col(SourceRow.id)))), root.credential_id)


def digests(tx: Tx, build: Build) -> frozenset[str]:
    """Return the digests of images made of the same before a build: its own among them if it made the same image."""
    root = _root(build)
    query = select(BuildRow.digest).where(
        or_(BuildRow.id == root, col(BuildRow.rebuild_of) == root), BuildRow.id != build.id
    )
    return frozenset(digest for digest in tx.exec(query) if digest is not None)


def jobs_with(tx: Tx, project_id: int, of: Collection[str]) -> Sequence[Job]:
    """The jobs of a project that have one of these digests deployed."""
    has = col(JobRow.deployed)["digest"].as_string()
    query = select(JobRow.id).where(JobRow.project_id == project_id, has.in_(of))
    found = tx.exec(query.where(col(JobRow.deleted_at).is_(None)).order_by(col(JobRow.id))).all()
    return [jobs.with_id(tx, job_id) for job_id in found]


def wait_for(tx: Tx, run: Run, attempt: Attempt, build_id: int, verdict: Again, now: datetime) -> Run | None:
    """running → queued, until a build is over. The attempt never began: it is taken back.

    Returns the run as it is now, or None if the claim is void.
    """
    row = move(
        tx,
        RunRow,
        run.id,
        *is_held(RunRow, run.token),
        status=RunStatus.QUEUED,
        owner=None,
        awaited_build_id=build_id,
        sentence=verdict.sentence,
        available_at=verdict.available_at,
        attempts=RunRow.attempts - 1,
        active=0,
        engine=None,
        updated_at=now,
    )
    if row is None:
        return None
    tx.connection().execute(delete(ContainerRow).where(col(ContainerRow.attempt_id) == attempt.id))
    tx.connection().execute(delete(AttemptRow).where(col(AttemptRow.id) == attempt.id))
    touch(tx, "runs", f"run:{run.id}", f"job:{run.job_id}", RUNS_QUEUED)
    return run_value(row, run.project, run.job)


def release(tx: Tx, build_id: int, now: datetime) -> None:
    """A build is over: the runs that wait for it go on."""
    waiting = update(RunRow).where(
        col(RunRow.awaited_build_id) == build_id, col(RunRow.status) == RunStatus.QUEUED
    )
    if tx.connection().execute(waiting.values(available_at=now)).rowcount:
        touch(tx, RUNS_QUEUED)


def _root(build: Build) -> int:
    return build.rebuild_of or build.id
