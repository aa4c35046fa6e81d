"""Deliveries in the store, on SQLite and PostgreSQL: recorded once, taken in order, settled once."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from app.domain.errors import NotFound
from app.domain.job.records import Job
from app.store import builds, crashes, deliveries, runs
from app.store.claims import expire_servers, register_server
from app.store.database import Database
from app.store.deliveries import NewDelivery
from app.store.inbox import Inbox
from tests.support.stored import NOW, add_build, add_run
from tests.support.stored_deliveries import claimed, delivery


def test_a_delivery_is_recorded_once(db: Database) -> None:
    batch = [delivery("a", b"first"), delivery("b"), delivery("a", b"again")]
    assert deliveries.record(db, batch) == {("github", "a"), ("github", "b")}
    assert deliveries.record(db, [delivery("b"), delivery("c")]) == {("github", "c")}
    assert deliveries.record(db, [delivery("c")]) == set()
    with db.read() as tx:
        assert [each.guid for each in deliveries.page(tx, 10)] == ["c", "b", "a"]
        assert deliveries.find(tx, "a").body == b"first"
        with pytest.raises(NotFound):
            deliveries.find(tx, "x")


def test_many_at_once_are_each_recorded_once_and_answered(db: Database) -> None:
    inbox = Inbox(db)
    guids = [str(number % 40) for number in range(400)]
    with ThreadPoolExecutor(16) as pool:
        new = list(pool.map(lambda guid: (guid, inbox.put_and_wait(delivery(guid))), guids))
    inbox.close()
    assert Counter(guid for guid, is_new in new if is_new) == Counter({str(n): 1 for n in range(40)})
    with db.read() as tx:
        assert len(deliveries.page(tx, 1000)) == 40


def test_a_broken_delivery_does_not_take_others_with_it(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that the database refuses is answered with its error; what arrived beside it is stored."""
    inbox = Inbox(db)
    answers: dict[str, bool | Exception] = {}
    done = threading.Semaphore(0)
    bad = NewDelivery("github", "bad", "push", False, (), None, "", NOW)  # type: ignore[arg-type]

    def put(each: NewDelivery) -> None:
        def answer(result: bool | Exception) -> None:
            answers[each.guid] = result
            done.release()

        inbox.put(each, answer)

    with db.write():  # holds the turn, where there is one, until all of them wait
        for each in (delivery("a"), bad, delivery("b")):
            put(each)
    for _ in range(3):
        assert done.acquire(timeout=10)
    inbox.close()
    assert (answers["a"], answers["b"]) == (True, True)
    assert isinstance(answers["bad"], Exception)


def test_an_answer_that_fails_does_not_stop_the_inbox(db: Database) -> None:
    def answer(_: object) -> None:
        raise RuntimeError("the caller is gone")

    inbox = Inbox(db)
    inbox.put(delivery("a"), answer)
    assert inbox.put_and_wait(delivery("b")) is True
    inbox.close()


def test_deliveries_of_a_lane_are_taken_in_order_and_settled_once(db: Database) -> None:
    deliveries.record(db, [delivery("a"), delivery("b"), delivery("other", lane="2:else")])
    with db.write() as tx:
        first = claimed(tx)
        assert first is not None
        deliveries.try_later(tx, first, "Git is down.", NOW + timedelta(seconds=5))
    with db.write() as tx:
        other = claimed(tx)
        assert other is not None
        assert (first.guid, other.guid) == ("a", "other")
        assert deliveries.settle(tx, other.id, "processed", "Done.", NOW)
    with db.write() as tx:
        assert not deliveries.settle(tx, other.id, "failed", "Never.", NOW)
        deliveries.try_later(tx, other, "Never.", NOW)
        assert not deliveries.is_held(tx, other)
        assert claimed(tx) is None  # b waits for a, which waits for its time
        again = claimed(tx, NOW + timedelta(seconds=5))
        assert again is not None
        assert (again.guid, again.tries) == ("a", 2)
        assert claimed(tx, NOW + timedelta(seconds=5)) is None  # b waits for a, which is at work
        deliveries.settle(tx, again.id, "failed", "Given up.", NOW)
        last = claimed(tx)
        assert last is not None
        assert last.guid == "b"


def test_a_claim_holds_until_the_delivery_is_let_go(db: Database) -> None:
    deliveries.record(db, [delivery("a")])
    with db.write() as tx:
        first = claimed(tx)
        assert first is not None
        assert deliveries.claim(tx, first.id, "two") is None
        deliveries.hand_to_git(tx, first)
        assert not deliveries.is_held(tx, first)
        assert claimed(tx) is None
        asking = claimed(tx, owner="two", asks_git=True)
        assert asking is not None
        assert (asking.tries, asking.asks_git, deliveries.is_held(tx, first)) == (1, True, False)
        assert deliveries.lanes_of(tx, "two") == [asking.lane]
        deliveries.release(tx, "two", {(asking.id, asking.token)})
        assert deliveries.is_held(tx, asking)
        deliveries.release(tx, "two")
        assert not deliveries.is_held(tx, asking)
        assert deliveries.find(tx, "a").tries == 0


def test_what_a_dead_server_had_in_hand_is_counted_once_and_waits_again(db: Database, job: Job) -> None:
    deliveries.record(db, [delivery("a")])
    add_build(db, job)
    add_run(db, job)
    for count in (1, 2, 3):
        with db.write() as tx:
            register_server(tx, "alive", "here", 1, NOW)
            first = claimed(tx, owner="alive")
            assert first is not None
            build = builds.claim(tx, "alive", NOW)
            assert build is not None
            assert count > 1 or runs.claim(tx, "alive", NOW) is not None
            assert not crashes.count(tx, "other")
            assert deliveries.is_held(tx, first)
            expire_servers(tx, NOW + timedelta(hours=1), alone=True, me="other")
            assert crashes.count(tx, "other")
            assert not crashes.count(tx, "other")
            assert not deliveries.is_held(tx, first)
            assert deliveries.find(tx, "a").tries == 0
            assert [each.crashes for each in builds.taken_over(tx, "other", frozenset())] == [count]
            assert builds.put_back(tx, builds.with_id(tx, build.id), "Again.", NOW)
            assert [each.crashes for each in runs.page(tx, limit=9)] == [1]
    with db.write() as tx:
        crashes.hold_back(tx, NOW)
        assert claimed(tx) is None
        assert builds.claim(tx, "other", NOW) is None
        assert builds.claim(tx, "other", NOW + timedelta(minutes=1)) is not None
        assert crashes.next_suspect(tx, timedelta(hours=1)) is None
        crashes.let_go(tx, "other")
        assert not crashes.count(tx, "yet another")


def test_a_replay_is_an_event_of_its_own(db: Database) -> None:
    deliveries.record(db, [delivery("a")])
    with db.write() as tx:
        found = claimed(tx)
        assert found is not None
        deliveries.settle(tx, found.id, "failed", "Broken.", NOW)
        deliveries.reopen(tx, found.id)
        again = claimed(tx)
    assert again is not None
    assert (found.event_id, again.event_id, again.tries) == ("a", "a~1", 1)
