"""Kinds of values, as the text fields of a page show them and are read."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_DECIMAL = re.compile(r"[0-9]{1,18}\.[0-9]{1,18}")
_WHOLE = re.compile(r"-?[0-9]{1,18}")


@dataclass(frozen=True)
class Kind:
    """How a value is shown as text, and how a text is read; what it reads wrongly, the API refuses."""

    show: Callable[[Any], str]
    read: Callable[[str], Any]


def _number(text: str) -> Any:
    return int(text) if _WHOLE.fullmatch(text.strip()) else text


def _decimal(value: Any) -> Any:
    """A number with a fraction as well; any other text stays one."""
    return float(value) if isinstance(value, str) and _DECIMAL.fullmatch(value.strip()) else value


def _shown_command(value: Any) -> str:
    return shlex.join(value) if isinstance(value, list | tuple) else str(value or "")


TEXT = Kind(str, lambda text: text)
OPTIONAL = Kind(lambda value: str(value or ""), lambda text: text if text.strip() else None)
NUMBER = Kind(str, _number)
OPTIONAL_NUMBER = Kind(
    lambda value: "" if value is None else str(value),
    lambda text: None if text.strip() in ("", "none") else _number(text),
)
OPTIONAL_DECIMAL = Kind(OPTIONAL_NUMBER.show, lambda text: _decimal(OPTIONAL_NUMBER.read(text)))
SWITCH = Kind(lambda value: "1" if value else "", bool)
COMMAND = Kind(_shown_command, lambda text: text if text.strip() else None)
LINES = Kind("\n".join, lambda text: [line for line in text.split("\n") if line.strip()])
SECRET = Kind(lambda _value: "", lambda text: text or None)
