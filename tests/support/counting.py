"""How much work something is, in steps rather than seconds: the same on every machine, however busy it is."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def counted_calls() -> Iterator[Counter[str]]:
    """The calls of functions that this thread makes, by kind: `call` of Python's, `c_call` of the built-in ones."""
    counted: Counter[str] = Counter()

    def count(_frame: Any, event: str, _argument: Any) -> None:
        if event in ("call", "c_call"):
            counted[event] += 1

    sys.setprofile(count)
    try:
        yield counted
    finally:
        sys.setprofile(None)
