"""Secrets out of byte streams: every form of every secret becomes `***`, wherever a chunk ends.

All occurrences count, overlapping ones too: each connected stretch of them is replaced by one `***`. The
outcome depends on the bytes alone, never on how they were cut into chunks.
"""

from __future__ import annotations

from collections.abc import Iterable

from app.domain.redaction.forms import MIN_LENGTH, forms_of, is_masked
from app.domain.redaction.search import Search

__all__ = ["MASK", "MIN_LENGTH", "RedactionStream", "Redactor", "forms_of", "is_masked"]

MASK = b"***"


class Redactor:
    """Knows all forms of some secrets; one serves any number of streams.

    Secrets shorter than `MIN_LENGTH` characters are not masked.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        self._search = Search(form for secret in set(secrets) for form in forms_of(secret))

    def __repr__(self) -> str:
        return f"<Redactor of {len(self._search)} forms>"

    @property
    def is_empty(self) -> bool:
        """Return whether there is nothing to mask."""
        return not len(self._search)

    def start(self) -> RedactionStream:
        """A fresh stream: one for each source whose bytes follow one another."""
        return RedactionStream(self._search)

    def mask(self, data: bytes) -> bytes:
        """`data`, which is all there is, without secrets."""
        stream = self.start()
        return stream.feed(data) + stream.finish()


class RedactionStream:
    """One stream of bytes on its way to storage.

    What `feed` returns is final. Held back is only a suffix of the last, unfinished line, shorter than the longest
    form, that may be the beginning of one; it waits for the next byte or for `finish`, however long, since half a
    secret must not be shown either.
    """

    def __init__(self, search: Search) -> None:
        self._search = search
        self._held = b""
        self._covered = 0  # how many of the held bytes are behind a mask that is already out

    @property
    def undecided(self) -> int:
        """Return how many of the bytes fed so far are neither out nor behind a mask that is."""
        return len(self._held) - self._covered

    def feed(self, chunk: bytes) -> bytes:
        """Take in bytes and return all that is decided now."""
        data = self._held + chunk if self._held else chunk
        return self._release(data, self._search.undecided_from(data))

    def finish(self) -> bytes:
        """The rest; the stream is over."""
        return self._release(self._held, len(self._held))

    def _release(self, data: bytes, until: int) -> bytes:
        spans = self._search.spans(data)
        if not spans and not self._covered and until == len(data):
            self._held = b""
            return data
        out: list[bytes] = []
        done = self._covered
        for start, end in spans:
            if start >= until:
                break
            if start >= done:
                if start > done:
                    out.append(data[done:start])
                out.append(MASK)
            if end > done:
                done = end
        out.append(data[done:until])
        self._held = data[until:]
        self._covered = max(done - until, 0)
        return b"".join(out)
