"""Which ends of a container are believed, by what the engine remembers of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from app.domain.errors import EngineUnavailable
from app.engines.base import Exit, ExitKind
from app.engines.docker.access import Access
from app.engines.docker.calls import Calls
from app.engines.docker.exit_verification import MEMORY_EVENTS, EventHistory, read_history, verify_exit

TERM, OTHER = frozenset({"15"}), frozenset({"1", "10"})
OK = Exit(ExitKind.EXITED, 0)
NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("history", "believed"),
    [
        (EventHistory(saw_end=True), True),
        (EventHistory(saw_end=True, signals=OTHER), True),
        (EventHistory(saw_end=True, signals=TERM), False),
        (EventHistory(saw_end=True, signals=frozenset({"9"})), False),
        (EventHistory(saw_end=False), True),  # long ago: it may have forgotten
        (EventHistory(saw_end=False, was_restarted=True), False),
        (EventHistory(saw_end=False, was_restarted=True, keeps_running=True), True),
        (EventHistory(saw_end=False, was_restarted=True, keeps_running=True, same_boot=False), False),
    ],
)
def test_what_is_believed(history: EventHistory, believed: bool) -> None:
    end = verify_exit(OK, history)
    assert end.kind is (ExitKind.EXITED if believed else ExitKind.ENGINE_FAILED)
    assert end.exit_code == 0
    assert bool(end.detail) is not believed


@pytest.mark.parametrize("kind", [ExitKind.LOST, ExitKind.ENGINE_FAILED])
def test_only_an_exit_can_be_doubted(kind: ExitKind) -> None:
    assert verify_exit(Exit(kind), EventHistory(saw_end=True, signals=TERM)) == Exit(kind)


class Engine(Calls):
    """One that remembers these events, (what, container), all of them of a time after the end that is asked about."""

    def __init__(self, *events: tuple[str, str], breaks: bool = False, signal: str = "10") -> None:
        super().__init__(Access("unix:///engine.sock"), 1.0)
        self._events = events
        self._breaks = breaks
        self._signal = signal

    def stream(self, *_: object, **__: object) -> Any:
        return self

    def chunks(self, _seconds: float) -> Iterator[bytes]:
        for number, (action, container) in enumerate(self._events):
            actor = {"ID": container, "Attributes": {"signal": self._signal}}
            at = int((NOW + timedelta(seconds=number + 1)).timestamp()) * 10**9
            about = {"Type": "container", "Action": action, "timeNano": at, "Actor": actor}
            yield json.dumps(about).encode() + b"\n"
        if self._breaks:
            raise ConnectionResetError("Response ended prematurely")

    def close(self) -> None:
        pass

    @contextmanager
    def api(self) -> Iterator[Any]:
        yield SimpleNamespace(info=lambda: {"LiveRestoreEnabled": False})


@pytest.mark.parametrize(
    ("events", "believed"),
    [
        ([("start", "x"), ("die", "x")], True),
        ([("start", "x")], True),  # it is late with its note of the end, as a busy one is
        ([("start", "x"), ("kill", "x")], True),
        ([("start", "another")] * (MEMORY_EVENTS - 1), False),
        ([("start", "another")] * MEMORY_EVENTS, True),  # it has forgotten what was before
        ([("start", "another")] * (MEMORY_EVENTS + 3), True),  # and more happens meanwhile
        ([("start", "another")], False),
        ([], False),
    ],
)
def test_an_engine_that_remembers_a_start_was_not_restarted_since(
    events: list[tuple[str, str]], believed: bool
) -> None:
    engine: Any = Engine(*events)
    end = replace(OK, finished_at=NOW)
    history = read_history(engine, "x", end, NOW, same_boot=True)
    assert verify_exit(end, history).kind is (ExitKind.EXITED if believed else ExitKind.ENGINE_FAILED)


def test_an_engine_that_goes_away_while_it_is_asked_does_not_answer() -> None:
    engine: Any = Engine(("start", "x"), breaks=True)
    with pytest.raises(EngineUnavailable):
        read_history(engine, "x", replace(OK, finished_at=NOW), NOW, same_boot=True)


@pytest.mark.parametrize(
    ("events", "exit_code", "believed"),
    [
        ([("start", "x"), ("kill", "x"), ("die", "x")], 143, False),
        ([("start", "x"), ("die", "x"), ("kill", "x")], 143, False),  # noted after it was sent
        ([("start", "x"), ("die", "x"), ("stop", "another"), ("kill", "x")], 137, False),
        ([("start", "x"), ("die", "x"), ("kill", "another")], 143, True),  # it ended itself so
        ([("start", "x"), ("die", "x"), ("kill", "x")], 7, True),  # which came too late
    ],
)
def test_a_signal_may_be_noted_after_the_end_that_it_made(
    events: list[tuple[str, str]], exit_code: int, believed: bool
) -> None:
    engine: Any = Engine(*events, signal="15")
    end = replace(OK, exit_code=exit_code, finished_at=NOW)
    history = read_history(engine, "x", end, NOW, same_boot=True)
    assert verify_exit(end, history).kind is (ExitKind.EXITED if believed else ExitKind.ENGINE_FAILED)
