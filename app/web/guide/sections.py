"""A chapter in sections: what a heading is called in an address, and the plain text below it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

HEADING = re.compile(r"^#{1,3} ")
LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
RULE_OF_TABLE = re.compile(r"^\|[-| ]+\|$")
MARKS = re.compile(r"[*`\\]|^\s*(?:\||[-] |\d+\. )|\|\s*$")


@dataclass(frozen=True)
class Section:
    """A heading of up to three `#` and what is below it up to the next; `text` is free of Markdown."""

    level: int
    title: str
    anchor: str
    text: str


def anchor_of(title: str) -> str:
    """What a heading is called in an address, as forges call it, so that links work in a repository as well."""
    return re.sub(r"[^\w\- ]", "", plain(title).lower()).strip().replace(" ", "-")


def sections_of(markdown: str) -> Iterator[Section]:
    """Yield the sections of a chapter; blocks of code are text like any other."""
    level, title, lines, in_code = 0, "", list[str](), False
    for line in [*markdown.splitlines(), "# "]:
        in_code ^= line.lstrip().startswith("```")
        if in_code or not HEADING.match(line):
            lines.append(line)
            continue
        if title:
            text = " ".join(plain(each) for each in lines if not _is_fence(each))
            yield Section(level, plain(title), anchor_of(title), " ".join(text.split()))
        level, title, lines = len(line) - len(line.lstrip("#")), line.lstrip("# "), []


def plain(markdown: str) -> str:
    """One line without its marks; cells of a table are kept apart by a dot in the middle of the line."""
    text = MARKS.sub("", LINK.sub(r"\1", markdown))
    return re.sub(r"\s*\|\s*", " · ", text).strip()


def _is_fence(line: str) -> bool:
    return line.lstrip().startswith("```") or bool(RULE_OF_TABLE.match(line))
