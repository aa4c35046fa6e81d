"""Refusals in the audit log: so many of a network and minute, and one entry for the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from app.commands.refusals import ELSEWHERE, OF_A_NETWORK, OF_ALL, REST, Refusals
from app.domain.audit import NOBODY, Action, Entry, Outcome, Subject
from app.store import audit
from app.store.audit import Wanted
from app.web.server_context import ServerContext
from tests.support.clock import START


def refusal(address: str, seconds: int = 0) -> Entry:
    at = START + timedelta(seconds=seconds)
    return Entry(at, replace(NOBODY, address=address), Action.SIGN_IN_FAILED, Subject("user"), detail="No.")


def stored(context: ServerContext) -> Sequence[Entry]:
    with context.db.read() as tx:
        return list(reversed(audit.page(tx, Wanted(), 1000)))


def test_the_rest_of_a_minute_is_one_entry(context: ServerContext) -> None:
    refusals = Refusals()
    for number in range(50):
        refusals.add(context.db, refusal(f"203.0.113.{number}"))
    assert [each.times for each in stored(context)] == [1] * OF_A_NETWORK
    refusals.flush(context.db, START)
    refusals.flush(context.db, START + timedelta(seconds=60))
    refusals.flush(context.db, START + timedelta(seconds=120))
    *first, rest = stored(context)
    assert len(first) == OF_A_NETWORK
    assert (rest.times, rest.detail, rest.outcome) == (50 - OF_A_NETWORK, REST, Outcome.REFUSED)
    assert REST == "Of the refusals from there within a minute, those that have no entry of their own."


def test_the_next_refusal_brings_the_rest_of_those_before(context: ServerContext) -> None:
    refusals = Refusals()
    for _ in range(9):
        refusals.add(context.db, refusal("203.0.113.1"))
    refusals.add(context.db, refusal("198.51.100.1", seconds=60))
    assert [each.times for each in stored(context)] == [1] * OF_A_NETWORK + [4, 1]


def test_a_minute_of_many_networks_is_bounded_too(context: ServerContext) -> None:
    refusals = Refusals()
    for number in range(3 * OF_ALL):
        refusals.add(context.db, refusal(f"10.{number // 200}.{number % 200}.1"))
    assert len(stored(context)) == OF_ALL
    refusals.flush(context.db, START + timedelta(seconds=60))
    assert sum(each.times for each in stored(context)) == 3 * OF_ALL
    assert stored(context)[-1].actor.address == ELSEWHERE
