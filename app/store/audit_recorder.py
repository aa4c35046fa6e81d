"""What one request, or one command, leaves in the audit log: an entry, in the transaction that changes something.

The recorder is bound around a request (`recorded_by`); whatever the request then calls, its first transaction that
changes a row commits together with the entry, or not at all. A transaction that changes no row leaves none.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import event
from sqlmodel import SQLModel

from app.domain.audit import Action, Actor, Entry, Kind, Subject, actor_of, bounded, changes_between
from app.domain.documents import Json
from app.domain.principals import Principal
from app.store import audit
from app.store.audit_changes import changes_of, type_of
from app.store.database import Database, Tx, recorded_by, recorder
from app.store.schema import LoginRow, ProjectRow, UserRow

TOLD_BESIDE = {"grant"}  # what is told of when it is made or removed together with something else


@dataclass
class AuditRecorder:
    """`now` is when the request was let in. `path_id` is the number in its path, of what is changed by it."""

    action: Action
    actor: Actor
    now: datetime
    request_id: str = ""
    path_id: int | None = None
    is_written: bool = False
    _found: dict[str, Subject] = field(default_factory=dict)  # by type: what the request named
    _made: dict[str, SQLModel] = field(default_factory=dict)
    _rows: dict[str, SQLModel] = field(default_factory=dict)  # what was changed or removed
    _changes: Json = field(default_factory=dict)
    _has_changed: bool = False
    _login: LoginRow | None = None
    _tx: Tx | None = None

    def begin(self, tx: Tx) -> None:
        if self.is_written:
            return
        self._tx, self._has_changed, self._login = tx, False, None
        self._made, self._rows, self._changes = {}, {}, {}
        event.listen(tx, "after_flush", self._flushed)
        event.listen(tx.connection(), "after_cursor_execute", self._executed)

    def finish(self, tx: Tx) -> None:
        if self.is_written:
            return
        tx.flush()
        event.remove(tx.connection(), "after_cursor_execute", self._executed)
        is_sign_in = self.action is Action.SIGN_IN_DONE
        if self._has_changed and (self._login is not None or not is_sign_in):
            audit.add(tx, self._entry(tx))
        else:
            self._tx = None

    def committed(self) -> None:
        self.is_written = self.is_written or self._tx is not None
        self._tx = None

    @property
    def subject(self) -> Subject:
        """What the request named, as far as it was looked up."""
        type_ = self.action.type
        project = self._found.get("project", Subject("project"))
        named = self._found.get(type_, Subject(type_))
        return replace(named, project_id=named.project_id or project.project_id, project=project.name)

    def find(self, subject: Subject) -> None:
        self._found[subject.type] = subject

    def tell(self, changes: Json) -> None:
        """Say what the transaction changes where its rows don't, such as which jobs an app has."""
        self._changes |= changes

    def change(self) -> None:
        """Say that the transaction changes something, though no row."""
        self._has_changed = True

    def _executed(self, *seen: Any) -> None:
        cursor, statement, context = seen[1], seen[2], seen[4]
        if context.isinsert or context.isupdate or context.isdelete:
            self._has_changed |= cursor.rowcount != 0 or "RETURNING" in statement

    def _flushed(self, tx: Tx, _context: object) -> None:
        for row in tx.new:
            if isinstance(row, LoginRow):
                self._login = row
            if type_ := type_of(row):
                self._made.setdefault(type_, row)
                self._note(tx, row, type_, made=True)
        for row in tx.dirty:
            if (type_ := type_of(row)) and tx.is_modified(row):
                self._rows.setdefault(type_, row)
                self._note(tx, row, type_)
        for row in tx.deleted:
            if type_ := type_of(row):
                self._rows[type_] = row
                self._note(tx, row, type_, gone=True)

    def _note(self, tx: Tx, row: SQLModel, type_: str, *, made: bool = False, gone: bool = False) -> None:
        if (made or gone) and type_ != self.action.type and type_ not in TOLD_BESIDE:
            return
        prefix = "" if type_ == self.action.type or type_ == "grant" else f"{type_}."
        for name, change in changes_of(tx, row, made=made, gone=gone).items():
            field_ = f"{prefix}{name}"
            if field_ in self._changes:  # of several rows each is told
                field_ = f"{type_} {getattr(row, 'id', '')}.{name}"
            self._changes[field_] = change

    def _entry(self, tx: Tx) -> Entry:
        actor = self.actor
        user = (
            None
            if self._login is None or self._login.user_id is None
            else tx.get(UserRow, self._login.user_id)
        )
        if actor.kind is Kind.NOBODY and user is not None:
            actor = replace(actor, kind=Kind.USER, id=user.id, name=user.name)
        return Entry(
            at=self.now,
            actor=actor,
            action=self.action,
            subject=self._subject(tx, actor),
            changes=bounded(self._changes),
            request_id=self.request_id,
        )

    def _subject(self, tx: Tx, actor: Actor) -> Subject:
        type_ = self.action.type
        row = self._made.get(type_) or (None if type_ in self._found else self._rows.get(type_))
        if row is not None:
            subject = _subject_of(type_, row)
        elif type_ in self._found:
            subject = self._found[type_]
        elif type_ == "user":
            subject = _user(tx, self.path_id or actor.id)
        else:
            subject = Subject(type_)
        if subject.project_id is None and type_ not in ("user", "project", "token"):
            of = next((each.project_id for each in self._found.values() if each.project_id), None)
            subject = replace(subject, project_id=of)
        if subject.project_id is not None and not subject.project:
            project = tx.get(ProjectRow, subject.project_id)
            subject = replace(subject, project="" if project is None else project.name)
        return subject


def _user(tx: Tx, user_id: int | None) -> Subject:
    row = None if user_id is None else tx.get(UserRow, user_id)
    return Subject("user", user_id) if row is None else _subject_of("user", row)


def _subject_of(type_: str, row: SQLModel) -> Subject:
    id_, name = getattr(row, "id", None), getattr(row, "name", None)
    is_project = isinstance(row, ProjectRow)
    return Subject(
        type_,
        id_,
        name or ("" if id_ is None else str(id_)),
        id_ if is_project else getattr(row, "project_id", None),
        str(name) if is_project else "",
    )


def found(subject: Subject) -> None:
    """Tell the recorder of this request, if there is one, what the request names."""
    bound = recorder()
    if isinstance(bound, AuditRecorder):
        bound.find(subject)


def told(before: Json, after: Json) -> None:
    """Tell the recorder of this request, if there is one, from what to what the transaction changes something."""
    bound = recorder()
    if isinstance(bound, AuditRecorder):
        bound.tell(changes_between(before, after, before, after))


def identified(principal: Principal) -> None:
    """Tell the recorder of this request, if there is one, who it turned out to be from."""
    bound = recorder()
    if isinstance(bound, AuditRecorder):
        bound.actor = actor_of(principal, bound.actor.address)


def note(db: Database) -> None:
    """Leave the entry of this request now: what it does is no change of a row."""
    with db.write():
        bound = recorder()
        if isinstance(bound, AuditRecorder):
            bound.change()


@contextmanager
def as_command(action: Action, actor: Actor, now: datetime) -> Iterator[None]:
    """Leave an entry for what a command on the server's own machine changes in the block."""
    with recorded_by(AuditRecorder(action, actor, now)):
        yield
