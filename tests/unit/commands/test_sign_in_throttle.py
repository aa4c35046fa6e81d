"""Who has to wait before the next guess, and who doesn't because of others."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from app.commands.sign_in_throttle import FREE, KEPT, OF_ACCOUNT, OF_NETWORK, Attempt, SignInThrottle
from app.domain.errors import Busy
from app.domain.networks import network_of

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
HOME, AWAY = "192.0.2.0/24", "203.0.113.0/24"
ADA = Attempt("ada", HOME)


@pytest.fixture
def throttle() -> SignInThrottle:
    return SignInThrottle()


def waits(throttle: SignInThrottle, attempt: Attempt, now: datetime = NOW) -> bool:
    try:
        throttle.require_turn(attempt, now)
    except Busy:
        return True
    return False


def guess(throttle: SignInThrottle, attempt: Attempt, times: int, now: datetime = NOW) -> None:
    for _ in range(times):
        throttle.failed(attempt, now)


def test_the_delay_doubles_with_each_failure_from_one_place(throttle: SignInThrottle) -> None:
    guess(throttle, ADA, FREE - 1)
    assert not waits(throttle, ADA)
    for number in range(6):
        throttle.failed(ADA, NOW)
        delay = timedelta(seconds=2**number)
        assert waits(throttle, ADA, NOW + delay - timedelta(milliseconds=1))
        assert not waits(throttle, ADA, NOW + delay)


def test_it_ends_at_a_quarter_of_an_hour_and_is_forgotten_after_an_hour(throttle: SignInThrottle) -> None:
    guess(throttle, ADA, 45)
    assert waits(throttle, ADA, NOW + timedelta(minutes=14))
    assert not waits(throttle, ADA, NOW + timedelta(minutes=15))
    throttle.failed(ADA, NOW + timedelta(hours=2))
    assert not waits(throttle, ADA, NOW + timedelta(hours=2))


def test_a_success_begins_anew(throttle: SignInThrottle) -> None:
    guess(throttle, ADA, 10)
    throttle.succeeded(ADA)
    assert not waits(throttle, ADA)


def test_who_is_known_waits_for_nobody_elses_failures(throttle: SignInThrottle) -> None:
    guess(throttle, Attempt("ada", AWAY), OF_ACCOUNT + 20)
    assert waits(throttle, Attempt("ada", AWAY))
    assert waits(throttle, ADA)  # never seen with this account
    assert not waits(throttle, Attempt("ada", HOME, is_known_network=True))
    assert not waits(throttle, Attempt("ada", AWAY, device="a browser that logged in"))


def test_a_known_browser_has_a_count_of_its_own(throttle: SignInThrottle) -> None:
    stolen = Attempt("ada", HOME, device="a stolen cookie")
    guess(throttle, stolen, 10)
    assert waits(throttle, stolen)
    assert not waits(throttle, ADA)


def test_a_network_that_tries_many_accounts_has_to_wait(throttle: SignInThrottle) -> None:
    for number in range(OF_NETWORK):
        throttle.failed(Attempt(f"user-{number}", AWAY), NOW)
    assert waits(throttle, Attempt("somebody", AWAY))
    assert not waits(throttle, Attempt("somebody", HOME))


def test_what_is_remembered_is_bounded(throttle: SignInThrottle) -> None:
    for number in range(KEPT + 500):
        throttle.failed(Attempt(f"user-{number}", f"net-{number}"), NOW)
    assert len(throttle._counts) == KEPT


def test_what_is_said_names_the_time() -> None:
    throttle = SignInThrottle()
    guess(throttle, ADA, 5)
    with pytest.raises(Busy) as said:
        throttle.require_turn(ADA, NOW)
    assert str(said.value) == (
        "Too many wrong passwords: try again in 4 s, or ask an administrator for a link."
    )


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("::ffff:192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("testclient", "testclient"),
    ],
)
def test_the_network_of_an_address(address: str, network: str) -> None:
    assert network_of(address) == network
