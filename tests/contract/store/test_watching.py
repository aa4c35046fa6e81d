"""Whether anybody has committed, seen without reading a table: on this a server relies for what no signal tells."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest

from app.store import facts
from app.store.database import Database


@pytest.fixture
def others(make: Callable[..., str]) -> tuple[Database, Database]:
    """The same database as two processes have it."""
    url = make()
    return Database(url), Database(url)


def test_every_commit_is_seen_once_whoever_made_it(others: tuple[Database, Database]) -> None:
    ours, theirs = others
    assert ours.has_changed()
    assert not ours.has_changed()
    for number, db in enumerate((theirs, ours, theirs)):
        with db.write() as tx:
            facts.write(tx, "color", str(number))
        assert ours.has_changed()
        assert not ours.has_changed()
    for db in others:
        db.close()


def test_what_is_not_committed_is_no_change(others: tuple[Database, Database]) -> None:
    ours, theirs = others
    ours.has_changed()
    with suppress(InterruptedError), theirs.write() as tx:
        facts.write(tx, "color", "red")
        raise InterruptedError
    with theirs.read() as tx:
        assert facts.read(tx, "color") is None
    ours.has_changed()
    assert not ours.has_changed()
    for db in others:
        db.close()


def test_one_that_was_begun_before_a_look_and_ends_after_it_is_seen(
    others: tuple[Database, Database],
) -> None:
    ours, theirs = others
    with theirs.write() as tx:
        facts.write(tx, "color", "red")
        tx.flush()
        ours.has_changed()
        assert not ours.has_changed()
    assert ours.has_changed()
    for db in others:
        db.close()
