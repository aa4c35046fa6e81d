"""When a forge is asked again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from app.domain.posting import GIVEN_UP_AFTER, given_up, is_in_vain, next_try

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def test_pauses_grow_to_ten_minutes_and_never_end_before_the_forge_said() -> None:
    assert [(next_try(tries, NOW, None) - NOW).total_seconds() for tries in (1, 2, 3, 50)] == [5, 10, 20, 600]
    assert next_try(1, NOW, NOW + timedelta(hours=1)) == NOW + timedelta(hours=1)
    assert next_try(3, NOW, NOW - timedelta(hours=1)) == NOW + timedelta(seconds=20)


def test_it_is_left_at_that_after_a_day() -> None:
    assert not is_in_vain(None, NOW)
    assert not is_in_vain(NOW - GIVEN_UP_AFTER + timedelta(seconds=1), NOW)
    assert is_in_vain(NOW - GIVEN_UP_AFTER, NOW)
    assert given_up("No answer.") == "No answer. Given up after 24 hours."
