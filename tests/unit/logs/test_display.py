from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.logs import display_segments, display_text
from app.logs.colours import colour_of, nearest
from scripts import ansi_colours
from tests.support.project import ROOT


@pytest.mark.parametrize(
    ("line", "segments"),
    [
        (b"plain\ttext\n", [("plain\ttext", None)]),
        ("Grüße ✓ 👩\u200d🚀\n".encode(), [("Grüße ✓ 👩\u200d🚀", None)]),
        (b"\x1b[31mred\x1b[0m plain", [("red", "ansi-fg-red"), (" plain", None)]),
        (b"\x1b[1;92mok\x1b[22m!", [("ok", "ansi-bold ansi-fg-bright-green"), ("!", "ansi-fg-bright-green")]),
        (b"\x1b[38;5;9;4mx\x1b[39m\x1b[24my", [("x", "ansi-fg-bright-red ansi-underline"), ("y", None)]),
        (b"\x1b[38;2;1;2;3;1mx", [("x", "ansi-fg-16 ansi-bold")]),
        (
            b"\x1b[38;5;208mx\x1b[48;5;232;1my",
            [("x", "ansi-fg-208"), ("y", "ansi-fg-208 ansi-bg-232 ansi-bold")],
        ),
        (b"\x1b[38:2::255:135:0mx", [("x", "ansi-fg-208")]),
        (b"\x1b[38:2:255:135:0mx", [("x", "ansi-fg-208")]),
        (b"\x1b[48;2;250;130;3mx", [("x", "ansi-bg-208")]),
        (b"\x1b[31m\x1b[38;5;256mx", [("x", None)]),
        (b"\x1b[31m\x1b[38;2;1;2mx", [("x", None)]),
        (b"\x1b[4:3mx\x1b[4:0my", [("x", "ansi-underline"), ("y", None)]),
        (b"\x1b[48:5:4mx", [("x", "ansi-bg-blue")]),
        (b"\x1b[103;30mx\x1b[my", [("x", "ansi-bg-bright-yellow ansi-fg-black"), ("y", None)]),
    ],
)
def test_colours_become_classes(line: bytes, segments: list[tuple[str, str | None]]) -> None:
    assert [(each.text, each.classes) for each in display_segments(line)] == segments


DOCS = "https://example.com/docs?page=2#top"
LINK = b"\x1b]8;id=1;%s\x1b\\%s\x1b]8;;\x1b\\"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (f"see {DOCS}.".encode(), [("see ", None), (DOCS, DOCS), (".", None)]),
        (f"({DOCS})".encode(), [("(", None), (DOCS, DOCS), (")", None)]),
        (
            b"https://en.example.org/wiki/Ada_(name)",
            [("https://en.example.org/wiki/Ada_(name)", "https://en.example.org/wiki/Ada_(name)")],
        ),
        (LINK % (DOCS.encode(), b"the docs"), [("the docs", DOCS), (f" ({DOCS})", None)]),
        (LINK % (DOCS.encode(), DOCS.encode()), [(DOCS, DOCS)]),
        (
            LINK % (b"https://evil.example/", b"https://bank.example/"),
            [("https://bank.example/", "https://evil.example/"), (" (https://evil.example/)", None)],
        ),
        (LINK % (b"javascript:alert(1)", b"link"), [("link", None)]),
        (LINK % (b"file:///etc/passwd", b"link"), [("link", None)]),
        (LINK % (b"https://bank.example@evil.example/", b"bank"), [("bank", None)]),
        (LINK % ("https://b\u0430nk.example/".encode(), b"bank"), [("bank", None)]),
        (b"https://user@evil.example/", [("https://user@evil.example/", None)]),
        (b"ftp://example.com http:// https://[::1", [("ftp://example.com http:// https://[::1", None)]),
        (
            b"\x1b]8;;https://a.example/\x07never ended",
            [("never ended", "https://a.example/"), (" (https://a.example/)", None)],
        ),
    ],
)
def test_addresses_of_the_web_are_links_and_show_where_they_lead(
    line: bytes, shown: list[tuple[str, str | None]]
) -> None:
    assert [(each.text, each.href) for each in display_segments(line)] == shown


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_of_sixteen_million_colours_the_nearest_is_taken(wanted: tuple[int, int, int]) -> None:
    distances = [sum((a - b) ** 2 for a, b in zip(wanted, colour_of(n), strict=True)) for n in range(16, 256)]
    assert distances[nearest(*wanted) - 16] == min(distances)


def test_every_colour_can_be_read_in_both_themes() -> None:
    """The file is what the script makes, which looks at the contrast; the grounds are those of the themes."""
    css = ROOT.joinpath("app/web/static/ansi.css").read_text()
    assert css == ansi_colours.stylesheet(), (
        "run: .venv/bin/python -m scripts.ansi_colours > app/web/static/ansi.css"
    )
    tokens = ROOT.joinpath("app/web/static/tokens.css").read_text()
    light, dark = tokens.split(':root[data-theme="dark"]')
    for theme, ground, opposite in (
        (light, ansi_colours.LIGHT_GROUND, ansi_colours.BLACK),
        (dark, ansi_colours.DARK_GROUND, ansi_colours.WHITE),
    ):
        for name in ("sunken", "line", "accent-soft", "surface"):
            found = re.search(rf"--{name}: #([0-9a-f]{{6}})", theme)
            assert found is not None
            red, green, blue = bytes.fromhex(found[1])
            assert ansi_colours.contrast((red, green, blue), opposite) >= ansi_colours.contrast(
                ground, opposite
            )


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
    for text, css_class, _ in display_segments(line):
        assert all(
            character in "\t\u200c\u200d"
            or unicodedata.category(character) not in {"Cc", "Cf", "Zl", "Zp", "Cs"}
            for character in text
        )
        assert css_class is None or set(css_class) <= set("abcdefghijklmnopqrstuvwxyz0123456789- ")
