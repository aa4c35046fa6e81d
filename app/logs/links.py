"""Addresses in a log: which of them a page may link to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

LONGEST: Final = 2000
_ADDRESS: Final = re.compile(r"https?://[!#-;=?-\[\]_a-z~]{3,2000}", re.IGNORECASE)
_PRINTABLE: Final = re.compile(r"[!#-;=?-\[\]_a-z~]+", re.IGNORECASE)
_AFTER: Final = ".,:;!?'*_~"  # what ends a sentence rather than an address


def is_safe(address: str) -> bool:
    """Return whether it is one of the web's, and shows what it leads to: no user's name hides the host."""
    if len(address) > LONGEST or not _PRINTABLE.fullmatch(address):
        return False
    try:
        parts = urlsplit(address)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        return False


def split_at_addresses(text: str) -> Iterator[tuple[str, str | None]]:
    """Yield the text in parts, each with the address that it is, or None."""
    position = 0
    for found in _ADDRESS.finditer(text):
        address = _without_end(found[0])
        if is_safe(address):
            if found.start() > position:
                yield text[position : found.start()], None
            yield address, address
            position = found.start() + len(address)
    if position < len(text):
        yield text[position:], None


def _without_end(address: str) -> str:
    """Without the marks that follow an address in a sentence, and a bracket that it doesn't open itself."""
    while True:
        shorter = address.rstrip(_AFTER)
        for opening, closing in ("()", "[]"):
            if shorter.endswith(closing) and shorter.count(closing) > shorter.count(opening):
                shorter = shorter[:-1]
        if shorter == address:
            return address
        address = shorter
