"""Wildcard patterns against many names at once, in time that nobody's pattern or name can make explode.

The names lie end to end in one text. A set of places in it is an integer, one bit a character, and a pattern is carried
out piece by piece on such a set: "where a match may have got to". Each piece costs a few operations on integers as long
as the text, whatever came before: a pattern takes (pieces times characters) bit operations, and nothing is tried again.
A backtracking `re` takes exponential time for `*a*a*a*b`; an automaton with remembered states grows as fast for
`*a????????`. The operations are short, so other threads run in between. What a caller accepts to spend is counted in
advance of each piece (`Work`), and doesn't depend on the machine.
"""

from __future__ import annotations

import enum
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

BLOCK = 32_768
"""Characters of names that are matched together: integers of this length stay in the processor's cache."""

LONGEST_NAME = 65_536
"""Longer than any path a file can have; what claims to be one is too much work."""

_PIECE_COST = 1_024  # of the interpreter for a piece, in characters of text that cost as much
_LOOK_COST = 32  # of finding a character in the text, in characters that a piece passes over meanwhile
_DIGITS = b"0" * 255 + b"1" + b"0" * 255
_SEPARATOR = "\0"  # no name holds it


class TooMuchWork(Exception):
    """The matching would take more than was granted."""


@dataclass
class Work:
    """What may still be spent, in pieces of patterns times characters of names."""

    left: int

    def spend(self, amount: int) -> None:
        self.left -= amount
        if self.left < 0:
            raise TooMuchWork


@dataclass(frozen=True, slots=True)
class OneOf:
    """One character of these ranges of code points, or one outside of them."""

    ranges: tuple[tuple[int, int], ...]
    negated: bool = False


class Gap(enum.Enum):
    """Any number of characters, none included."""

    NAME = "without a slash"
    PATH = "slashes included"
    LEVELS = "none, or whatever ends with a slash"


Pattern = Sequence[OneOf | Gap]
NOT_SLASH = OneOf(((ord("/"), ord("/")),), negated=True)
NEVER = OneOf(())


def literal(character: str) -> OneOf:
    return OneOf(((ord(character), ord(character)),))


class Names:
    """A block of names. In its sets a bit stands for the place before a character, or for the end of a name.

    `starts` are the places where names begin, `ends` where they end, `slashes` where a directory's name ends.
    Raises TooMuchWork from every method once `work` is spent.
    """

    def __init__(self, names: Sequence[str], work: Work) -> None:
        text = "".join(f"{name}{_SEPARATOR}" for name in names)
        self._work = work
        self._length = len(text)
        backwards = text[::-1].encode(
            "utf-32-le", "surrogatepass"
        )  # an integer's first digit is its last bit
        planes = [(byte, backwards[byte::4]) for byte in range(3)]
        self._planes = [(byte, plane) for byte, plane in planes if any(plane)]
        self._codes = sorted(set(map(ord, text)))
        self._found: dict[tuple[int, int], int] = {}
        self._all = (1 << len(text)) - 1
        self.ends = self._at(ord(_SEPARATOR))
        self.starts = (self.ends << 1 | 1) & self._all
        self.slashes = self._at(ord("/"))
        self._inside = self._all ^ self.ends
        self._level = self._inside ^ self.slashes

    def after(self, pattern: Pattern, starts: int) -> int:
        """Return the places that matches of `pattern` beginning at `starts` lead to."""
        at = starts
        for piece in pattern:
            if not at:
                break
            self._work.spend(self._length + _PIECE_COST)
            if isinstance(piece, OneOf):
                at = (at & self._places(piece)) << 1
            elif piece is Gap.NAME:
                at = _spread(at, self._level)
            elif piece is Gap.PATH:
                at = _spread(at, self._inside)
            else:
                at |= (_spread(at, self._inside) & self.slashes) << 1
        return at

    def ends_after(self, places: int) -> int:
        """Return the ends of the names that have one of `places`."""
        return _spread(places, self._inside) & self.ends

    def _places(self, wanted: OneOf) -> int:
        """Return the places of such a character."""
        if wanted is NOT_SLASH:
            return self._level
        found = 0
        for low, high in wanted.ranges:
            codes = self._codes[bisect_left(self._codes, low) : bisect_right(self._codes, high)]
            self._work.spend(len(codes) * self._length)
            for code in codes:
                found |= self._at(code)
        return self._inside & (~found if wanted.negated else found)

    def _at(self, code: int) -> int:
        found = self._all
        for byte, plane in self._planes:
            found &= self._holding(byte, plane, code >> 8 * byte & 0xFF)
        return found

    def _holding(self, byte: int, plane: bytes, value: int) -> int:
        """Return the places of characters that have this value in this byte of their code point."""
        found = self._found.get((byte, value))
        if found is None:
            self._work.spend(_LOOK_COST * self._length)
            found = self._found[byte, value] = int(plane.translate(_DIGITS[255 - value : 511 - value]), 2)
        return found


def blocks(names: Iterable[str], work: Work) -> Iterator[tuple[list[str], Names]]:
    """Yield the names in blocks of about `BLOCK` characters, in their order. Raises TooMuchWork."""
    block: list[str] = []
    length = 0
    for name in names:
        if len(name) > LONGEST_NAME:
            raise TooMuchWork
        block.append(name.replace(_SEPARATOR, "\ufffd"))
        length += len(name) + 1
        if length >= BLOCK:
            yield block, Names(block, work)
            block, length = [], 0
    if block:
        yield block, Names(block, work)


def _spread(places: int, over: int) -> int:
    """Return `places`, and all that can be reached from them by characters in `over`.

    A run of `over` is a row of ones: adding the lowest place of it carries to the place behind the run.
    """
    return places | ((places & over) + over) ^ over
