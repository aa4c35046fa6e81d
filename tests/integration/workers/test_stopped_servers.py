"""A server that is stopped for longer than another waits for it, and wakes in the middle of what it did."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from app.domain.runs import RunStatus
from app.store.claims import DEAD_AFTER
from tests.support.fakes import commit
from tests.support.installation import Installation

A, B = (commit(letter) for letter in "ab")


class Stopping:
    """An engine whose user is stopped just before a start, once; `meanwhile` is what others do until it wakes."""

    def __init__(self, engine: Any, meanwhile: Callable[[], None]) -> None:
        self._engine, self._meanwhile = engine, [meanwhile]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def start(self, *args: Any, **kwargs: Any) -> Any:
        if self._meanwhile:
            self._meanwhile.pop()()
        return self._engine.start(*args, **kwargs)


def test_what_another_has_run_meanwhile_is_not_run_again(place: Installation) -> None:
    place.job()
    one, two = place.server("one", alone=False), place.server("two", alone=False)
    two.reconciler.register()
    one.reconcile()
    place.push(A, B)
    one.intake.step()
    one.builder.step()

    def two_takes_over() -> None:
        place.clock.advance(DEAD_AFTER.total_seconds() + 1)
        two.work()
        [run] = place.runs()
        assert run.status is RunStatus.SUCCEEDED

    runner = replace(one.runner, engine=Stopping(place.engine, two_takes_over))
    assert runner.step()
    assert list(place.world.starts.values()) == [1]
    [run] = place.runs()
    assert run.status is RunStatus.SUCCEEDED
