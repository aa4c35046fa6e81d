"""Passwords: argon2id, slow on purpose, so one at a time is looked at, after everything else that the server does."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from functools import cache, partial
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from app.domain import limits
from app.domain.errors import Busy, InvalidValue
from app.runtime.threads import start_in_thread

SHORTEST = 12
# What OWASP recommends, on one thread. Of its choices this one is beyond 32 MiB, up to which the C library may keep
# what is freed, and does so for each thread.
HASHER = PasswordHasher(time_cost=1, memory_cost=46 * 1024, parallelism=1)
NICENESS = 10  # of the threads that hash
_turn = threading.Lock()

R = TypeVar("R")


@cache
def _nobodys(hasher: PasswordHasher) -> str:
    """Compared where there is no user of that name: it spends the time that a wrong password would."""
    return hasher.hash("nobody's password")


class Places:
    """A bounded number of look-ups, of which few wait for their turn to hash."""

    def __init__(self, waiting: int, at_once: int, hasher: PasswordHasher = HASHER) -> None:
        self._places = threading.BoundedSemaphore(waiting)
        self._hashing = threading.BoundedSemaphore(at_once)
        self._hasher = hasher

    def verify(self, password: str, hashed: str) -> bool:
        """Whether the password is that of the hash; an empty hash is nobody's, in the same time.

        A hash is verified with the parameters that it was made with. Raises Busy while too many others are looked at.
        """
        if not self._places.acquire(blocking=False):
            raise Busy("Too many are logging in at once: try again in a moment.")
        try:
            with self._hashing:
                return _in_turn(partial(self._is_of, hashed, password))
        finally:
            self._places.release()

    def renewed(self, password: str, hashed: str) -> str | None:
        """Another hash of a password whose hash was made with other parameters than those of today, else None."""
        return hash_password(password, self._hasher) if self._hasher.check_needs_rehash(hashed) else None

    def _is_of(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed or _nobodys(self._hasher), password) and bool(hashed)
        except (Argon2Error, InvalidHashError):
            return False


def hash_password(password: str, hasher: PasswordHasher = HASHER) -> str:
    return _in_turn(partial(hasher.hash, password))


def _in_turn(call: Callable[[], R]) -> R:
    """What the call gives, which takes a processor for a while: nothing else of its kind goes on meanwhile."""
    with _turn:
        return start_in_thread("password", partial(_behind_all, call)).result()


def _behind_all(call: Callable[[], R]) -> R:
    """In a thread of its own, as its niceness can't be lowered again. Threads have one each on Linux alone."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
    return call()


def check_password(password: str, name: str = "") -> str:
    """A password that somebody chose. Raises InvalidValue for one that is easily guessed."""
    if not SHORTEST <= len(password) <= limits.PASSWORD:
        sentence = f"The password must have {SHORTEST} to {limits.PASSWORD} characters, not {len(password)}."
        raise InvalidValue("password", sentence)
    if len(set(password)) < 5 or password.casefold() == name.casefold():
        raise InvalidValue(
            "password", "The password must have five different characters or more, and not be the name."
        )
    return password
