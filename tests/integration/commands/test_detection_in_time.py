"""Git servers that don't answer: who asks what a repository has is told so in time, and few wait at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from app.commands.detection import WAITING_AT_ONCE, Detection
from app.domain.errors import TransientError
from tests.support.seed import World, world
from tests.support.waiting import eventually

URL = "https://git.example.com/acme/report"


class Hanging:
    """Git that answers once it is let."""

    def __init__(self) -> None:
        self.may_answer = threading.Event()
        self.asked = 0

    def branches_of(self, *_: object) -> tuple[str, ...]:
        self.asked += 1
        self.may_answer.wait()
        return ("main",)


@pytest.fixture
def made(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as each:
        yield each


def test_who_asks_is_told_in_time_and_too_many_at_once(made: World) -> None:
    git = Hanging()
    detection = Detection(made.db, cast("Any", git), made.context.vault, seconds=0.01)
    for _ in range(WAITING_AT_ONCE):
        with pytest.raises(TransientError) as late:
            detection.branches(URL, None)
        assert (
            str(late.value) == "Git has not answered within 0.01 s. It goes on beside: try again in a moment."
        )
    with pytest.raises(TransientError) as refused:
        detection.branches(URL, None)
    assert str(refused.value) == "Too many requests wait for Git servers: try again in a moment."
    assert git.asked == WAITING_AT_ONCE
    git.may_answer.set()
    eventually(lambda: answered(detection) == ("main",))


def answered(detection: Detection) -> tuple[str, ...]:
    try:
        return detection.branches(URL, None)
    except TransientError:
        return ()


def test_all_pages_and_calls_of_a_server_share_the_bound(made: World) -> None:
    assert made.context.dry_run.detection.turns is made.context.dry_run.detection.turns
