"""Forms lead to their paragraphs in the guide."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.web.guide import CHAPTERS
from app.web.pages.help_links import help_link
from tests.support.guide import anchors
from tests.support.project import ROOT

TEMPLATES = ROOT / "app" / "web" / "templates"
LINK = re.compile(r"help_link\(\"([^\"]+)\"\)")
FORM = re.compile(r"<form[^>]*method=\"post\"|deletion\(")
FRAME = {"base.html"}  # whose form logs out


def pages() -> list[Path]:
    return [path for path in sorted(TEMPLATES.glob("*.html")) if path.name not in FRAME]


@pytest.mark.parametrize("page", pages(), ids=lambda path: str(path.name))
def test_a_page_with_a_form_leads_to_its_paragraph(page: Path) -> None:
    text = page.read_text()
    parts = [(TEMPLATES / name).read_text() for name in re.findall(r'include "([^"]+)"', text)]
    assert not FORM.search(text) or any(LINK.search(each) for each in (text, *parts))


def test_every_link_leads_to_a_heading() -> None:
    places = {place for path in TEMPLATES.rglob("*.html") for place in LINK.findall(path.read_text())}
    assert len(places) > 25
    names = {each.name for each in CHAPTERS}
    for place in places:
        chapter, _, anchor = place.partition("#")
        assert chapter in names, place
        assert not anchor or anchor in anchors()[chapter], place


def test_a_link_says_what_it_is_about_and_opens_beside_the_form() -> None:
    link = str(help_link("people#api-tokens"))
    assert 'href="/help/people#api-tokens" target="_blank" rel="noopener"' in link
    assert "on api tokens</span>" in link
