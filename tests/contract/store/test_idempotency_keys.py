"""First answers to requests with a key: made once, whichever of two comes first, and forgotten after a day."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest

from app.store import idempotency_keys
from app.store.database import Database
from app.store.idempotency_keys import KEPT, KeyedRequest
from tests.support.clock import START

REQUEST = KeyedRequest("ci", "/api/v1/projects/acme/jobs/report/runs", "key-1")


def first(db: Database, answer: str, after: timedelta = timedelta()) -> str:
    """Answer like this if it is the first request of its key, else as that was."""
    with db.write() as tx:
        if idempotency_keys.reserve(tx, REQUEST, "of the body", START + after):
            idempotency_keys.remember(tx, REQUEST, {"run": answer})
        return str(idempotency_keys.remembered(tx, REQUEST).answer["run"])


def test_the_first_answer_is_everybodys_for_a_day(db: Database) -> None:
    with db.read() as tx:
        assert not idempotency_keys.is_remembered(tx, REQUEST)
    assert [first(db, "one"), first(db, "two"), first(db, "three", KEPT / 2)] == ["one", "one", "one"]
    with db.read() as tx:
        assert idempotency_keys.is_remembered(tx, REQUEST)
    assert first(db, "four", KEPT) == "four"


def test_of_two_at_once_one_is_first(db: Database) -> None:
    begin = Barrier(2, timeout=20)

    def ask(answer: str) -> str:
        begin.wait()
        return first(db, answer)

    with ThreadPoolExecutor(2) as both:
        given = set(both.map(ask, ["one", "two"]))
    assert len(given) == 1
    assert given < {"one", "two"}


def test_what_fails_reserves_nothing(db: Database) -> None:
    def fail() -> None:
        with db.write() as tx:
            assert idempotency_keys.reserve(tx, REQUEST, "of the body", START)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert first(db, "again") == "again"
