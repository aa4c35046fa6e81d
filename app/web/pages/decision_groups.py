"""What one event led to for many jobs in the same words, told once: a push with `[skip ci]` is one line, not twelve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.domain.decisions import Decision


@dataclass(frozen=True)
class Group:
    """Decisions about one event with one verdict and one sentence, newest first."""

    decisions: Sequence[Decision]

    @property
    def first(self) -> Decision:
        return self.decisions[0]


def grouped(decisions: Sequence[Decision]) -> list[Group]:
    """In the order of the newest of each."""
    groups: dict[object, list[Decision]] = {}
    for each in decisions:
        key = each.event_type, each.event_id, each.verdict, each.sentence
        groups.setdefault(key, []).append(each)
    return [Group(tuple(group)) for group in groups.values()]
