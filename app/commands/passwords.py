"""Passwords: argon2id, slow on purpose, so that only a few are looked at at a time."""

from __future__ import annotations

import threading
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from app.domain import limits
from app.domain.errors import Busy, InvalidValue

SHORTEST = 12
_hasher = PasswordHasher()


@cache
def _nobodys() -> str:
    """Compared where there is no user of that name: it spends the time that a wrong password would."""
    return _hasher.hash("nobody's password")


class Places:
    """A bounded number of look-ups, of which few go on at once: each takes 64 MiB."""

    def __init__(self, waiting: int, at_once: int) -> None:
        self._places = threading.BoundedSemaphore(waiting)
        self._hashing = threading.BoundedSemaphore(at_once)

    def verify(self, password: str, hashed: str) -> bool:
        """Whether the password is that of the hash; an empty hash is nobody's, in the same time.

        Raises Busy while too many others are looked at.
        """
        if not self._places.acquire(blocking=False):
            raise Busy("Too many are logging in at once: try again in a moment.")
        try:
            with self._hashing:
                return _hasher.verify(hashed or _nobodys(), password) and bool(hashed)
        except (Argon2Error, InvalidHashError):
            return False
        finally:
            self._places.release()


def hash_password(password: str) -> str:
    return _hasher.hash(password)


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
