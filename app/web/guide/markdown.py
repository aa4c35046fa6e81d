"""From Markdown to HTML that may stand on a page: no HTML of its own passes, links lead to addresses of the server."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

from markupsafe import Markup

from app.web.guide.sections import anchor_of

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

TO_CHAPTER = re.compile(r"(?:([\w-]+)\.md)?(#[\w-]+)?")
WIDE = 4  # columns from which on a table stays one on a phone


def to_html(markdown: str) -> Markup:
    """Render a chapter. Headings have ids, and links to `other.md#heading` lead to `/help/other#heading`."""
    reader = _reader()
    tokens = reader.parse(markdown)
    for token, following in pairwise(tokens):
        if token.type == "heading_open":
            token.attrSet("id", anchor_of(following.content))
    for token in tokens:
        for child in token.children or ():
            if child.type == "link_open":
                child.attrSet("href", address_of(str(child.attrGet("href"))))
                child.attrSet("class", "link")
    for at in [at for at, token in enumerate(tokens) if token.type == "table_open"]:
        is_wide = _columns(tokens[at:]) >= WIDE
        tokens[at].attrSet("class", "matrix" if is_wide else "cells")
        if is_wide:
            tokens[at].attrSet("tabindex", "0")  # it scrolls on a phone, so the keyboard has to reach it
    html = str(reader.renderer.render(tokens, reader.options, {}))
    html = html.replace(
        "<pre><code", '<pre tabindex="0"><code'
    )  # it scrolls, so the keyboard has to reach it
    return Markup(html)  # noqa: S704 - HTML in the text is escaped


def address_of(link: str) -> str:
    """Where a link of a chapter leads on the server: one to another chapter's file is to its page."""
    match = TO_CHAPTER.fullmatch(link)
    if match is None:
        return link
    name, anchor = match.groups("")
    return f"/help/{name}{anchor}" if name else anchor


def _columns(tokens: Sequence[Token]) -> int:
    kinds = [token.type for token in tokens]
    return kinds[: kinds.index("thead_close")].count("th_open")


@cache
def _reader() -> MarkdownIt:
    from markdown_it import MarkdownIt  # the guide alone needs it

    return MarkdownIt("commonmark", {"html": False}).enable("table")
