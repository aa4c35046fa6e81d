from __future__ import annotations

import base64
import json
import re
import shlex
import textwrap
from collections.abc import Callable, Iterable
from itertools import accumulate, pairwise
from unittest import mock
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.redaction import MASK, MIN_LENGTH, Redactor, forms_of
from tests.support.counting import counted_calls

SECRET = "pa$$ wörd/+'\"<&>?=7"
PRIVATE_KEY = (
    "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n"
    "  q83vASNFZ4mrze8BI0VniavN7w==\r\n}\n-----END KEY-----\n"
)


def redact_in_chunks(redactor: Redactor, data: bytes, cuts: Iterable[int]) -> bytes:
    stream = redactor.start()
    edges = [0, *sorted(cuts), len(data)]
    return b"".join(stream.feed(data[start:end]) for start, end in pairwise(edges)) + stream.finish()


def redact_plainly(forms: Iterable[bytes], data: bytes) -> bytes:
    """The definition, without any cleverness: each connected stretch of occurrences is one mask."""
    spans = sorted(
        (at, at + len(form)) for form in forms for at in range(len(data)) if data.startswith(form, at)
    )
    out, done = b"", 0
    for start, end in spans:
        if start >= done:
            out += data[done:start] + MASK
        done = max(done, end)
    return out + data[done:]


few_letters = st.text(alphabet="ab'/\n é", max_size=9)
texts_of = st.lists(few_letters, min_size=1, max_size=3)


@given(secrets=texts_of, pieces=st.lists(few_letters | st.integers(0, 200), max_size=12), data=st.data())
def test_output_is_the_definition_for_every_chunking(
    secrets: list[str], pieces: list[str | int], data: st.DataObject
) -> None:
    forms = sorted({form for secret in secrets for form in forms_of(secret)})
    raw = b"".join(
        piece.encode() if isinstance(piece, str) else forms[piece % len(forms)] if forms else b""
        for piece in pieces
    )
    cuts = data.draw(st.lists(st.integers(0, len(raw)), max_size=8))
    redactor = Redactor(secrets)
    whole = redactor.mask(raw)
    assert whole == redact_plainly(forms, raw)
    assert redact_in_chunks(redactor, raw, cuts) == whole
    assert redact_in_chunks(redactor, raw, range(len(raw))) == whole
    assert not any(form in whole for form in forms)


alike = st.builds(
    lambda unit, times, end: unit * times + end,
    st.sampled_from(["x", "xy", "xxy"]),
    st.integers(2, 12),
    st.sampled_from(["", "x", "y", "z"]),
)


@given(
    secrets=st.lists(alike, min_size=1, max_size=4),
    pieces=st.lists(alike | st.sampled_from(["\n", "\r", "-"]), max_size=8),
    most_known_whole=st.sampled_from([0, 2_000_000]),
    window=st.sampled_from([1, 4096]),
    data=st.data(),
)
def test_secrets_that_are_like_themselves_and_one_another(
    secrets: list[str], pieces: list[str], most_known_whole: int, window: int, data: st.DataObject
) -> None:
    """The output is the definition for every chunking, and no more is held back than has to be."""
    forms = {form for secret in secrets for form in forms_of(secret)}
    raw = "".join(pieces).encode()
    cuts = data.draw(st.lists(st.integers(0, len(raw)), max_size=8))
    with mock.patch.multiple(
        "app.domain.redaction.search", _MOST_KNOWN_WHOLE=most_known_whole, _WINDOW=window
    ):
        redactor = Redactor(secrets)
    whole = redactor.mask(raw)
    assert whole == redact_plainly(forms, raw)
    assert redact_in_chunks(redactor, raw, cuts) == whole
    assert redact_in_chunks(redactor, raw, range(len(raw))) == whole
    stream = redactor.start()
    stream.feed(raw)
    assert len(stream._held) == len(raw) - first_undecided(forms, raw)


def test_what_is_searched_piece_by_piece_is_as_if_it_were_whole() -> None:
    """Wherever one of the pieces ends: in a stretch of occurrences, or in one that begins before such a stretch."""
    secrets = ["cccccc", "cd" + "c" * 12]
    forms = {form for secret in secrets for form in forms_of(secret)}
    with mock.patch("app.domain.redaction.search._WINDOW", 1):
        redactor = Redactor(secrets)
    for before in range(130):
        raw = b"-" * before + b"c" * 13 + b"d" + b"c" * 26 + b"-cccccc"
        assert redactor.mask(raw) == redact_plainly(forms, raw)


def first_undecided(forms: Iterable[bytes], data: bytes) -> int:
    beginnings = {form[:size] for form in forms for size in range(1, len(form))}
    return next((at for at in range(len(data)) if data[at:] in beginnings), len(data))


@pytest.mark.parametrize(
    ("secrets", "line"),
    [
        (["x" * 40 + "y"], b"x"),
        (["x" * 4000 + "y"], b"x"),
        (["x" * 40 + "y"], base64.b64encode(b"x" * 3)),
        (["xxxx"], b"x"),
        (["x" * 40 + "y", "xxxx"], b"x"),
        (["x" * length for length in range(4, 104)], b"x"),
        (["ab" * 20 + "c"], b"ab"),
        (["x" * 36 + f"{number:04}" for number in range(100)], b"x" * 35 + b"yz"),
        ([f"AKIA-production-{number * 7919:08}" for number in range(100)], b"AKIA-production-"),
        ([("q7Rz" + "kP3w" * 30)[:length] for length in range(4, 104)], b"q7Rz" + b"kP3w" * 25 + b"!"),
        ([PRIVATE_KEY], PRIVATE_KEY.replace("\n", "\\n").encode()),
    ],
)
def test_no_secret_makes_masking_slow(secrets: list[str], line: bytes) -> None:
    """Python's part of the search takes fewer steps than a quarter of the bytes, however alike secrets and text are."""
    chunk = line * (250_000 // len(line))
    stream = Redactor(secrets).start()
    with counted_calls() as calls:
        for _ in range(4):
            stream.feed(chunk)
        stream.finish()
    assert calls.total() < len(chunk)


@given(
    secret=st.text(
        min_size=MIN_LENGTH, alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="*\r\n")
    ),
    before=st.binary(max_size=7),
    after=st.binary(max_size=7),
    cut=st.integers(0),
)
def test_no_encoding_of_a_secret_survives(secret: str, before: bytes, after: bytes, cut: int) -> None:
    raw = secret.encode()
    encodings: list[Callable[[bytes], bytes]] = [
        lambda data: data,
        base64.b64encode,
        base64.urlsafe_b64encode,
        lambda data: data.hex().encode(),
        lambda data: data.hex().upper().encode(),
        lambda data: quote(data, safe="").encode(),
        lambda data: quote_plus(data).encode(),
    ]
    redactor = Redactor([secret])
    for encode in encodings:
        shown = encode(before + raw + after)
        output = redact_in_chunks(redactor, shown, [cut % (len(shown) + 1)])
        assert MASK in output
        assert redactor.mask(encode(raw)) == MASK


@pytest.mark.parametrize(
    "shown",
    [
        SECRET,
        json.dumps(SECRET)[1:-1],
        json.dumps(SECRET, ensure_ascii=False)[1:-1],
        json.dumps(json.dumps(SECRET)[1:-1])[1:-1],
        quote(SECRET),
        quote(SECRET, safe=""),
        re.sub("%..", lambda code: code[0].lower(), quote(SECRET, safe="")),
        urlencode({"": SECRET})[1:],
        shlex.quote(SECRET)[1:-1],
        SECRET.encode().hex(),
        base64.b64encode(SECRET.encode()).decode(),
        base64.b64encode(SECRET.encode() + b"\n").decode(),
        base64.urlsafe_b64encode(SECRET.encode()).decode().rstrip("="),
    ],
)
def test_quoted_forms_become_exactly_the_mask(shown: str) -> None:
    assert Redactor([SECRET]).mask(f"x: {shown};".encode()) == b"x: ***;"


def test_each_line_of_a_multi_line_secret_is_masked_by_itself() -> None:
    output = Redactor([PRIVATE_KEY]).mask(PRIVATE_KEY.encode() + b"{ } ok\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC")
    assert output == b"***\n***\n  ***\r\n}\n***\n{ } ok\n***"
    assert Redactor([PRIVATE_KEY]).mask(json.dumps({"key": PRIVATE_KEY}).encode()) == b'{"key": "***"}'


@pytest.mark.parametrize("columns", [64, 76])
def test_wrapped_base64_is_masked(columns: int) -> None:
    secret = "".join(f"{number:03d}-secret-" for number in range(30))
    wrapped = textwrap.fill(base64.b64encode(secret.encode()).decode(), columns)
    assert set(Redactor([secret]).mask(wrapped.encode()).split()) == {MASK}


def test_short_secrets_are_left_alone() -> None:
    redactor = Redactor(["", "abc", "a\nb\nc"])
    assert redactor.mask(b"abc a b c") == b"abc a b c"
    assert MIN_LENGTH == 4


def test_overlapping_secrets_leave_no_part_of_either() -> None:
    redactor = Redactor(["token-one", "one-two-three"])
    assert redactor.mask(b"<token-one-two-three>") == b"<***>"
    assert redactor.mask(b"<token-onetoken-one>") == b"<******>"


def test_finished_lines_and_innocent_text_are_never_held_back() -> None:
    stream = Redactor(["hunter2hunter2"]).start()
    assert stream.feed(b"progress 10% ") == b"progress 10% "
    assert stream.feed(b"a hunter\n") == b"a hunter\n"
    assert stream.feed(b"the hun") == b"the "
    assert stream.feed(b"t is on") == b"hunt is on"
    assert stream.feed(b"hunter2hunter2") == b"***"
    assert stream.finish() == b""


def test_half_a_secret_waits_until_the_stream_ends() -> None:
    stream = Redactor(["hunter2hunter2"]).start()
    assert stream.feed(b"hunter2hunter") == b""
    assert stream.feed(b"") == b""
    assert stream.finish() == b"hunter2hunter"


def test_a_mask_is_shown_as_soon_as_one_secret_is_certain() -> None:
    stream = Redactor(["abcdefgh", "efghijklmnop"]).start()
    assert stream.feed(b"abcdefgh") == b"***"
    assert stream.feed(b"ij") == b""
    assert stream.feed(b"x") == b"ijx"


def test_a_redactor_shows_no_secret() -> None:
    assert "hunter2" not in f"{Redactor(['hunter2'])!r}"


def test_many_secrets_at_every_split_point() -> None:
    secrets = [base64.b85encode(bytes([number, 255 - number]) * 9).decode() for number in range(100)]
    redactor = Redactor(secrets)
    raw = b" and ".join(secret.encode() for secret in secrets[::10])
    for cut in range(len(raw)):
        assert redact_in_chunks(redactor, raw, [cut]) == b" and ".join([MASK] * 10)


def test_running_offsets_of_chunks_do_not_matter() -> None:
    redactor = Redactor(["swordfish"])
    raw = (b"swordfish swordfis swordfishy\n" * 200).replace(b"y", b"\xff")
    expected = re.sub(rb"swordfish", MASK, raw)
    for size in (1, 2, 7, 8, 9, 64, 4096):
        cuts = accumulate([size] * (len(raw) // size))
        assert redact_in_chunks(redactor, raw, cuts) == expected
