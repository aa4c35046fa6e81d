"""Buttons of a form that put the things of an ordered list elsewhere, before anything is saved."""

from __future__ import annotations

from collections.abc import Sequence


def rearranged(order: Sequence[str], pressed: str) -> list[str]:
    """The keys in the order that the button asks for: `up:KEY`, `down:KEY` or `out:KEY`; any other changes nothing."""
    verb, _, key = pressed.partition(":")
    keys = list(dict.fromkeys(order))
    if key not in keys:
        return keys
    at = keys.index(key)
    if verb == "out":
        keys.remove(key)
    if verb in ("up", "down"):
        to = at - 1 if verb == "up" else at + 1
        if 0 <= to < len(keys):
            keys[at], keys[to] = keys[to], keys[at]
    return keys
