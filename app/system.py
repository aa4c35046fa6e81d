"""The machine's clock and chance, which everything else is given."""

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
    """No vowels, so that no words come out; no digits that look like letters."""

    LETTERS = b"bcdfghjkmnpqrstvwxyz23456789acuh"  # 32: five bits of chance a letter
    LENGTH = 7

    def suffix(self) -> str:
        return secrets.token_bytes(self.LENGTH).translate(self.LETTERS * 8).decode()
