"""What a check of this machine found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """One line of the report: what was looked at, how it is, and (unless ok) what to do; `commands` for a shell, if
    there are any.
    """

    state: Literal["ok", "warn", "fail"]
    what: str
    sentence: str
    commands: str = ""
