"""YAML as a file of configuration may have it: values, their lines, and what is refused."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import UserError
from app.web.declared.texts import MOST_VALUES, read_text

TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(TEXTS.filter(lambda key: key != "<<"), inner, max_size=4)
    ),
    max_leaves=20,
)


def test_only_json_s_own_words_are_more_than_text() -> None:
    text = "a: on\nb: 2026-01-31\nc: 12:30\nd: true\ne: ~\nf: 1.5\ng: '7'\nh: 010\ni: -3\nj:\nk: 1e5\n"
    [found] = read_text(text, "f").documents
    assert found == {
        "a": "on",
        "b": "2026-01-31",
        "c": "12:30",
        "d": True,
        "e": None,
        "f": 1.5,
        "g": "7",
        "h": "010",
        "i": -3,
        "j": None,
        "k": "1e5",
    }


def test_each_value_has_its_line_and_what_is_not_there_that_of_its_place() -> None:
    read = read_text("jobs:\n- name: a\n  schedule:\n    cron: x\n---\n- 1\n- 2\n", "f")
    assert [read.line_of(place) for place in ("0.jobs.0.schedule.cron", "0.jobs.0.env.A", "1.1")] == [4, 2, 7]
    assert read.line_of("7.nothing") is None


def test_anchors_and_merges_stand_for_what_they_name() -> None:
    [found] = read_text("a: &x {b: 1, c: 2}\nd: *x\ne:\n  <<: [{c: 0}, *x]\n  b: 3\n", "f").documents
    assert found == {"a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 2}, "e": {"c": 0, "b": 3}}


BOMB = "a: &a [1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{after}: &{after} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, after in zip("abcdefgh", "bcdefghi", strict=True)
)
LONG = f"a: &a '{'x' * 200_000}'\nb: [{', '.join(['*a'] * 40)}]\n"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("schedule:\n  cron: */5 * * * *\n", "in line 2 (a value that begins with * needs quotes)."),
        ("a: !!python/object/apply:os.system ['true']", "is not YAML that is taken here: it has the tag"),
        ("a: !secret x", "it has the tag !secret in line 1."),
        ("a: 1\nb: 2\na: 3", "f says a twice, in line 3 again."),
        ("[" * 100_000, "f is nested more than 40 levels deep, in line 1."),
        ("? [a]\n: b", "f has a key in line 1 that is no text."),
        ("a: *b", "there is no anchor b before the alias in line 1"),
        ("a: 1\n<<: 7", "f merges (<<) something that is no object, in line 2."),
        ("a: \x00", "is not YAML: unacceptable character"),
        ("é: 1\nb:\n\t- 1", "is not YAML: a tab in line 3, where only spaces may be."),
        ("a:\n-\tb: 1", "is not YAML: a tab in line 2, where only spaces may be."),
        ("a: \ud800", "f is not UTF-8 text."),
        ('a: "\\0"', "f has a character that no text may have (NUL or half a surrogate), in line 1."),
        ('{"a": ["\\ud800"]}', "f has a character that no text may have (NUL or half a surrogate)."),
        ('"\\0": a', "f has a character that no text may have (NUL or half a surrogate), in line 1."),
        (f"a: {'9' * 30}", "f has a number in line 1 that is too big."),
        (BOMB, f"it may have {MOST_VALUES:,} values and 5 MB of text, counting what aliases (*) repeat."),
        (LONG, "f is too much in line 2"),
        ("&a [*a]", "there is no anchor a before the alias in line 1"),
    ],
)
def test_what_is_refused_is_said_with_its_line(text: str, complaint: str) -> None:
    with pytest.raises(UserError) as refused:
        read_text(text, "f")
    assert complaint in str(refused.value)
    assert "\n" not in str(refused.value)


@given(VALUES)
def test_what_is_written_as_yaml_or_json_is_read_as_it_was(value: object) -> None:
    assert read_text(yaml.safe_dump(value, allow_unicode=True), "f").documents == [value]
    assert read_text(json.dumps(value), "f").documents == [value]


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_in_a_sentence(text: str) -> None:
    with suppress(UserError):  # and nothing else
        read_text(text, "f")
