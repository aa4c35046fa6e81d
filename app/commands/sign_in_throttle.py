"""How often somebody may guess a password: less and less often, without keeping out whose password it is.

Failures are counted for an account from a network, for an account from everywhere and for a network over all accounts.
A browser that logged in to the account before has a count of its own; from a network that did, only what came from
there counts. So what others guess elsewhere holds up only those who were never seen with this account.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.domain.errors import Busy

FREE = 3  # failures for an account from one place that cost nothing
LONGEST = timedelta(minutes=15)
OF_NETWORK = 50  # failures over all accounts, from a network that is strange to them
OF_ACCOUNT = 100  # failures from everywhere that is strange to the account
FORGOTTEN = timedelta(hours=1)  # after the last failure
KEPT = 10_000

Key = tuple[str, ...]


@dataclass(frozen=True)
class Attempt:
    """Somebody who wants to log in: as whom, from where, and whether that account knows them."""

    account: str
    network: str
    device: str | None = None  # the hash of a cookie that the account's user got
    is_known_network: bool = False

    @property
    def is_known(self) -> bool:
        return self.device is not None or self.is_known_network

    @property
    def place(self) -> Key:
        return ("place", self.account, self.device or self.network)

    @property
    def keys(self) -> tuple[Key, ...]:
        strange = () if self.is_known else (("network", self.network), ("account", self.account))
        return (self.place, *strange)


@dataclass(frozen=True)
class _Count:
    failures: int
    last_at: datetime


class SignInThrottle:
    """What failed lately, in the memory of one server: the latest `KEPT` counts."""

    def __init__(self) -> None:
        self._counts: OrderedDict[Key, _Count] = OrderedDict()
        self._turn = threading.Lock()

    def require_turn(self, attempt: Attempt, now: datetime) -> None:
        """Raises Busy, with how long to wait, for who has to."""
        with self._turn:
            waits = [self._wait(key, now) for key in attempt.keys]
        wait = max(waits)
        if wait > timedelta(0):
            seconds = max(1, round(wait.total_seconds()))
            raise Busy(
                f"Too many wrong passwords: try again in {seconds} s, or ask an administrator for a link."
            )

    def failed(self, attempt: Attempt, now: datetime) -> None:
        with self._turn:
            for key in attempt.keys:
                self._counts[key] = _Count(self._failures(key, now) + 1, now)
                self._counts.move_to_end(key)
            while len(self._counts) > KEPT:
                self._counts.popitem(last=False)

    def succeeded(self, attempt: Attempt) -> None:
        with self._turn:
            self._counts.pop(attempt.place, None)

    def _failures(self, key: Key, now: datetime) -> int:
        count = self._counts.get(key)
        return 0 if count is None or now - count.last_at >= FORGOTTEN else count.failures

    def _wait(self, key: Key, now: datetime) -> timedelta:
        failures = self._failures(key, now)
        delay = _delay(key[0], failures)
        return delay - (now - self._counts[key].last_at) if delay else timedelta(0)


def _delay(kind: str, failures: int) -> timedelta:
    """How long after the last failure the next try may come: from one place twice as long each time."""
    if kind == "place":
        over = failures - FREE
        return timedelta(0) if over < 0 else min(timedelta(seconds=2 ** min(over, 20)), LONGEST)
    bound = OF_NETWORK if kind == "network" else OF_ACCOUNT
    return timedelta(0) if failures < bound else LONGEST
