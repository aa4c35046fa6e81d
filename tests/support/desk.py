"""A desk to log in at that holds nobody up: its hashes take no time, and neither do its refusals."""

from __future__ import annotations

from typing import Any

from argon2 import PasswordHasher

from app.commands.passwords import Places
from app.commands.sign_in import Desk
from app.runtime.pace import Pace

QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


def quick_desk(hasher: Any = QUICK, **changes: Any) -> Desk:
    """`changes` are its fields."""
    fields: dict[str, Any] = {
        "strangers": Places(waiting=8, at_once=1, hasher=hasher),
        "known": Places(waiting=4, at_once=1, hasher=hasher),
        "refusing": Pace(a_second=1000, at_once=1000, longest=0),
    }
    return Desk(**fields | changes)
