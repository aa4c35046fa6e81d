from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.logs import display_segments, display_text


@pytest.mark.parametrize(
    ("line", "segments"),
    [
        (b"plain\ttext\n", [("plain\ttext", None)]),
        ("Grüße ✓ 👩\u200d🚀\n".encode(), [("Grüße ✓ 👩\u200d🚀", None)]),
        (b"\x1b[31mred\x1b[0m plain", [("red", "ansi-fg-red"), (" plain", None)]),
        (b"\x1b[1;92mok\x1b[22m!", [("ok", "ansi-bold ansi-fg-bright-green"), ("!", "ansi-fg-bright-green")]),
        (b"\x1b[38;5;9;4mx\x1b[39m\x1b[24my", [("x", "ansi-fg-bright-red ansi-underline"), ("y", None)]),
        (b"\x1b[38;2;1;2;3;1mx", [("x", "ansi-bold")]),
        (b"\x1b[48:5:4mx", [("x", "ansi-bg-blue")]),
        (b"\x1b[103;30mx\x1b[my", [("x", "ansi-bg-bright-yellow ansi-fg-black"), ("y", None)]),
    ],
)
def test_colours_become_classes(line: bytes, segments: list[tuple[str, str | None]]) -> None:
    assert display_segments(line) == segments


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b"10%\r50%\r100%\r\n", "100%"),
        (b"\x1b[2J\x1b[1;1Hhome\x1b[?25l", "home"),
        (b"\x1b]0;title\x07text", "text"),
        (b"\x1b]52;c;ZXZpbA==\x1b\\text", "text"),
        (b"\x1b]8;;javascript:alert(1)\x1b\\link\x1b]8;;\x1b\\", "link"),
        (b"\x1bP1$r0m\x1b\\text", "text"),
        (b"\x1b(Btext\x1b=\x1b7\x1b", "text"),
        (b"text\x1b]0;never ended", "text"),
        (b"text\x1b[12;", "text"),
        (b"a\x00b\x08c\x7f", "a\u2400b\u2408c\u2421"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        ("a\u202eb\u2066c\u2028d\x9be".encode(), "a\ufffdb\ufffdc\ufffdd\ufffde"),
    ],
)
def test_what_a_terminal_would_obey_is_made_harmless(line: bytes, text: str) -> None:
    assert display_text(line) == text


@given(
    st.binary(max_size=200)
    | st.lists(st.sampled_from([b"\x1b", b"[", b"]", b"\r", b"3", b";", b"m", b"8", b"\\", b"\x07"])).map(
        b"".join
    )
)
def test_no_line_yields_control_or_reordering_characters(line: bytes) -> None:
    for text, css_class in display_segments(line):
        assert all(
            character in "\t\u200c\u200d"
            or unicodedata.category(character) not in {"Cc", "Cf", "Zl", "Zp", "Cs"}
            for character in text
        )
        assert css_class is None or set(css_class) <= set("abcdefghijklmnopqrstuvwxyz- ")
