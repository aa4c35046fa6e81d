"""A release flow as a picture: boxes from top to bottom, at most two of a group beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT, GAP, BESIDE = 150, 40, 26, 2
LETTERS = 18


@dataclass(frozen=True)
class Box:
    """A node at its place, in the picture's own units."""

    x: int
    y: int
    name: str
    type: str
    key: str


@dataclass(frozen=True)
class Graph:
    """`lines` lead from group to group, as paths; `text` says the same in words."""

    width: int
    height: int
    boxes: Sequence[Box]
    lines: Sequence[str]
    text: str


def graph_of(groups: Sequence[Sequence[tuple[str, str, str]]]) -> Graph:
    """The picture of groups of nodes, each node a name, a type and the key of its form."""
    boxes: list[Box] = []
    lines: list[str] = []
    y, total = 0, WIDTH * BESIDE + GAP
    for number, group in enumerate(groups):
        top = y
        for start in range(0, len(group), BESIDE):
            row = group[start : start + BESIDE]
            left = (total - (len(row) * WIDTH + (len(row) - 1) * GAP)) // 2
            for at, (name, kind, key) in enumerate(row):
                boxes.append(Box(left + at * (WIDTH + GAP), y, _short(name), kind, key))
            y += HEIGHT + GAP // 2
        bottom = y - GAP // 2
        if number + 1 < len(groups):
            lines.append(f"M{total // 2} {bottom}V{bottom + GAP}")
        y = max(bottom, top) + GAP
    return Graph(total, max(y - GAP, HEIGHT), boxes, lines, _in_words(groups))


def _short(name: str) -> str:
    return name if len(name) <= LETTERS else f"{name[: LETTERS - 1]}…"


def _in_words(groups: Sequence[Sequence[tuple[str, str, str]]]) -> str:
    """`image, then today and links side by side, then ready`."""
    said = []
    for group in groups:
        names = " and ".join(name or f"a new {kind}" for name, kind, _ in group)
        said.append(f"{names} side by side" if len(group) > 1 else names)
    return ", then ".join(said) or "nothing yet"
