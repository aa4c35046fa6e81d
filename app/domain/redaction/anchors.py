"""Finding many byte strings at once, fast where there are none.

Each form is known by a **gram**, four of its bytes in a row. The grams are chosen so that they begin with as
few, and as rare, bytes as possible: ordinary text is then skipped at the speed of one character class, and a
form is compared only where its gram stands.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

GRAM = 4
"""Length of a gram in bytes; no form may be shorter."""

_BY_FREQUENCY = b" etaoinsrhldcu0m1p2f:-./gyb_3v5w4k6798\t,\"'=()[]TSACEIMPRDNLOFBWGHUVx{}<>+%;|*&#@!\\j"
"""Bytes of build and program logs, commonest first (letter counts of English, digits of timestamps); others
are rare.
"""


class Anchors:
    """An index over `forms`, each of at least `GRAM` bytes."""

    def __init__(self, forms: Sequence[bytes]) -> None:
        self._by_gram: defaultdict[bytes, list[tuple[bytes, int]]] = defaultdict(list)
        chosen = _rarest_cover(forms)
        for form in forms:
            at = _anchor(form, chosen)
            self._by_gram[form[at : at + GRAM]].append((form, at))
        self._gram = _compile(self._by_gram)
        self._head = _compile({form[:GRAM] for form in forms})
        self._first_bytes = frozenset(form[0] for form in forms)

    def occurrences(self, data: bytes) -> Iterator[tuple[int, int]]:
        """(start, end) of every form in `data`, in no particular order."""
        found = self._gram.search(data)
        while found:
            at = found.start()
            for form, anchor in self._by_gram.get(found[0], ()):
                if at >= anchor and data.startswith(form, at - anchor):
                    yield at - anchor, at - anchor + len(form)
            found = self._gram.search(data, at + 1)

    def possible_starts(self, data: bytes, earliest: int) -> Iterator[int]:
        """Positions, ascending, from `earliest` at which a form might begin, whole or cut off by the end of
        `data`.
        """
        found = self._head.search(data, earliest)
        while found:
            yield found.start()
            found = self._head.search(data, found.start() + 1)
        for at in range(max(earliest, len(data) - GRAM + 1), len(data)):
            if data[at] in self._first_bytes:
                yield at


def _anchor(form: bytes, chosen: Sequence[int]) -> int:
    """Where in `form` the best of the `chosen` bytes begins a gram."""
    starts = form[: len(form) - GRAM + 1]
    return next(starts.index(byte) for byte in chosen if byte in starts)


def _rarest_cover(forms: Sequence[bytes]) -> list[int]:
    """Few and rare bytes such that every form has one of them at the start of a gram; best first."""
    where = [0] * 256  # for each byte, a bit set of the forms that have it
    for number, form in enumerate(forms):
        for byte in set(form[: len(form) - GRAM + 1]):
            where[byte] |= 1 << number
    cost = [1.0] * 256
    for rank, byte in enumerate(_BY_FREQUENCY):
        cost[byte] = 2000 / (rank + 10)
    chosen: list[int] = []
    missing = (1 << len(forms)) - 1
    while missing:
        best = max(range(256), key=lambda byte: (where[byte] & missing).bit_count() / cost[byte])
        chosen.append(best)
        missing &= ~where[best]
    return chosen


def _compile(grams: Iterable[bytes]) -> re.Pattern[bytes]:
    """A pattern that finds at least every gram: for each first byte, what may stand at the other places."""
    places: defaultdict[int, list[set[int]]] = defaultdict(lambda: [set() for _ in range(GRAM - 1)])
    for gram in grams:
        for seen, byte in zip(places[gram[0]], gram[1:], strict=True):
            seen.add(byte)
    branches = [
        re.escape(bytes([first])) + b"".join(map(_one_of, others)) for first, others in sorted(places.items())
    ]
    return re.compile(b"|".join(branches) or b"(?!)", re.DOTALL)


def _one_of(allowed: set[int]) -> bytes:
    return b"[" + b"".join(b"\\x%02x" % byte for byte in sorted(allowed)) + b"]"
