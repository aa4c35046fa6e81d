"""Finding all occurrences of many byte strings, in time that grows with the text and not with how alike they are.

The automaton of Aho and Corasick gives, from left to right, the longest form that begins next and doesn't overlap the
one before. Every other occurrence begins inside one that it gives, so only those that go on beyond its end are looked
for here: which forms could, `_Beyond` knows of each form from its first occurrence on.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from ahocorasick_rs import BytesAhoCorasick, Implementation, MatchKind

HEAD = 4
"""Length in bytes of the beginnings by which forms are told apart; no form may be shorter."""
_WINDOW = (
    4096  # bytes that are searched at once; what a stretch of occurrences covers beyond them needs no search
)
_MOST_KNOWN_WHOLE = 2_000_000  # bytes of all forms of about one length
_MOST_OF_MANY = 12  # bytes of each of more than that
_MOST_TRIES = 256  # positions at the end of a text where a form might begin


class Search:
    """It finds `forms`, each of which has at least `HEAD` bytes and no line break."""

    def __init__(self, forms: Iterable[bytes]) -> None:
        self._sorted = sorted(set(forms))
        self._longest = max(map(len, self._sorted), default=0)
        # Looking for a longer form, the automaton may read on in vain behind each short one: by at most the longest.
        by_size = sorted(self._sorted, key=_size_class)
        self._of_a_size = [_searcher(list(alike)) for _, alike in groupby(by_size, key=_size_class)]
        self._head = _pattern_of_heads(self._sorted)
        self._longest_of: dict[bytes, int] = {}  # by head
        for form in self._sorted:
            head = form[:HEAD]
            self._longest_of[head] = max(self._longest_of.get(head, 0), len(form))
        self._short_heads = {form[:size] for form in self._sorted for size in range(1, HEAD)}

    def __len__(self) -> int:
        return len(self._sorted)

    def spans(self, data: bytes) -> list[tuple[int, int]]:
        """(start, end), in order, possibly overlapping: all that lies in an occurrence lies in one of these, and where
        two of these meet, so do occurrences."""
        return sorted(span for alike in self._of_a_size for span in alike.spans(data))

    def undecided_from(self, data: bytes) -> int:
        """The earliest position from which the rest of `data` is the beginning, not the whole, of a form.

        An earlier one where very many positions look as if they were.
        """
        size = len(data)
        earliest = max(size - self._longest + 1, 0)
        earliest = max(earliest, data.rfind(b"\n", earliest) + 1, data.rfind(b"\r", earliest) + 1)
        tries = 0
        for at in self._heads(data, earliest):
            if at + self._longest_of.get(data[at : at + HEAD], 0) > size:
                tries += 1
                if tries > _MOST_TRIES or self._is_beginning(data[at:]):
                    return at
        last = range(max(earliest, size - HEAD + 1), size)
        return next((at for at in last if data[at:] in self._short_heads), size)

    def _heads(self, data: bytes, earliest: int) -> Iterator[int]:
        found = self._head.search(data, earliest)
        while found:
            yield found.start()
            found = self._head.search(data, found.start() + 1)

    def _is_beginning(self, rest: bytes) -> bool:
        following = bisect_right(self._sorted, rest)
        return following < len(self._sorted) and self._sorted[following].startswith(rest)


def _size_class(form: bytes) -> int:
    """4 to 15 bytes, 16 to 63, and so on."""
    return (len(form).bit_length() + 1) // 2


def _searcher(forms: Sequence[bytes]) -> _Few | _Many:
    return _Few(forms) if sum(map(len, forms)) <= _MOST_KNOWN_WHOLE else _Many(forms)


class _Known:
    """Forms, in order, and the places where one is known to begin."""

    def __init__(self, forms: Sequence[bytes]) -> None:
        self._forms = forms
        self._longest = max(map(len, forms))
        self._prefix = _longest_prefixes(forms)

    def longest_at(self, data: bytes, at: int) -> int:
        """Return where the longest form that begins at `at` ends; `at` if none does."""
        number = bisect_right(self._forms, data[at : at + self._longest]) - 1
        while number >= 0 and not data.startswith(self._forms[number], at):
            number = self._prefix[number]
        return at if number < 0 else at + len(self._forms[number])


class _Many:
    """Forms of very many secrets: an automaton of all their bytes would take hundreds of megabytes, so it knows their
    beginnings only. That is slow where one of these stands often without the rest."""

    def __init__(self, forms: Sequence[bytes]) -> None:
        self._known = _Known(forms)
        self._size = min(_MOST_OF_MANY, *map(len, forms))
        beginnings = {form[: self._size] for form in forms}
        automaton = BytesAhoCorasick(beginnings, MatchKind.Standard, Implementation.ContiguousNFA)
        self._find = automaton.find_matches_as_indexes

    def spans(self, data: bytes) -> list[tuple[int, int]]:
        """Return what `Search.spans` does."""
        found: list[tuple[int, int]] = []
        view = memoryview(data)
        for at in range(0, len(data), _WINDOW):
            for _, start, _ in self._find(view[at : at + _WINDOW + self._size - 1], True):
                end = self._known.longest_at(data, at + start)
                if end > at + start:
                    found.append((at + start, end))
        return found


class _Few:
    """Forms, in order, of which none is more than four times as long as another."""

    def __init__(self, forms: Sequence[bytes]) -> None:
        self._forms = forms
        self._known = _Known(forms)
        automaton = BytesAhoCorasick(forms, MatchKind.LeftmostLongest, Implementation.ContiguousNFA)
        self._find = automaton.find_matches_as_indexes
        self._overlap = max(map(len, forms)) - 1
        self._window = max(_WINDOW, 8 * self._overlap)
        self._by_head: defaultdict[bytes, list[bytes]] = defaultdict(list)
        self._following: defaultdict[bytes, set[int]] = defaultdict(set)  # what comes after less than a head
        for form in forms:
            self._by_head[form[:HEAD]].append(form)
            for size in range(1, HEAD):
                self._following[form[:size]].add(form[size])
        self._beyond: list[_Beyond | None] = [None] * len(forms)

    def spans(self, data: bytes) -> list[tuple[int, int]]:
        """Return what `Search.spans` does."""
        found: list[tuple[int, int]] = []
        view, size = memoryview(data), len(data)
        at = begun = reach = 0  # the last two: of `found`, what reaches furthest
        while True:
            for number, start, end in self._find(view[at : at + self._window]):
                start, end = at + start, at + end
                if end + self._overlap > reach or start < begun:
                    beyond = self._beyond[number] or self._learn(number)
                    if end < size and data[end] in beyond.next:
                        end = self._reach(data, end, beyond.reach(data, end))
                    found.append((start, end))
                    if end > reach:
                        begun, reach = start, end
            if at + self._window >= size:
                return found
            at += self._window - self._overlap
            if begun <= at:
                at = max(at, reach - self._overlap)  # what begins before that is covered

    def _reach(self, data: bytes, end: int, furthest: int) -> int:
        """`furthest`, or where a form ends that goes further and begins in the last bytes, less than a head, before
        `end`."""
        for at in range(end - HEAD + 1, end):
            alike = self._by_head.get(data[at : at + HEAD], ())
            if len(alike) > 1:
                furthest = max(furthest, self._known.longest_at(data, at))
            elif alike and data.startswith(alike[0], at):
                furthest = max(furthest, at + len(alike[0]))
        return furthest

    def _learn(self, number: int) -> _Beyond:
        beyond = self._beyond[number] = _Beyond(self._forms[number], self._by_head, self._following)
        return beyond


class _Beyond:
    """How far what begins inside an occurrence of `form`, a head or more before its end, may go on beyond that.

    A form that is like itself, as `xxxxxxxx` is, may occur again and again after its `period`. What then begins inside
    it either goes on in that manner to its own end, or leaves it after so many bytes, with a certain byte.
    """

    __slots__ = ("_again", "_going_on", "_leaving", "_period", "_size", "next")

    def __init__(
        self, form: bytes, by_head: Mapping[bytes, list[bytes]], following: Mapping[bytes, set[int]]
    ) -> None:
        self._size = len(form)
        self._period = _period(form)
        self._again = re.compile(b"(?:%s)*+" % re.escape(self._period), re.DOTALL) if self._period else None
        going_on, leaving, after = {0}, set(), set()
        for inside in range(1, HEAD):
            after |= following.get(form[-inside:], set())
        for start in range(1, len(form) - HEAD + 1):
            for other in by_head.get(form[start : start + HEAD], ()):
                inside = len(form) - start
                if len(other) > inside and other.startswith(form[start:]):
                    after.add(other[inside])
                    left = inside + self._like_the_period(other, inside)
                    if left == len(other):
                        going_on.add(left - inside)
                    else:
                        leaving.add((left, other))
        self.next = bytes(after)
        """All bytes that may come after it if anything does go on beyond, also what begins less than a head before."""
        self._going_on = sorted(going_on)
        self._leaving: defaultdict[int, list[tuple[int, bytes]]] = defaultdict(list)
        for left, other in sorted(
            leaving, key=lambda each: each[0] - len(each[1])
        ):  # what goes furthest comes first
            self._leaving[other[left]].append((left, other))

    def reach(self, data: bytes, end: int) -> int:
        """Return where the furthest of them ends, for an occurrence that ends at `end`; `end` if there is none."""
        same = self._like_the_period(data, end)
        whole = same - same % len(self._period) if self._period else 0
        furthest = end + max(whole, self._going_on[bisect_right(self._going_on, same) - 1])
        left_at = end + same
        if left_at < len(data):
            for left, other in self._leaving.get(data[left_at], ()):
                if end - self._size < left_at - left < end and data.startswith(other, left_at - left):
                    return max(furthest, left_at - left + len(other))
        return furthest

    def _like_the_period(self, data: bytes, at: int) -> int:
        """Return for how many bytes `data` repeats the period from `at` on, the last time perhaps in part."""
        if self._again is None:
            return 0
        again = self._again.match(data, at)
        end = again.end() if again else at
        low, high = 0, len(self._period) - 1
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if data.startswith(self._period[:middle], end) else (low, middle - 1)
        return end + low - at


def _period(form: bytes) -> bytes:
    """Return what follows an occurrence of `form` if it occurs again and the two overlap as much as they can; nothing
    if they can't.
    """
    start = form.find(form[:1], 1)
    while start > 0 and not form.startswith(form[start:]):
        start = form.find(form[:1], start + 1)
    return form[-start:] if start > 0 else b""


def _longest_prefixes(forms: Sequence[bytes]) -> list[int]:
    """Return for each of `forms`, which are in order, the longest other that it begins with; -1 for none."""
    longest: list[int] = []
    around: list[int] = []
    for number, form in enumerate(forms):
        while around and not form.startswith(forms[around[-1]]):
            around.pop()
        longest.append(around[-1] if around else -1)
        around.append(number)
    return longest


def _pattern_of_heads(forms: Sequence[bytes]) -> re.Pattern[bytes]:
    """Return what finds at least every head: for each first byte, what may stand at the other places."""
    places: defaultdict[int, list[set[int]]] = defaultdict(lambda: [set() for _ in range(HEAD - 1)])
    for form in forms:
        for seen, byte in zip(places[form[0]], form[1:HEAD], strict=True):
            seen.add(byte)
    branches = [
        re.escape(bytes([first])) + b"".join(map(_one_of, others)) for first, others in sorted(places.items())
    ]
    return re.compile(b"|".join(branches) or b"(?!)", re.DOTALL)


def _one_of(allowed: set[int]) -> bytes:
    return b"[" + b"".join(b"\\x%02x" % byte for byte in sorted(allowed)) + b"]"
