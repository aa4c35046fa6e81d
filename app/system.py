"""The machine's clock and its random numbers, which everything else is given."""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def ticks(self) -> float:
        return time.monotonic()


class RandomNames:
    """Makes suffixes of seven letters and digits, five random bits each.

    There is no e, i, l, o, 0 or 1, which look like others or make words; c and h are twice as likely as the rest.
    """

    LETTERS = b"bcdfghjkmnpqrstvwxyz23456789acuh"  # 32: five bits of chance a letter
    LENGTH = 7

    def suffix(self) -> str:
        return secrets.token_bytes(self.LENGTH).translate(self.LETTERS * 8).decode()
