"""The audit log in the store: added to, read, removed when old, and never changed."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy.exc import DatabaseError
from sqlmodel import text

from app.domain.audit import Action, Actor, Entry, Kind, Subject
from app.store import audit, projects
from app.store.audit import Wanted
from app.store.audit_recorder import AuditRecorder
from app.store.database import Database, StoreUnavailable, recorded_by
from tests.support.clock import START

ADA = Actor("ada", Kind.USER, 1, "192.0.2.1")


def entry(days_ago: int = 0, project: int | None = None) -> Entry:
    at = START - timedelta(days=days_ago)
    return Entry(at, ADA, Action.JOB_CHANGE, Subject("job", 7, "report", project, "acme" if project else ""))


def test_what_was_added_is_read(db: Database) -> None:
    with db.write() as tx:
        for each in (entry(2), entry(1, project=3), entry(0, project=4)):
            audit.add(tx, each)
    with db.read() as tx:
        assert [each.at for each in audit.page(tx, Wanted(), 2)] == [START, START - timedelta(days=1)]
        assert [each.subject.project_id for each in audit.page(tx, Wanted(projects={3}), 9)] == [3]
        assert audit.page(tx, Wanted(projects=frozenset()), 9) == []
        assert len(audit.page(tx, Wanted(who="ada", action="job", since=START), 9)) == 1
        assert audit.page(tx, Wanted(action="job_"), 9) == []


def test_no_entry_can_be_changed(db: Database) -> None:
    with db.write() as tx:
        audit.add(tx, entry())
    with pytest.raises((DatabaseError, StoreUnavailable), match="can't be changed"), db.write() as tx:
        tx.connection().execute(text("UPDATE audit SET who = 'somebody else'"))
    with db.read() as tx:
        assert audit.page(tx, Wanted(), 9)[0].actor == ADA


def test_old_entries_are_removed_a_few_at_a_time(db: Database) -> None:
    with db.write() as tx:
        for days in range(5):
            audit.add(tx, entry(days))
    cutoff = START - timedelta(days=1)
    with db.write() as tx:
        assert [audit.remove_before(tx, cutoff, 2) for _ in range(3)] == [2, 1, 0]
        assert [each.at for each in audit.page(tx, Wanted(), 9)] == [cutoff, START]


def lose(db: Database) -> None:
    with db.write() as tx:
        projects.create(tx, "lost", None, START)
        raise ZeroDivisionError


def test_an_entry_is_committed_with_its_change_or_not_at_all(db: Database) -> None:
    recorder = AuditRecorder(Action.PROJECT_MAKE, ADA, START, "mine")
    with recorded_by(recorder):
        with pytest.raises(ZeroDivisionError):
            lose(db)
        with db.write():
            pass
        assert not recorder.is_written
        for name in ("first", "second"):
            with db.write() as tx:
                projects.create(tx, name, None, START)
    with db.read() as tx:
        [found] = audit.page(tx, Wanted(), 9)
    assert (found.subject.name, found.actor, found.request_id) == ("first", ADA, "mine")
