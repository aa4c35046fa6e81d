"""Builds: guarded transitions, and which sources each build is for."""

from __future__ import annotations

from collections.abc import Sequence, Set
from datetime import datetime
from typing import Any

from sqlalchemy import and_, bindparam, func, or_, update
from sqlalchemy.orm import aliased
from sqlmodel import col, select

from app.domain.build_parts import (
    BuildPhase,
    BuildStep,
    BuildTrigger,
    PlanDocument,
    step_to_json,
    trigger_to_json,
)
from app.domain.builds import Build, BuildReason, BuildStatus
from app.domain.crashes import SUSPECTED_AFTER
from app.domain.errors import NotFound
from app.domain.job.spec import BuildConfig, BuildsInFlight
from app.domain.job.variables import Env
from app.domain.pushes import Standing
from app.domain.quotas import AtWork, ProjectLimits
from app.domain.refs import PROPOSALS
from app.store.build_values import build_value, builds_query
from app.store.claims import (
    ME,
    NOW,
    UNREADABLE,
    Claim,
    Turn,
    claim_next,
    claiming,
    is_held,
    next_due_at,
    readable,
    take_over,
)
from app.store.database import Tx, touch
from app.store.schema import BuildRow, BuildSourceRow, JobRow, SourceRow
from app.store.transitions import move
from app.store.unreadable import by_id, newest, value_of, values_of

OPEN = (BuildStatus.QUEUED, BuildStatus.RUNNING)
QUEUED = "queued:builds"  # the topic that workers listen to
ENDING = "ending:builds"  # an end came or was asked for
_IS_PROPOSAL = or_(*(col(BuildRow.ref).startswith(each) for each in PROPOSALS))
# Said so where few builds are looked through: SQLite would rather read all that succeeded, by their status.
NOT_SUCCEEDED = tuple(status for status in BuildStatus if status is not BuildStatus.SUCCEEDED)


def enqueue(
    tx: Tx,
    *,
    project_id: int,
    source_id: int,
    key: str,
    url: str,
    ref: str,
    sha: str | None,
    config: BuildConfig,
    trigger: BuildTrigger,
    now: datetime,
    env: Env | None = None,
    credential_id: int | None = None,
    position: int = 0,
    on_branch: bool | None = True,
    message: str = "",
    author: str = "",
) -> int:
    """A queued build. `on_branch` None says that where its commit stands has yet to be found out."""
    row = BuildRow(
        project_id=project_id,
        key=key,
        url=url,
        ref=ref,
        sha=sha,
        credential_id=credential_id,
        config=config,
        env=dict(env or {}),
        status=BuildStatus.QUEUED,
        trigger=trigger_to_json(trigger),
        position=position,
        on_branch=on_branch,
        message=message,
        author=author,
        available_at=now,
        created_at=now,
    )
    tx.add(row)
    tx.flush()
    tx.add(BuildSourceRow(build_id=row.id, source_id=source_id))
    touch(tx, "builds", f"build:{row.id}", QUEUED)
    return row.id


def join_equal(tx: Tx, key: str, project_id: int, source_id: int, position: int) -> Build | None:
    """An open build of the same key in the same project, now also for this source; None if there is none."""
    query = builds_query().where(
        BuildRow.key == key,
        BuildRow.project_id == project_id,
        col(BuildRow.status).in_(OPEN),
        col(BuildRow.cancel_requested_at).is_(None),
    )
    found = tx.exec(query.order_by(col(BuildRow.id).desc()).limit(1)).first()
    if found is None:
        return None
    row, _ = found
    row.position = max(row.position, position)
    if tx.get(BuildSourceRow, (row.id, source_id)) is None:
        tx.add(BuildSourceRow(build_id=row.id, source_id=source_id))
    touch(tx, f"build:{row.id}")
    return value_of(tx, build_value, found)


_Beside = aliased(BuildRow)
_IS_BEING_FETCHED = (
    select(_Beside.id)
    .where(_Beside.status == BuildStatus.RUNNING, _Beside.url == BuildRow.url, col(_Beside.fetching))
    .correlate(BuildRow)
    .exists()
)
_FETCHED_OF_PROJECT = (
    select(func.count())
    .select_from(_Beside)
    .where(_Beside.status == BuildStatus.RUNNING, _Beside.project_id == BuildRow.project_id)
    .where(_Beside.owner == ME, col(_Beside.fetching))
    .correlate(BuildRow)
    .scalar_subquery()
)
_IS_ONE_ON_TRIAL = (
    select(_Beside.id)
    .where(_Beside.status == BuildStatus.RUNNING, _Beside.deaths >= SUSPECTED_AFTER)
    .correlate(BuildRow)
    .exists()
)
_CLAIM = claiming(
    BuildRow,
    ~_IS_BEING_FETCHED,
    bindparam("most_fetching") > _FETCHED_OF_PROJECT,
    or_(col(BuildRow.deaths) < SUSPECTED_AFTER, ~_IS_ONE_ON_TRIAL),
    started_at=NOW,
    fetching=True,
    sentence="",
)


def claim(tx: Tx, owner: str, now: datetime, most_fetching: int = 1000) -> Build | None:
    """queued → running.

    A project has no more at work than it may have. Of a repository one build at a time is fetched, as the next would
    only wait for the same server; and no more than `most_fetching` of one project on this server, so that somebody is
    left for the others. Of builds under suspicion of taking the server down there is one at a time.
    """

    def turn(_project: int, limits: ProjectLimits, at_work: AtWork) -> Turn | None:
        if limits.builds_at_once and at_work.number >= limits.builds_at_once:
            return None
        return Turn(_CLAIM, {"most_fetching": most_fetching})

    claimed = claim_next(tx, BuildRow, turn, owner, now)
    if claimed is None:
        return None
    touch(tx, "builds", f"build:{claimed}", QUEUED)  # there may be more: the next worker looks
    failed = {"status": BuildStatus.FAILED, "reason": BuildReason.ENGINE_FAILED, "sentence": UNREADABLE}
    return next(iter(readable(tx, BuildRow, [claimed], with_id, **failed, finished_at=now)), None)


def due_at(tx: Tx) -> datetime | None:
    return next_due_at(tx, BuildRow)


def taken_over(tx: Tx, owner: str, in_hand: Set[Claim]) -> Sequence[Build]:
    """Running builds that nobody works on, now this server's to put back or give up."""
    taken = take_over(tx, BuildRow, owner, in_hand)
    return readable(tx, BuildRow, taken, with_id, status=BuildStatus.QUEUED)


def hold_back(tx: Tx, sentence: str, build_ids: Sequence[int]) -> None:
    """Say at queued builds why they do not begin; a claim takes the sentence away."""
    told = update(BuildRow).where(col(BuildRow.id).in_(build_ids), col(BuildRow.status) == BuildStatus.QUEUED)
    tx.connection().execute(told.values(sentence=sentence))
    touch(tx, "builds", *(f"build:{build_id}" for build_id in build_ids))


def due_without(tx: Tx, sentence: str, now: datetime) -> Sequence[int]:
    """The queued builds that are due and say something else than this."""
    query = select(BuildRow.id).where(BuildRow.status == BuildStatus.QUEUED, BuildRow.sentence != sentence)
    return tx.exec(query.where(col(BuildRow.available_at) <= now)).all()


def put_back(tx: Tx, build: Build, sentence: str, available_at: datetime) -> Build | None:
    """running → queued: nobody works on it any more."""
    return _queue_again(tx, build, sentence, available_at)


def ask_again(tx: Tx, build: Build, sentence: str, available_at: datetime, now: datetime) -> Build | None:
    """running → queued: this try met an outage."""
    since = build.unanswered_since or now
    return _queue_again(tx, build, sentence, available_at, tries=build.tries + 1, unanswered_since=since)


def _queue_again(tx: Tx, build: Build, sentence: str, available_at: datetime, **counted: Any) -> Build | None:
    touch(tx, QUEUED)
    return _move(
        tx,
        build,
        status=BuildStatus.QUEUED,
        owner=None,
        sentence=sentence,
        available_at=available_at,
        started_at=None,
        steps=None,
        phases=None,
        **counted,
    )


def save_commit(tx: Tx, build: Build, sha: str) -> Build | None:
    """Save which commit the head of its branch was found to be."""
    return _move(tx, build, sha=sha)


def save_plan(
    tx: Tx, build: Build, *, sha: str, plan: PlanDocument | None, dockerfile: str | None
) -> Build | None:
    """Save what the commit is built as; as Git is done with, the next build of the repository may begin."""
    touch(tx, QUEUED)
    return _move(tx, build, sha=sha, plan=plan, dockerfile=dockerfile, fetching=False)


def save_steps(tx: Tx, build: Build, steps: Sequence[BuildStep]) -> Build | None:
    return _move(tx, build, steps=[step_to_json(step) for step in steps])


def save_phases(tx: Tx, build: Build, phases: Sequence[BuildPhase]) -> Build | None:
    return _move(tx, build, phases=[(each.name, each.started, each.duration) for each in phases])


def succeed(
    tx: Tx, build: Build, *, image: str, digest: str, now: datetime, standing: Standing | None = None
) -> Build | None:
    """running → succeeded, with where its commit stands if that was to be found out; a cancel came too late."""
    found = {} if standing is None else {**vars(standing), "contained_in": list(standing.contained_in)}
    return _end(tx, build, BuildStatus.SUCCEEDED, now, image=image, digest=digest, sentence="", **found)


def fail(tx: Tx, build: Build, reason: BuildReason, sentence: str, now: datetime) -> Build | None:
    """running → failed."""
    return _end(tx, build, BuildStatus.FAILED, now, reason=reason, sentence=sentence)


def end_cancelled(tx: Tx, build: Build, now: datetime) -> Build | None:
    """running → cancelled, with the sentence of whoever asked for that: its worker has stopped."""
    asked = func.coalesce(func.nullif(BuildRow.sentence, ""), "Cancelled.")
    return _end(tx, build, BuildStatus.CANCELLED, now, reason=BuildReason.CANCELLED, sentence=asked)


def _end(tx: Tx, build: Build, status: BuildStatus, now: datetime, **values: Any) -> Build | None:
    touch(tx, ENDING, QUEUED)  # it may have held back another one of its repository
    return _move(tx, build, status=status, finished_at=now, owner=None, **values)


def _move(tx: Tx, build: Build, **values: Any) -> Build | None:
    """Change a running build that is still this claim's: as it is now, or None if it is somebody else's."""
    touch(tx, "builds", f"build:{build.id}")
    row = move(tx, BuildRow, build.id, *is_held(BuildRow, build.token), **values)
    return None if row is None else build_value(row, build.project)


def cancel(tx: Tx, build: Build, reason: BuildReason, sentence: str, now: datetime) -> Build | None:
    """Ask for a build's end: queued → cancelled at once; running is told, and ends as its worker stops.

    Returns the build as it is now, or None if it was over already.
    """
    touch(tx, "builds", f"build:{build.id}", ENDING)
    is_queued = col(BuildRow.status) == BuildStatus.QUEUED
    cancelled = {"status": BuildStatus.CANCELLED, "reason": reason, "sentence": sentence, "finished_at": now}
    row = move(tx, BuildRow, build.id, is_queued, **cancelled)
    if row is None:
        is_running = col(BuildRow.status) == BuildStatus.RUNNING
        row = move(tx, BuildRow, build.id, is_running, cancel_requested_at=now, sentence=sentence)
    return None if row is None else build_value(row, build.project)


def cancel_is_requested(tx: Tx, build_id: int) -> bool:
    query = select(BuildRow.cancel_requested_at).where(BuildRow.id == build_id)
    return tx.exec(query).first() is not None


def no_longer_wanted(tx: Tx, source_id: int, ref: str, before: int) -> Sequence[int]:
    """Ids of this source's queued builds of pushes of a branch before a position that none of their sources wants.

    A source stops wanting a build when it keeps only the latest in flight and was given one of a newer push.
    """
    shared, source = aliased(BuildSourceRow), aliased(SourceRow)
    of_newer, newer = aliased(BuildSourceRow), aliased(BuildRow)
    has_newer = (
        select(newer.id)
        .join(of_newer, col(of_newer.build_id) == col(newer.id))
        .where(of_newer.source_id == shared.source_id, newer.ref == BuildRow.ref)
        .where(newer.position > BuildRow.position, newer.status != BuildStatus.CANCELLED)
        .correlate(shared, BuildRow)
        .exists()
    )
    still_wanted = (
        select(shared.build_id)
        .join(source, col(source.id) == col(shared.source_id))
        .where(shared.build_id == BuildRow.id, shared.source_id != source_id)
        .where((col(source.builds_in_flight) != BuildsInFlight.LATEST) | ~has_newer)
        .correlate(BuildRow)
        .exists()
    )
    query = (
        select(BuildRow.id)
        .join(BuildSourceRow, col(BuildSourceRow.build_id) == col(BuildRow.id))
        .where(BuildSourceRow.source_id == source_id, BuildRow.ref == ref, BuildRow.position < before)
        .where(BuildRow.status == BuildStatus.QUEUED, ~still_wanted, col(BuildRow.rebuild_of).is_(None))
    )
    return tx.exec(query).all()


def sources_of(tx: Tx, build_id: int) -> Sequence[int]:
    query = select(BuildSourceRow.source_id).where(BuildSourceRow.build_id == build_id)
    return tx.exec(query.order_by(col(BuildSourceRow.source_id))).all()


def made_for(tx: Tx, build_ids: Sequence[int]) -> dict[int, list[tuple[str | None, str | None]]]:
    """Return for each build the build service (if it is one) and the job of every source it was made for, by name."""
    query = (
        select(BuildSourceRow.build_id, SourceRow.name, JobRow.name)
        .join(SourceRow, col(SourceRow.id) == col(BuildSourceRow.source_id))
        .outerjoin(JobRow, col(JobRow.source_id) == col(SourceRow.id))
        .where(col(BuildSourceRow.build_id).in_(build_ids))
        .order_by(col(SourceRow.id), col(JobRow.id))
    )
    found: dict[int, list[tuple[str | None, str | None]]] = {build_id: [] for build_id in build_ids}
    for build_id, service, job in tx.exec(query):
        found[build_id].append((service, job))
    return found


def newest_of_commit(tx: Tx, source_id: int, sha: str) -> Build | None:
    """The newest build of a source that succeeded for a commit, which may be abbreviated; none of a proposal."""
    query = (
        builds_query()
        .join(BuildSourceRow, col(BuildSourceRow.build_id) == col(BuildRow.id))
        .where(BuildSourceRow.source_id == source_id, BuildRow.status == BuildStatus.SUCCEEDED)
        .where(col(BuildRow.sha).startswith(sha, autoescape=True), ~_IS_PROPOSAL)
        .order_by(col(BuildRow.id).desc())
        .limit(1)
    )
    found = tx.exec(query).first()
    return None if found is None else value_of(tx, build_value, found)


def since(tx: Tx, source_id: int, ref: str, sha: str, position: int) -> int | None:
    """The newest build of a commit, or of the branch's head, that has an image or is under way, if it is of a place on
    the branch or later."""
    is_open = col(BuildRow.status).in_(OPEN)
    is_queued = col(BuildRow.status) == BuildStatus.QUEUED  # one that runs may have asked for the head before
    is_of_head = and_(is_queued, col(BuildRow.sha).is_(None), col(BuildRow.ref) == ref)
    query = (
        select(BuildRow.id)
        .join(BuildSourceRow, col(BuildSourceRow.build_id) == col(BuildRow.id))
        .where(BuildSourceRow.source_id == source_id, BuildRow.position >= position)
        .where(or_(col(BuildRow.sha) == sha, is_of_head))
        .where(or_(is_open, col(BuildRow.status) == BuildStatus.SUCCEEDED))
        .where(col(BuildRow.rebuild_of).is_(None))
    )
    return tx.exec(query.order_by(col(BuildRow.id).desc()).limit(1)).first()


def is_of_commit(tx: Tx, source_id: int, ref: str, sha: str) -> bool:
    """Return whether a source has a build of a commit by that ref, unless it was cancelled."""
    query = (
        select(BuildRow.id)
        .join(BuildSourceRow, col(BuildSourceRow.build_id) == col(BuildRow.id))
        .where(BuildSourceRow.source_id == source_id, BuildRow.ref == ref, BuildRow.sha == sha)
        .where(col(BuildRow.status) != BuildStatus.CANCELLED)
    )
    return tx.exec(query.limit(1)).first() is not None


def latest_succeeded(tx: Tx, source_id: int, ref: str) -> Build | None:
    """The build of the newest commit of a branch that has an image."""
    query = (
        builds_query()
        .join(BuildSourceRow, col(BuildSourceRow.build_id) == col(BuildRow.id))
        .where(BuildSourceRow.source_id == source_id, BuildRow.ref == ref)
        .where(col(BuildRow.status).not_in(NOT_SUCCEEDED), col(BuildRow.on_branch).is_(True))
        .order_by(col(BuildRow.position).desc(), col(BuildRow.id).desc())
    )
    found = tx.exec(query.limit(1)).first()
    return None if found is None else value_of(tx, build_value, found)


def with_id(tx: Tx, build_id: int) -> Build:
    found = tx.exec(
        builds_query().where(BuildRow.id == build_id).execution_options(populate_existing=True)
    ).first()
    if found is None:
        raise NotFound(f"There is no build {build_id}.")
    return value_of(tx, build_value, found)


def with_ids(tx: Tx, build_ids: Sequence[int]) -> dict[int, Build]:
    """Return those of the builds that can be read, by their ids."""
    found = tx.exec(builds_query().where(col(BuildRow.id).in_(build_ids)))
    return {build.id: build for build in values_of(tx, build_value, found)}


def sentences_of(tx: Tx, build_ids: Sequence[int]) -> dict[int, str]:
    """What is said of each of these builds, by its id."""
    found = select(BuildRow.id, BuildRow.sentence).where(col(BuildRow.id).in_(build_ids))
    return dict(tx.exec(found).all())


def page(
    tx: Tx,
    *,
    limit: int,
    before: int | None = None,
    source_id: int | None = None,
    project_id: int | None = None,
    statuses: Sequence[BuildStatus] = (),
    ref: str | None = None,
) -> Sequence[Build]:
    """Builds that match everything given, newest first."""
    query, ids = builds_query(), col(BuildRow.id)
    if source_id is not None:
        ids = col(BuildSourceRow.build_id)  # the same, in an index that leads to the newest ones at once
        query = query.join(BuildSourceRow, ids == col(BuildRow.id))
        query = query.where(BuildSourceRow.source_id == source_id)
    if project_id is not None:
        query = query.where(BuildRow.project_id == project_id)
    if statuses:
        query = query.where(col(BuildRow.status).in_(list(statuses)))
    if ref is not None:
        query = query.where(BuildRow.ref == ref)
    return newest(tx, by_id(query, ids), build_value, limit, before)


def project_of(tx: Tx, build_id: int) -> int | None:
    return tx.exec(select(BuildRow.project_id).where(BuildRow.id == build_id)).first()
