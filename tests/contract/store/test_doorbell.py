"""Servers of one PostgreSQL tell one another at once what changed, and go on without that where it fails."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.runtime.doorbell import MOST_TOPICS, Doorbell
from app.runtime.signals import UNTOLD, Signals
from app.store.database import Database, StoreUnavailable
from tests.support.databases import Postgres


class Server:
    """What one server hears, and its doorbell."""

    def __init__(self, url: str, name: str) -> None:
        self.signals, self.heard = Signals(), set[str]()
        self.db = Database(url, self.signals.publish)
        self.bell = Doorbell(self.db, self.signals, name)
        self._listening = self.signals.listening(self.heard.update)
        self._listening.__enter__()

    def close(self) -> None:
        self.bell.close()
        self.db.close()


@pytest.fixture
def two(postgres: Postgres) -> Iterator[tuple[Server, Server]]:
    url = postgres.create("migrated")
    servers = Server(url, "one"), Server(url, "two")
    for each in servers:
        each.bell.listen()
        each.heard.clear()
    yield servers
    for each in servers:
        each.close()


def test_what_changes_on_one_is_heard_on_the_other_and_told_once(two: tuple[Server, Server]) -> None:
    one, other = two
    one.signals.publish(frozenset({"runs", "log:run:7"}))
    one.bell.tell()
    other.bell.listen()
    assert other.heard == {"runs", "log:run:7"}
    one.heard.clear()
    other.bell.tell()
    one.bell.listen()
    assert one.heard == set(), "its own word, and what it had told the other, don't come back"


def test_however_much_there_is_to_tell_it_is_told(two: tuple[Server, Server]) -> None:
    one, other = two
    topics = {f"log:run:{number}" for number in range(10**9, 10**9 + 3 * MOST_TOPICS)}
    one.signals.publish(frozenset(topics))
    one.bell.tell()
    while other.heard != topics:
        before = set(other.heard)
        other.bell.listen()
        assert other.heard > before


def test_one_that_loses_its_connection_connects_anew_and_says_that_it_may_have_missed_something(
    two: tuple[Server, Server],
) -> None:
    one, other = two
    with one.db.write() as tx:
        tx.connection().exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    with pytest.raises(StoreUnavailable, match="The database did not answer"):
        other.bell.listen()
    other.bell.listen()
    assert other.heard == {UNTOLD}
    one.signals.publish(frozenset({"builds"}))
    one.bell.tell()
    other.bell.listen()
    assert "builds" in other.heard
