"""The order of a branch's movements, for any order of hearing of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import pytest

from app.domain.pushes import Movement, is_connected, is_repeated, position_of

Step = tuple[str | None, str | None]
LINEAR: list[Step] = [(None, "a"), ("a", "b"), ("b", "c"), ("c", "d"), ("d", "e")]


def hear(history: list[Movement], step: Step, commits: str) -> list[Movement]:
    """The history after a delivery, newest first. Each of `commits` contains those before it."""
    before, after = step
    containing: set[str] = set()
    if after is not None and not is_connected(history, before, after):
        containing = set(commits[commits.index(after) + 1 :])
    position = position_of(history, before, after, containing)
    return sorted([*history, Movement(before, after, position)], key=lambda each: each.position, reverse=True)


def heard(arrivals: Sequence[Step], commits: str = "abcde") -> list[Step]:
    """Oldest first, as placed."""
    history: list[Movement] = []
    for step in arrivals:
        history = hear(history, step, commits)
    assert len({each.position for each in history}) == len(history)
    return [(each.before, each.after) for each in reversed(history)]


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_any_order_of_arrival_gives_the_repositorys_order(count: int) -> None:
    for arrivals in permutations(LINEAR[:count]):
        assert heard(arrivals) == LINEAR[:count], arrivals


def test_at_every_moment_the_newest_known_is_the_newest() -> None:
    for arrivals in permutations(LINEAR):
        for known in range(1, len(LINEAR) + 1):
            newest = max(arrivals[:known], key=LINEAR.index)
            assert heard(arrivals[:known])[-1] == newest


def test_some_deliveries_may_never_come() -> None:
    for arrivals in permutations([LINEAR[0], LINEAR[2], LINEAR[4]]):
        assert heard(arrivals) == [LINEAR[0], LINEAR[2], LINEAR[4]]


def test_a_forced_push_back_is_the_newest() -> None:
    steps: list[Step] = [("a", "b"), ("b", "c"), ("c", "a")]
    assert heard(steps) == steps
    assert heard([*steps, ("a", "d")]) == [*steps, ("a", "d")]


def test_a_branch_that_was_deleted_and_made_again() -> None:
    steps: list[Step] = [(None, "a"), ("a", None), (None, "a"), ("a", "b")]
    assert heard(steps) == steps


def test_where_git_cannot_tell_what_came_last_is_the_newest() -> None:
    history = [Movement("c", "d", 1_000_000)]
    assert position_of(history, "a", "b") > history[0].position


def test_a_movement_told_again_is_known_even_after_newer_ones() -> None:
    history = [Movement("c", "d", 3), Movement("b", "c", 2), Movement("a", "b", 1)]
    for known in history:
        assert is_repeated(history, known.before, known.after)
    assert not is_repeated(history, "d", "e")
    assert not is_repeated([], "a", "b")


def test_the_same_step_made_once_more_is_no_repeat() -> None:
    """Forward, forced back, forward again."""
    history = [Movement("b", "a", 2), Movement("a", "b", 1)]
    assert not is_repeated(history, "a", "b")
    assert not is_repeated([Movement("a", None, 2), Movement(None, "a", 1)], None, "a")
