"""The id of the HTTP request that is being answered: in its answer, in problems, in log lines and in the audit log."""

from __future__ import annotations

import re
import secrets
from contextvars import ContextVar

_HARMLESS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_CURRENT: ContextVar[str] = ContextVar("request_id", default="")


def current() -> str:
    """Return the id of the request that this task or thread answers; empty outside of requests."""
    return _CURRENT.get()


def begin(offered: str) -> str:
    """Make the id of the request that this task answers from here on, and return it.

    The id that the caller offers is taken if it is up to 64 letters, digits, dots, hyphens and underscores.
    """
    taken = offered if _HARMLESS.fullmatch(offered) else secrets.token_hex(8)
    _CURRENT.set(taken)
    return taken
