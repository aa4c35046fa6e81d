"""Numbers in addresses, headers and queries: every one is read here."""

from __future__ import annotations

import re

LARGEST = 2**63 - 1  # what databases hold
_WHOLE = re.compile(r"[0-9]{1,18}")


def whole_number(text: str) -> int | None:
    """A whole number that every database and file can hold, from 0; None for anything else."""
    return int(text) if _WHOLE.fullmatch(text) else None
