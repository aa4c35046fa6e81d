"""What a look at a remote says of a branch."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from app.domain.comparing import (
    GRACE,
    Seen,
    Step,
    found_push,
    from_body,
    is_found_before,
    is_taken,
    judge,
    pause_after,
    to_body,
)
from app.domain.pushes import Movement

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
heads = st.sampled_from([None, *"abc"])


def test_a_found_push_that_hooks_told_of_first_is_known() -> None:
    taken = [Movement("b", "c", 3), Movement("a", "b", 2), Movement(None, "a", 1)]
    assert is_taken(taken, "a", "c")
    assert is_taken([Movement("c", "d", 4), *taken], "a", "c")
    assert not is_taken(taken, "c", "a")
    assert not is_taken(taken, "a", "d")


def test_a_hook_that_comes_late_is_known_by_where_it_leads() -> None:
    taken = [Movement("a", "c", 2, is_found=True), Movement(None, "a", 1)]
    assert is_found_before(taken, "b", "c")
    assert is_found_before(taken, "a", "c")
    assert not is_found_before(taken, "a", "b")
    again = [Movement("c", "d", 3), *taken]
    assert is_found_before(again, "b", "c")
    assert not is_found_before(again, "d", "c")  # forced back, of which a hook tells


@given(st.lists(heads, min_size=1, max_size=8))
def test_every_head_that_stays_is_found_once_and_each_step_begins_where_the_last_one_ended(
    seen_at: list[str | None],
) -> None:
    seen, _ = judge(None, None, seen_at[0], NOW)
    at, known, steps = NOW, seen_at[0], []
    for head in seen_at:
        for _ in range(3):
            at += GRACE
            seen, step = judge(seen, None, head, at)
            if step is not None:
                assert step == Step(known, head)
                known = step.after
                steps.append(head)
        assert seen == Seen(head)
    changes = [head for former, head in itertools.pairwise(seen_at) if former != head]
    assert steps == changes


def test_a_hook_that_comes_in_time_leaves_nothing_to_find() -> None:
    seen, step = judge(Seen("a", 1), Movement(None, "a", 1), "b", NOW)
    assert seen == Seen("a", 1, "b", NOW)
    assert step is None
    assert judge(seen, Movement("a", "b", 2), "b", NOW + GRACE) == (Seen("b", 2), None)


def test_a_clock_that_was_set_back_begins_the_wait_anew() -> None:
    later = NOW + timedelta(hours=1)
    seen = Seen("a", 0, "b", later)
    assert judge(seen, None, "b", NOW) == (Seen("a", 0, "b", NOW), None)


def test_a_look_that_was_taken_before_the_newest_push_begins_anew() -> None:
    seen, _ = judge(Seen("a", 1), Movement(None, "a", 1), "b", NOW)
    later = judge(seen, Movement("a", "c", 2), "b", NOW + GRACE)
    assert later == (Seen("c", 2, "b", NOW + GRACE), None)


def test_what_is_stored_of_a_found_push_is_read_as_it_was() -> None:
    push = found_push(
        "https://git.example.com/acme/report.git",
        "refs/heads/main",
        Step(None, "a" * 40),
        NOW,
        message="Mend\n\né",
    )
    assert from_body(to_body(push)) == push
    assert push.repository.full_name == "acme/report"


def test_a_remote_that_fails_is_asked_again_within_the_interval() -> None:
    pauses = [pause_after(failures, timedelta(minutes=10)) for failures in range(1, 100)]
    assert pauses[:3] == [timedelta(seconds=30), timedelta(minutes=1), timedelta(minutes=2)]
    assert pauses == sorted(pauses)
    assert pauses[-1] == timedelta(minutes=10)
