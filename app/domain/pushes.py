"""The order of a branch's movements, which need not be the order in which we hear of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

STEP = 1_000_000  # room between two movements for those that arrive late


@dataclass(frozen=True)
class Movement:
    """A branch went from `before` to `after` (None: did not exist); `position` orders a branch's movements."""

    before: str | None
    after: str | None
    position: int


def is_repeated(history: Sequence[Movement], before: str | None, after: str | None) -> bool:
    """Whether this is the latest known movement told again, e.g. by a second hook. `history` is newest first.

    A branch can't make the same step twice in a row, so an equal latest movement is the same one.
    """
    return bool(history) and (history[0].before, history[0].after) == (before, after) and before != after


def position_of(history: Sequence[Movement], before: str | None, after: str | None) -> int:
    """Where a movement belongs. `history` is newest first.

    A movement that starts where the branch is now is the newest. One that ends where a known movement starts, and
    doesn't start where the branch is now, arrived late: it goes just before that one.
    """
    if not history:
        return STEP
    newest = history[0]
    if before != newest.after:
        for index, known in enumerate(history):
            if known.before is not None and known.before == after:
                floor = history[index + 1].position if index + 1 < len(history) else 0
                return (floor + known.position) // 2
    return newest.position + STEP
