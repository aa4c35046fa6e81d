"""The shapes in which one secret may turn up in a program's output."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

MIN_LENGTH = 4
"""Characters a secret, or a line of one, needs to be masked: anything shorter would blot out ordinary text.
"""

_WRAPS = (64, 76)  # columns at which openssl and base64(1) break their output
_MIN_WRAPPED = 8  # the last line of wrapped base64 may be too short to tell from a word


def forms_of(secret: str) -> frozenset[bytes]:
    """Everything that must not appear in a log because of `secret`.

    The value and, if it has several lines, each of them; and of all these the JSON-, URL-, HTML- and
    shell-quoted, hexadecimal and base64 forms, the last in both alphabets, at all three alignments inside a
    longer text, and wrapped. No form contains a line break, so nothing before the last line break of a log
    can be the start of one. A secret, or a line, of fewer than `MIN_LENGTH` characters has no forms.
    """
    lines = [line.strip() for line in re.split(r"[\r\n]+", secret)]
    values = {value for value in (secret, secret.strip(), *lines) if len(value) >= MIN_LENGTH}
    found = {form for value in values for form in _encodings(value)}
    return frozenset(form for form in found if len(form) >= MIN_LENGTH and not re.search(rb"[\r\n]", form))


def is_masked(secret: str) -> bool:
    """Return whether at least one line of it is long enough to be masked."""
    return any(len(line.strip()) >= MIN_LENGTH for line in re.split(r"[\r\n]+", secret))


def _encodings(value: str) -> Iterator[bytes]:
    raw = value.encode("utf-8", "surrogatepass")
    yield raw
    yield from _text_quoted(value)
    yield raw.hex().encode()
    yield raw.hex().upper().encode()
    for data in (raw, raw + b"\n"):  # `echo $SECRET | base64` encodes the line break too
        yield from _base64(data)


def _text_quoted(value: str) -> Iterator[bytes]:
    utf8 = value.encode("utf-8", "surrogatepass")
    as_json = json.dumps(value)[1:-1]
    quoted = {
        as_json,
        as_json.replace("/", "\\/"),
        json.dumps(as_json)[1:-1],  # JSON inside a JSON string
        re.sub("[<>&]", lambda found: f"\\u{ord(found[0]):04x}", as_json),
        json.dumps(value, ensure_ascii=False)[1:-1],
        html.escape(value),
        html.escape(value, quote=False),
        value.replace("'", "'\\''"),
        value.replace("'", "'\"'\"'"),
    }
    for text in quoted:
        yield text.encode("utf-8", "surrogatepass")
    for url in (quote(utf8, safe=""), quote(utf8), quote_plus(utf8), quote(utf8, safe="/:@!$&'()*+,;=")):
        yield url.encode()
        yield re.sub("%..", lambda found: found[0].lower(), url).encode()


def _base64(data: bytes) -> Iterator[bytes]:
    for encode in (base64.standard_b64encode, base64.urlsafe_b64encode):
        alone = encode(data)
        yield alone
        yield alone.rstrip(b"=")
        for columns in _WRAPS:
            pieces = (alone[at : at + columns] for at in range(0, len(alone), columns))
            yield from (piece for piece in pieces if len(piece) >= _MIN_WRAPPED)
        for before in range(3):
            # Only the characters whose six bits all belong to the secret are the same whatever stands around
            # it.
            first = -(-before * 8 // 6)
            last = (before + len(data)) * 8 // 6
            yield encode(b"\0" * before + data)[first:last]
