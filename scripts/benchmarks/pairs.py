"""Two sides measured in turns on the same machine: only the ratio of neighbours is trusted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from typing import Any


@dataclass
class Pairs:
    """Measurements of both sides, in `unit`. `goal` is `<= 1.10` or `>= 1.5`, of the ratio ours / theirs."""

    what: str
    unit: str
    goal: str
    ours: list[float] = field(default_factory=list)
    theirs: list[float] = field(default_factory=list)

    def take(self, ours: Callable[[], float], theirs: Callable[[], float], rounds: int) -> Pairs:
        """One warm-up of each, then A B, B A, A B …: neither side always comes second."""
        ours()
        theirs()
        for number in range(rounds):
            if number % 2 == 0:
                self.ours.append(ours())
                self.theirs.append(theirs())
            else:
                self.theirs.append(theirs())
                self.ours.append(ours())
        return self

    def row(self) -> dict[str, Any]:
        ratios = [a / b for a, b in zip(self.ours, self.theirs, strict=True)]
        return {
            "what": self.what,
            "n": len(ratios),
            "ours": f"{median(self.ours):.4g} {self.unit}",
            "theirs": f"{median(self.theirs):.4g} {self.unit}",
            "ratio": round(median(ratios), 3),
            "goal": self.goal,
            "all_ours": [round(value, 4) for value in self.ours],
            "all_theirs": [round(value, 4) for value in self.theirs],
        }


def result(name: str, *pairs: Pairs, **more: Any) -> dict[str, Any]:
    return {"benchmark": name, "rows": [each.row() for each in pairs], **more}
