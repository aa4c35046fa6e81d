"""Statuses of commits at their forges: noted with what decides them, told anew as builds and runs go on, and posted.

A note is one statement in the transaction of a push or of what a person asks for. All else is for a worker: it looks
at what each open status follows, and posts the newest that is to be said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, case, delete, func, literal, literal_column, or_, update
from sqlalchemy.orm import aliased
from sqlmodel import col, select

from app.domain.commit_statuses import Part, Statuses, StatusState, Told, context_of
from app.store.bulk import table_of
from app.store.counts import happened
from app.store.database import Tx, bulk, touch
from app.store.schema import CommitStatusRow as Row
from app.store.schema import ProjectRow, SourceRow, UtcDateTime

TOPIC = "commit_statuses"
NOTED = ("project_id", "job_id", "name", "url", "host", "forge", "sha", "build_id", "decision_id", "noted")
_START = {
    "of_run": False,
    "part": "",
    "context": "",
    "state": "",
    "sentence": "",
    "page": "",
    "version": 0,
    "posted_version": 0,
    "tries": 0,
    "said": "",
    "is_fresh": True,
    "is_open": True,
    "in_hand": False,
    "once_more": False,
    "is_given_up": False,
}
# In the words of the indexes that hold these alone.
_IS_OPEN: ColumnElement[bool] = literal_column("commit_status.is_open")
_IS_GIVEN_UP: ColumnElement[bool] = literal_column("commit_status.is_given_up")
# What says less, that nothing is built, never takes the place of a build: the same commit comes on other branches too.
_OR_ELSE = f"""ON CONFLICT (project_id, sha, name, of_run) DO UPDATE SET
 {", ".join(f"{name} = excluded.{name}" for name in NOTED if name not in ("project_id", "name", "sha"))},
 run_id = NULL, is_fresh = excluded.is_fresh, is_open = excluded.is_open, is_given_up = excluded.is_given_up,
 tries = 0, failing_since = NULL, changed_at = excluded.changed_at
 WHERE excluded.build_id IS NOT NULL OR commit_status.build_id IS NULL
 RETURNING id"""


@dataclass(frozen=True)
class Note:
    """What a commit's status is to follow from now on: a build, or (None) nothing, as `noted` says why."""

    project_id: int
    job_id: int | None
    name: str  # the job's, or that of a build service without jobs
    url: str
    host: str
    forge: str  # that told of the commit; empty if none did
    sha: str
    build_id: int | None
    decision_id: int | None
    noted: str


@dataclass(frozen=True)
class Status:
    """A status as stored. `told` is None until a worker has looked at it; `said` is about its last try."""

    id: int
    project_id: int
    job_id: int | None
    name: str
    part: Part
    url: str
    host: str
    forge: str
    sha: str
    build_id: int | None
    run_id: int | None
    decision_id: int | None
    is_fresh: bool
    is_open: bool
    context: str
    noted: str
    told: Told | None
    version: int
    posted_version: int
    posted_at: datetime | None
    due_at: datetime | None
    tries: int
    failing_since: datetime | None
    is_given_up: bool
    said: str
    posted_as: str | None


def note(tx: Tx, notes: Sequence[Note], now: datetime) -> None:
    """Have the statuses of these commits told from what they follow now, in one statement."""
    if not notes:
        return
    by_key = {(each.project_id, each.sha, each.name): each for each in notes}
    rows = [tuple(getattr(each, name) for name in NOTED) for each in by_key.values()]
    bulk(tx).insert(table_of(Row), NOTED, rows, {**_START, "changed_at": now}, ending=_OR_ELSE)
    touch(tx, TOPIC)


def follow_rerun(tx: Tx, run_id: int, again: int, now: datetime) -> None:
    """Let the status that follows a run follow the one that was started like it, if there is such a status."""
    followed = update(Row).where(col(Row.run_id) == run_id)
    reopened = {"run_id": again, "is_open": True, "is_given_up": False, "tries": 0, "changed_at": now}
    if tx.connection().execute(followed.values(reopened)).rowcount:
        touch(tx, TOPIC)


# what is told


def open_ones(tx: Tx) -> Sequence[Status]:
    """All that may still change, oldest first."""
    return [_value(row) for row in tx.exec(select(Row).where(_IS_OPEN).order_by(col(Row.id)))]


def is_any_open(tx: Tx) -> int | None:
    return tx.exec(select(Row.id).where(_IS_OPEN).limit(1)).first()


def setting_of(tx: Tx, project_id: int) -> Statuses:
    found = tx.exec(select(ProjectRow.commit_statuses).where(ProjectRow.id == project_id)).first()
    return Statuses(found) if found in set(Statuses) else Statuses.ONE


def begin(tx: Tx, status: Status, now: datetime) -> None:
    """Give a fresh status its context and its parts, by its project's setting; nothing is kept where that is off."""
    setting = setting_of(tx, status.project_id)
    if setting is Statuses.OFF:
        tx.connection().execute(delete(Row).where(*_as_seen(status)))
        return
    project = _project_to_name(tx, status)
    is_two = setting is Statuses.TWO
    own = update(Row).where(*_as_seen(status))
    context = context_of(status.name, Part.WHOLE, project)
    part = Part.BUILD if is_two else Part.WHOLE
    if not tx.connection().execute(own.values(is_fresh=False, context=context, part=part)).rowcount:
        return
    of_run = select(Row).where(
        Row.project_id == status.project_id, Row.sha == status.sha, Row.name == status.name, col(Row.of_run)
    )
    beside = tx.exec(of_run).first()
    if beside is None and not is_two:
        return
    beside = beside or Row(
        project_id=status.project_id,
        name=status.name,
        host=status.host,
        sha=status.sha,
        of_run=True,
        part=Part.RUN,
    )
    for field in ("job_id", "url", "host", "forge", "build_id", "decision_id", "noted"):
        setattr(beside, field, getattr(status, field))
    beside.run_id, beside.context = None, context_of(status.name, Part.RUN, project)
    beside.is_fresh, beside.is_open, beside.is_given_up = False, True, False
    beside.tries, beside.failing_since, beside.changed_at = 0, None, now
    tx.add(beside)
    tx.flush()


def _as_seen(status: Status) -> tuple[Any, ...]:
    """The row, while it follows what it followed as it was read."""
    return (
        col(Row.id) == status.id,
        col(Row.is_fresh) == status.is_fresh,
        col(Row.version) == status.version,
        col(Row.build_id).is_not_distinct_from(status.build_id),
        col(Row.run_id).is_not_distinct_from(status.run_id),
    )


def _project_to_name(tx: Tx, status: Status) -> str | None:
    """The project's name where an older one has the repository, which may have a job of the same name."""
    own, other = aliased(SourceRow), aliased(SourceRow)
    shared = (
        select(own.id)
        .join(
            other, and_(col(other.repo_key) == col(own.repo_key), col(other.project_id) < status.project_id)
        )
        .where(own.project_id == status.project_id, own.url == status.url)
        .limit(1)
    )
    if tx.exec(shared).first() is None:
        return None
    return tx.exec(select(ProjectRow.name).where(ProjectRow.id == status.project_id)).one()


def save(tx: Tx, status: Status, told: Told, run_id: int | None, now: datetime) -> None:
    """Store what is to be said now, and that it is to be posted, unless it is already or the status is given up."""
    values: dict[str, Any] = {"run_id": run_id, "is_open": not told.state.is_final}
    if status.told != told:
        said = {"state": told.state, "sentence": told.sentence, "page": told.page}
        values |= {**said, "version": Row.version + 1, "changed_at": now}
    if status.told != told or status.posted_version < status.version:
        is_idle = and_(col(Row.due_at).is_(None), col(Row.is_given_up).is_(False))
        values["due_at"] = case((is_idle, _time(now)), else_=Row.due_at)
    own = update(Row).where(*_as_seen(status))
    if tx.connection().execute(own.values(values)).rowcount:
        touch(tx, TOPIC, *_topics(status.build_id, run_id))


# what is posted


def next_due_at(tx: Tx) -> datetime | None:
    return tx.exec(select(func.min(Row.due_at)).where(col(Row.due_at).is_not(None))).one()


def due_hosts(tx: Tx, now: datetime) -> Sequence[str]:
    return list(dict.fromkeys(tx.exec(select(Row.host).where(col(Row.due_at) <= now))))


def claim(tx: Tx, host: str, now: datetime, until: datetime) -> Status | None:
    """The status of a host that is due longest, which nobody else posts before `until`.

    One that somebody has in hand whose time is over may still be posted by them: it is posted once more afterwards.
    """
    due = select(Row.id, Row.due_at).where(Row.host == host, col(Row.due_at) <= now)
    found = tx.exec(due.order_by(col(Row.due_at), col(Row.id)).limit(1)).first()
    if found is None:
        return None
    row_id, due_at = found
    own = update(Row).where(col(Row.id) == row_id, col(Row.due_at) == due_at)
    taken = {"due_at": until, "tries": Row.tries + 1, "once_more": col(Row.in_hand), "in_hand": True}
    if not tx.connection().execute(own.values(taken)).rowcount:
        return None
    return _value(tx.exec(select(Row).where(Row.id == row_id)).one())


def posted(
    tx: Tx, status: Status, said: str, now: datetime, again_at: datetime, posted_as: str | None = None
) -> None:
    """A claimed status is posted; what has changed since is due at once, and what was once more, at `again_at`."""
    due_at = case(
        (col(Row.version) > status.version, _time(now)), (col(Row.once_more), _time(again_at)), else_=None
    )
    values = {"posted_version": status.version, "posted_at": now, "due_at": due_at, "failing_since": None}
    values["posted_as"] = posted_as
    happened(tx, "commit_status", "posted")
    if not _conclude(tx, status, said=said, tries=0, **values):
        late = {"once_more": True, "due_at": func.coalesce(Row.due_at, _time(now))}
        tx.connection().execute(update(Row).where(col(Row.id) == status.id).values(late))
        touch(tx, TOPIC)


def put_off(tx: Tx, status: Status, said: str, now: datetime, due_at: datetime) -> None:
    """A claimed status was not taken, and is tried again then."""
    if _conclude(tx, status, said=said, due_at=due_at, failing_since=status.failing_since or now):
        happened(tx, "commit_status", "put_off")


def put_off_host(tx: Tx, host: str, until: datetime) -> None:
    """Nothing more is posted there before."""
    waiting = update(Row).where(col(Row.host) == host, col(Row.due_at) < until, ~col(Row.in_hand))
    tx.connection().execute(waiting.values(due_at=until))


def give_up(tx: Tx, status: Status, said: str, now: datetime) -> None:
    """A claimed status is not tried any more, whatever is told next, until somebody builds the commit again."""
    if _conclude(tx, status, said=said, due_at=None, is_given_up=True, changed_at=now):
        happened(tx, "commit_status", "given_up")


def _conclude(tx: Tx, status: Status, **values: Any) -> bool:
    own = update(Row).where(col(Row.id) == status.id, col(Row.due_at) == status.due_at, col(Row.in_hand))
    touch(tx, TOPIC, *_topics(status.build_id, status.run_id))
    return tx.connection().execute(own.values(in_hand=False, **values)).rowcount > 0


def try_again(tx: Tx, project_id: int, now: datetime, since: datetime) -> None:
    """A credential of the project is another: what was given up since then is posted after all."""
    given_up = update(Row).where(_IS_GIVEN_UP, col(Row.project_id) == project_id)
    values = {"is_given_up": False, "due_at": now, "tries": 0, "failing_since": None}
    if tx.connection().execute(given_up.where(col(Row.changed_at) >= since).values(values)).rowcount:
        touch(tx, TOPIC)


def _time(at: datetime) -> Any:
    return literal(at, UtcDateTime())


def _topics(build_id: int | None, run_id: int | None) -> list[str]:
    """The pages that show it."""
    return [f"{kind}:{row_id}" for kind, row_id in (("build", build_id), ("run", run_id)) if row_id]


# what is shown


def about(
    tx: Tx, *, builds: Sequence[int] = (), runs: Sequence[int] = (), decisions: Sequence[int] = ()
) -> Sequence[Status]:
    """The statuses that follow any of these, or were noted with one of these decisions."""
    wanted = [
        column.in_(ids)
        for column, ids in (
            (col(Row.build_id), builds),
            (col(Row.run_id), runs),
            (col(Row.decision_id), decisions),
        )
        if ids
    ]
    if not wanted:
        return []
    return [_value(row) for row in tx.exec(select(Row).where(or_(*wanted)).order_by(col(Row.id)))]


def of_commit(tx: Tx, project_id: int, sha: str) -> Sequence[Status]:
    query = select(Row).where(Row.project_id == project_id, Row.sha == sha)
    return sorted((_value(row) for row in tx.exec(query)), key=lambda status: status.id)


def latest_given_up(tx: Tx) -> Sequence[tuple[str, Status]]:
    """The newest that was given up of each project, with the project's name."""
    newest = select(func.max(Row.id)).where(_IS_GIVEN_UP).group_by(col(Row.project_id))
    query = select(ProjectRow.name, Row).join(ProjectRow, col(ProjectRow.id) == col(Row.project_id))
    found = tx.exec(query.where(col(Row.id).in_(newest)).order_by(col(ProjectRow.name)))
    return [(project, _value(row)) for project, row in found]


def sweep(tx: Tx, before: datetime) -> None:
    """Remove what has not changed since then and is over."""
    old = delete(Row).where(col(Row.changed_at) < before, ~col(Row.is_open), col(Row.due_at).is_(None))
    tx.connection().execute(old)


def _value(row: Row) -> Status:
    told = Told(StatusState(row.state), row.sentence, row.page) if row.state else None
    return Status(
        told=told,
        part=Part(row.part),
        **{name: getattr(row, name) for name in Status.__dataclass_fields__ if name not in ("told", "part")},
    )
