"""Jobs and the sources they are built from."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, type_coerce
from sqlalchemy import delete as delete_rows
from sqlmodel import col, select

from app.domain.errors import Conflict, NotFound
from app.domain.fires import next_fire
from app.domain.job.codec import schedule_to_json
from app.domain.job.effective import merge
from app.domain.job.records import Deployed, Job, Source, SourceSettings
from app.domain.job.spec import BuildsInFlight, JobSpec
from app.domain.repository_file import FromFile
from app.store.database import Tx, touch
from app.store.identity import reserved_id
from app.store.schema import BuildRow, JobRow, ProjectRow, SecretGroupJobRow, SourceRow
from app.store.schema.specs import decoded
from app.store.unreadable import by_id, newest, value_of, values_of


def create(
    tx: Tx,
    project_id: int,
    spec: JobSpec,
    source: SourceSettings | int | None,
    now: datetime,
    job_id: int | None = None,
) -> Job:
    """A new job with a source of its own, that of a build service (its id), or none.

    Raises Conflict if the name is taken.
    """
    taken = select(JobRow.id).where(
        JobRow.project_id == project_id, JobRow.name == spec.name, col(JobRow.deleted_at).is_(None)
    )
    if tx.exec(taken).first() is not None:
        raise Conflict(f"There is a job named {spec.name} in this project already.")
    row = JobRow(
        id=job_id or reserved_id(tx, "job"),
        project_id=project_id,
        name=spec.name,
        created_at=now,
        updated_at=now,
        definition=spec,
        effective=spec.run,
        shared_env={},
    )
    row.source_id = _source_id(tx, project_id, source, now)
    _define(row, spec, now)
    tx.add(row)
    tx.flush()
    touch(tx, "jobs", "sources", "schedules", f"job:{row.id}")
    return with_id(tx, row.id)


def redefine(tx: Tx, job_id: int, spec: JobSpec, source: SourceSettings | int | None, now: datetime) -> Job:
    """Replace a job's specification. What is deployed stays as it is, unless the source is another image now."""
    row = tx.get_one(JobRow, job_id)
    if spec.image != row.definition.image:
        row.deployed = None
    _define(row, spec, now)
    row.updated_at = now
    former = None if row.source_id is None else tx.get(SourceRow, row.source_id)
    own = former if former is not None and former.name is None else None
    if isinstance(source, SourceSettings) and own is not None:
        set_source(own, source)
        tx.flush()
    else:
        row.source_id = _source_id(tx, row.project_id, source, now)
        tx.flush()
        if own is not None:
            tx.delete(own)  # with its webhook secret, which speaks for nothing any more
    touch(tx, "jobs", "sources", "schedules", f"job:{job_id}")
    return with_id(tx, job_id)


def _source_id(tx: Tx, project_id: int, source: SourceSettings | int | None, now: datetime) -> int | None:
    return add_source(tx, project_id, None, source, now).id if isinstance(source, SourceSettings) else source


def add_source(
    tx: Tx, project_id: int, name: str | None, settings: SourceSettings, now: datetime
) -> SourceRow:
    row = SourceRow(project_id=project_id, name=name, created_at=now, **vars(settings))
    tx.add(row)
    tx.flush()
    return row


def set_source(row: SourceRow, settings: SourceSettings) -> None:
    for name, value in vars(settings).items():
        if name != "id":
            setattr(row, name, value)


def _define(row: JobRow, spec: JobSpec, now: datetime) -> None:
    """The specification, and the columns that queries and the scheduler read instead of it."""
    row.definition = spec
    row.ci_enabled = spec.ci_enabled
    row.cd_enabled = spec.cd_enabled
    row.run_on_image_change = spec.run_on_image_change
    row.kind = spec.kind
    row.schedule = None if spec.schedule is None else schedule_to_json(spec.schedule)
    row.paused = spec.paused
    row.effective = merge(spec.run, shared_env=row.shared_env).spec
    row.plan, row.instances = spec.run.plan, spec.run.instances
    row.has_image = row.deployed is not None or spec.image is not None
    row.next_fire_at = next_fire(spec.schedule, now, paused=row.paused or row.deleted_at is not None)


def set_switches(
    tx: Tx,
    job_id: int,
    now: datetime,
    *,
    paused: bool,
    ci_enabled: bool | None = None,
    cd_enabled: bool | None = None,
    schedule_active: bool | None = None,
) -> Job:
    """Hold CI, CD and schedule back (`paused`) or let them go on; None leaves a switch as it was set."""
    row = tx.get_one(JobRow, job_id)
    spec = row.definition
    schedule = spec.schedule
    if schedule is not None and schedule_active is not None:
        schedule = replace(schedule, active=schedule_active)
    spec = replace(
        spec,
        paused=paused,
        ci_enabled=spec.ci_enabled if ci_enabled is None else ci_enabled,
        cd_enabled=spec.cd_enabled if cd_enabled is None else cd_enabled,
        schedule=schedule,
    )
    _define(row, spec, now)
    row.updated_at = now
    source = None if row.source_id is None else tx.get_one(SourceRow, row.source_id)
    if source is not None and source.name is None:
        source.ci_enabled = spec.ci_enabled
    tx.flush()
    touch(tx, "jobs", "schedules", f"job:{job_id}")
    return with_id(tx, job_id)


def delete(tx: Tx, job_id: int, now: datetime) -> None:
    """Take a job away; its history stays readable under its id, and its name is free again."""
    row = tx.get_one(JobRow, job_id)
    source = None if row.source_id is None else tx.get_one(SourceRow, row.source_id)
    in_groups = delete_rows(SecretGroupJobRow).where(col(SecretGroupJobRow.job_id) == job_id)
    tx.connection().execute(in_groups)
    row.deleted_at = now
    row.next_fire_at = None
    row.source_id = None
    tx.flush()
    if source is not None and source.name is None:
        tx.delete(source)
    touch(tx, "jobs", "sources", "schedules", f"job:{job_id}")


def with_id(tx: Tx, job_id: int) -> Job:
    found = tx.exec(_jobs().where(JobRow.id == job_id)).first()
    if found is None:
        raise NotFound(f"There is no job {job_id}.")
    return value_of(tx, _value, found)


def with_ids(tx: Tx, job_ids: Sequence[int]) -> dict[int, Job]:
    """Return those of the jobs that can be read, by their ids."""
    found = tx.exec(_jobs().where(col(JobRow.id).in_(job_ids)))
    return {job.id: job for job in values_of(tx, _value, found)}


def names_of(tx: Tx, job_ids: Collection[int]) -> dict[int, str]:
    """The jobs' names, also of those that were deleted."""
    return dict(tx.exec(select(JobRow.id, JobRow.name).where(col(JobRow.id).in_(job_ids))).all())


def display_names(tx: Tx, job_ids: Collection[int]) -> dict[int, str]:
    """What the jobs are called for people, where that is not their name."""
    called = type_coerce(col(JobRow.definition), JSON)["display_name"].as_string()
    found = tx.exec(select(JobRow.id, called).where(col(JobRow.id).in_(job_ids)))
    return {job_id: name for job_id, name in found if name}


def still_there(tx: Tx, job_id: int) -> Job:
    """A job that was not deleted. Raises Conflict for one that was."""
    job = with_id(tx, job_id)
    if job.deleted_at is not None:
        raise Conflict(f"Job {job.name} was deleted.")
    return job


def find(tx: Tx, project: str, name: str) -> Job | None:
    query = _jobs().where(ProjectRow.name == project, JobRow.name == name, col(JobRow.deleted_at).is_(None))
    found = tx.exec(query).first()
    return None if found is None else value_of(tx, _value, found)


def named(tx: Tx, project: str, name: str) -> Job:
    found = find(tx, project, name)
    if found is None:
        raise NotFound(f"There is no job named {name} in project {project}.")
    return found


def last_named(tx: Tx, project_id: int, name: str) -> Job | None:
    """The job of that name or, where there is none, the one that had it last: whose history is shown by the name."""
    query = _jobs().where(JobRow.project_id == project_id, JobRow.name == name)
    found = tx.exec(query.order_by(col(JobRow.id).desc()).limit(1)).first()
    return None if found is None else value_of(tx, _value, found)


def page(
    tx: Tx, *, project_id: int | None = None, limit: int = 100, before: int | None = None
) -> Sequence[Job]:
    """Jobs that exist, newest first."""
    query = _jobs().where(col(JobRow.deleted_at).is_(None))
    if project_id is not None:
        query = query.where(JobRow.project_id == project_id)
    return newest(tx, by_id(query, col(JobRow.id)), _value, limit, before)


def of_source(tx: Tx, source_id: int) -> Sequence[Job]:
    query = _jobs().where(JobRow.source_id == source_id, col(JobRow.deleted_at).is_(None))
    return values_of(tx, _value, tx.exec(query.order_by(col(JobRow.id))))


def source_with_id(tx: Tx, source_id: int) -> Source:
    return source_value(tx.exec(select(SourceRow).where(SourceRow.id == source_id)).one())


def build_service(tx: Tx, project_id: int, name: str) -> Source | None:
    """The source of that name, which several jobs of the project may share."""
    query = select(SourceRow).where(SourceRow.project_id == project_id, SourceRow.name == name)
    row = tx.exec(query).first()
    return None if row is None else value_of(tx, source_value, row)


def tracking(tx: Tx, repo_keys: Sequence[str], scopes: Sequence[str]) -> Sequence[tuple[Source, list[Job]]]:
    """The sources of these repositories that these webhook secrets speak for, each with its jobs."""
    found = tx.exec(
        select(SourceRow).where(col(SourceRow.repo_key).in_(repo_keys)).order_by(col(SourceRow.id))
    )
    allowed = set(scopes)
    result = []
    for source in values_of(tx, source_value, found):
        if {f"project:{source.project_id}", f"source:{source.id}"} & allowed:
            jobs = list(of_source(tx, source.id))
            if jobs or source.name is not None:
                result.append((source, jobs))
    return result


def set_cd(tx: Tx, job_id: int, *, enabled: bool, now: datetime) -> None:
    row = tx.get_one(JobRow, job_id)
    row.cd_enabled = enabled
    row.definition = replace(row.definition, cd_enabled=enabled)
    row.updated_at = now
    touch(tx, "jobs", f"job:{job_id}")


def set_from_file(tx: Tx, job_id: int, from_file: FromFile | None) -> None:
    """Say what of a job its repository's own file sets."""
    tx.get_one(JobRow, job_id).from_file = None if from_file is None else from_file.to_json()
    tx.flush()
    touch(tx, "jobs", f"job:{job_id}")


def deploy(tx: Tx, job_id: int, deployed: Deployed) -> None:
    """Point a job at an image."""
    hold_builds(tx, [deployed.build_id])
    row = tx.get_one(JobRow, job_id)
    row.deployed = deployed.to_json()
    row.has_image = True
    row.updated_at = deployed.at
    touch(tx, "jobs", f"job:{job_id}")


def hold_builds(tx: Tx, build_ids: Iterable[int | None]) -> None:
    """Until the transaction ends nobody removes these builds: what refers to them as JSON would not be seen yet."""
    held = sorted({build_id for build_id in build_ids if build_id is not None})
    if held and tx.get_bind().dialect.name != "sqlite":  # where one transaction writes at a time
        query = select(BuildRow.id).where(col(BuildRow.id).in_(held)).order_by(col(BuildRow.id))
        tx.exec(query.with_for_update(read=True, key_share=True)).all()


def _jobs() -> Any:
    return (
        select(JobRow, ProjectRow.name, SourceRow)
        .join(ProjectRow, col(ProjectRow.id) == col(JobRow.project_id))
        .outerjoin(SourceRow, col(SourceRow.id) == col(JobRow.source_id))
    )


def source_value(row: SourceRow) -> Source:
    return Source(
        id=row.id,
        project_id=row.project_id,
        name=row.name,
        url=row.url,
        repo_key=row.repo_key,
        branch=row.branch,
        build=decoded(row.build),
        ci_enabled=row.ci_enabled,
        builds_in_flight=BuildsInFlight(row.builds_in_flight),
        credential_id=row.credential_id,
        webhook_secret=row.webhook_secret,
        config_file=row.config_file,
    )


def _value(row: JobRow, project: str, source: SourceRow | None) -> Job:
    return Job(
        id=row.id,
        project_id=row.project_id,
        project=project,
        name=row.name,
        spec=decoded(row.definition),
        shared_env=decoded(row.shared_env),
        source=source_value(source) if source is not None else None,
        deployed=None if row.deployed is None else Deployed.from_json(row.deployed),
        created_at=row.created_at,
        next_fire_at=row.next_fire_at,
        deleted_at=row.deleted_at,
        from_file=None if row.from_file is None else FromFile.from_json(row.from_file),
    )
