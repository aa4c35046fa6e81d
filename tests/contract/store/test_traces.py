"""What is over and waits to be told as spans, on either database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from app.domain.traces import Traced
from app.store import traces
from app.store.database import Database
from tests.support.waiting import together

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)


@pytest.fixture
def traced(make: Callable[..., str]) -> Iterator[Database]:
    db = Database(make(), is_traced=True)
    yield db
    db.close()


def note(db: Database, *row_ids: int) -> None:
    with db.write() as tx:
        for row_id in row_ids:
            traces.note(tx, Traced.RUN, row_id, NOW)


def claim(db: Database, now: datetime = NOW, limit: int = 10) -> list[int]:
    """The rows that were due."""
    with db.write() as tx:
        return [row_id for _, _, row_id in traces.claim(tx, now, now + timedelta(minutes=1), limit)]


def test_nothing_is_noted_where_nobody_is_told(db: Database) -> None:
    note(db, 1)
    with db.read() as tx:
        assert traces.due_at(tx) is None


def test_each_is_told_by_one_server_and_by_another_when_that_has_died(traced: Database) -> None:
    note(traced, *range(1, 9))
    taken = together(4, lambda _: claim(traced, limit=2))
    assert sorted(row_id for each in taken for row_id in each) == list(range(1, 9))
    assert claim(traced) == []
    with traced.read() as tx:
        assert traces.due_at(tx) == LATER
    assert claim(traced, LATER) == list(range(1, 9))


def test_what_is_told_is_gone(traced: Database) -> None:
    note(traced, 1, 2)
    with traced.write() as tx:
        [(first, kind, row_id)] = traces.claim(tx, NOW, LATER, 1)
        traces.drop(tx, [first])
    assert (kind, row_id) == (Traced.RUN, 1)
    assert claim(traced, LATER) == [2]


def test_of_what_nobody_takes_the_oldest_is_dropped(
    traced: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traces, "MOST", 3)
    note(traced, *range(1, 6))
    with traced.write() as tx:
        ids = [id_ for id_, _, _ in traces.claim(tx, NOW, LATER, 5)]
        assert traces.put_off(tx, ids, NOW) == 2
    assert claim(traced) == [3, 4, 5]


def test_what_is_gone_belongs_to_nothing(traced: Database) -> None:
    with traced.read() as tx:
        above = [traces.above(tx, span) for span in ("build/9", "decision/9", "run/9", "delivery/a")]
        assert above == [None] * 4
        assert traces.above(tx, "delivery/a~2") == "delivery/a"
