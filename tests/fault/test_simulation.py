"""Servers on one engine through many histories of faults, each told by its seed: `tests/support/simulation`.

A history that fails is told by its seed, and comes again with it:

    JOBYARD_SEED=4711 pytest tests/fault/test_simulation.py

JOBYARD_HISTORIES says how many there are: 800 if it does not, which take two cores about two minutes. `.ci/run` has
20,000.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict

import pytest

from tests.support.simulation import hub, world
from tests.support.simulation.checks import check
from tests.support.simulation.history import History

AT_ONCE = 400  # histories of one test, so that workers share them
EVERY_END = {
    ("succeeded", None),
    ("failed", "exit_nonzero"),
    ("failed", "time_limit"),
    ("failed", "engine_failed"),
    ("cancelled", "cancelled"),
    ("cancelled", "replaced"),
}
COUNT = int(os.environ.get("JOBYARD_HISTORIES", "800"))
GIVEN = os.environ.get("JOBYARD_SEED")
STARTS = range(0, COUNT, AT_ONCE) if GIVEN is None else [int(GIVEN)]


@pytest.fixture(autouse=True, scope="module")
def no_threads() -> Iterator[None]:
    with hub.patched(), world.patched():
        yield


@pytest.fixture
def faults_of_ours(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """What loops log when they meet what nobody expects."""
    caplog.set_level(logging.ERROR)
    return caplog.records


def live_through(seed: int, faults_of_ours: list[logging.LogRecord]) -> History:
    history = History(seed)
    try:
        history.run()
        check(history)
        assert not [each for each in faults_of_ours if each.exc_info], "a fault of ours was logged"
    except BaseException as error:
        error.add_note(f"SEED={seed}")
        raise
    return history


@pytest.mark.timeout(900)
@pytest.mark.parametrize("start", STARTS)
def test_whatever_happens_nothing_is_lost_doubled_or_untrue(
    start: int, faults_of_ours: list[logging.LogRecord]
) -> None:
    happened: Counter[str] = Counter()
    ends: set[tuple[str, str | None]] = set()
    for seed in range(start, start + (AT_ONCE if GIVEN is None else 1)):
        history = live_through(seed, faults_of_ours)
        happened.update(asdict(history.facts))
        for place in history.places:
            ends |= {(each["status"], each["reason"]) for each in place.stored.rows("attempt")}
    if GIVEN is None:
        assert [fact for fact, count in happened.items() if not count] == [], "it never happened"
        assert ends >= EVERY_END, f"never: {EVERY_END - ends}"
