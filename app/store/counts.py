"""What this process has committed since it began, counted as it happens: nothing has to be read for it.

Retention removes rows, so numbers of rows would fall; these only rise, and begin anew with each process.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlmodel import Session

HAPPENED = "happened"
BOUNDS = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 4 * 3600.0, 24 * 3600.0)  # seconds
Labels = tuple[str, ...]


@dataclass(frozen=True)
class Happened:
    """So many times something. `seconds` are durations of it, by name."""

    what: str
    labels: Labels
    number: int = 1
    seconds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Durations:
    """How many took up to each of `BOUNDS` but no shorter one, how many longer than all, and all seconds together."""

    numbers: Sequence[int]
    seconds: float


class Counts:
    """Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._totals: dict[str, Counter[Labels]] = {}
        self._durations: dict[str, dict[Labels, tuple[list[int], list[float]]]] = {}

    def add(self, happened: Iterable[Happened]) -> None:
        with self._lock:
            for each in happened:
                self._totals.setdefault(each.what, Counter())[each.labels] += each.number
                for name, seconds in each.seconds.items():
                    of_name = self._durations.setdefault(f"{each.what} {name}", {})
                    numbers, total = of_name.setdefault(each.labels[:1], ([0] * (len(BOUNDS) + 1), [0.0]))
                    numbers[bisect_left(BOUNDS, seconds)] += 1
                    total[0] += seconds

    def totals(self, what: str) -> dict[Labels, int]:
        with self._lock:
            return dict(self._totals.get(what, {}))

    def durations(self, what: str, name: str) -> dict[Labels, Durations]:
        """By the first label alone, which is the outcome: a histogram has a dozen lines for each."""
        with self._lock:
            found = self._durations.get(f"{what} {name}", {})
            return {labels: Durations(tuple(numbers), total[0]) for labels, (numbers, total) in found.items()}


def happened(
    tx: Session, what: str, *labels: str, number: int = 1, seconds: Mapping[str, float] | None = None
) -> None:
    """Have something counted once the transaction is committed. Labels are words of ours, of which there are few."""
    if number:
        tx.info.setdefault(HAPPENED, []).append(Happened(what, labels, number, seconds or {}))
