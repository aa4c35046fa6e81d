"""The guide as a server has it, with every part that is made from the code."""

from __future__ import annotations

import re
from functools import cache

from app.bootstrap.guide import references
from app.cli.reference import command_reference
from app.web.api import OPERATIONS
from app.web.api.reference import api_reference
from app.web.guide import CHAPTERS, Guide, guide_references
from app.web.guide.chapters import HELP


@cache
def whole_guide() -> Guide:
    made = {
        **guide_references(),
        **references(),
        "api": api_reference(OPERATIONS),
        "commands": command_reference(),
    }
    return Guide(made)


@cache
def anchors() -> dict[str, set[str]]:
    """By chapter, what can be linked to on its page."""
    pages = {each.name: whole_guide().page(each.name).html for each in CHAPTERS}
    return {name: set(re.findall(r'<h\d id="([^"]+)"', str(html))) for name, html in pages.items()}


def chapter(name: str) -> str:
    """Its text as it is in the repository."""
    return (HELP / f"{name}.md").read_text()


def section(name: str, heading: str) -> str:
    """What is below a heading of a chapter, up to the next of its level or above."""
    level = "#" * (len(heading) - len(heading.lstrip("#")))
    below = chapter(name).partition(f"\n{heading}\n")[2]
    assert below, f"{name}.md has no {heading!r}"
    return re.split(rf"^#{{1,{len(level)}}} ", below, maxsplit=1, flags=re.MULTILINE)[0]
