"""The guide of one server: chapters as pages, and what a search finds in them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from threading import Lock

from markupsafe import Markup

from app.domain.errors import NotFound
from app.web.guide.chapters import CHAPTERS, Chapter
from app.web.guide.markdown import to_html
from app.web.guide.references import Reference
from app.web.guide.sections import Section, sections_of

MADE = re.compile(r"^<!-- made from the code: ([\w-]+) -->$", re.MULTILINE)
MOST = 8  # passages that a search shows
AROUND = 90  # characters shown on either side of what was found
DEEPEST = 2


@dataclass(frozen=True)
class Page:
    """A chapter to read: `contents` are its headings below the title."""

    chapter: Chapter
    html: Markup
    contents: Sequence[Section]
    previous: Chapter | None
    following: Chapter | None


@dataclass(frozen=True)
class Passage:
    """What a search found: `parts` are the text around it, in which every second one is what was looked for.

    `is_titled` says that the heading has all words.
    """

    chapter: Chapter
    title: str
    anchor: str
    parts: Sequence[str]
    is_titled: bool


class Guide:
    """`references` are the parts made from the code, by the names that chapters have for them.

    One that is missing leaves nothing in its place. Pages are made when they are first asked for, and kept.
    """

    def __init__(self, references: Mapping[str, Reference]) -> None:
        self._references = references
        self._pages: dict[str, Page] = {}
        self._making = Lock()

    def page(self, name: str) -> Page:
        """Raises NotFound."""
        with self._making:
            if name not in self._pages:
                self._pages[name] = self._make(name)
            return self._pages[name]

    def markdown(self, chapter: Chapter) -> str:
        """The chapter's text with what is made from the code in its places."""
        return MADE.sub(lambda match: self._made(match[1]), chapter.text)

    def find(self, text: str) -> list[Passage]:
        """Return the sections that have all words of `text`, those first that have them in their heading."""
        words = text.lower().split()
        found = [
            (not all(word in section.title.lower() for word in words), at, chapter, section)
            for at, (chapter, section, whole) in enumerate(self._searched)
            if words and all(word in whole for word in words)
        ]
        return [
            Passage(chapter, section.title, section.anchor, _around(section.text, words), not is_mentioned)
            for is_mentioned, _, chapter, section in sorted(found, key=lambda each: each[:2])[:MOST]
        ]

    def _make(self, name: str) -> Page:
        at = next((at for at, each in enumerate(CHAPTERS) if each.name == name), None)
        if at is None:
            raise NotFound(f"The guide has no chapter {name}.")
        markdown = self.markdown(CHAPTERS[at])
        return Page(
            CHAPTERS[at],
            to_html(markdown),
            [each for each in sections_of(markdown) if each.level == DEEPEST],
            CHAPTERS[at - 1] if at else None,
            CHAPTERS[at + 1] if at + 1 < len(CHAPTERS) else None,
        )

    def _made(self, name: str) -> str:
        reference = self._references.get(name)
        return reference.write() if reference else ""

    def _outlined(self, name: str) -> str:
        reference = self._references.get(name)
        return (reference.outline or reference.write)() if reference else ""

    @cached_property
    def _searched(self) -> Sequence[tuple[Chapter, Section, str]]:
        return [
            (chapter, section, f"{chapter.title} {section.title} {section.text}".lower())
            for chapter in CHAPTERS
            for section in sections_of(MADE.sub(lambda match: self._outlined(match[1]), chapter.text))
        ]


def _around(text: str, words: Sequence[str]) -> list[str]:
    """The place of the first word that is in the text, cut at spaces; the beginning where none is."""
    wanted = re.compile(
        "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True)), re.IGNORECASE
    )
    match = wanted.search(text)
    middle = match.start() if match else 0
    start, end = max(0, middle - AROUND), middle + 2 * AROUND
    cut = text[start:end]
    if start:
        cut = f"… {cut.partition(' ')[2]}"
    if end < len(text):
        cut = f"{cut.rpartition(' ')[0]} …"
    return re.split(f"({wanted.pattern})", cut, flags=re.IGNORECASE)
