"""The readme is one page that leads to the guide, and what they link to is there."""

from __future__ import annotations

import re

import pytest

from app.web.guide import CHAPTERS
from tests.support.project import ROOT

README = (ROOT / "README.md").read_text()
DOCUMENTS = ("README.md", "app/README.md", "builders/README.md", "tests/README.md")


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 250


def test_the_readme_leads_to_every_chapter_of_the_guide() -> None:
    assert [each.name for each in CHAPTERS if f"(app/web/help/{each.name}.md)" not in README] == []


@pytest.mark.parametrize("path", DOCUMENTS)
def test_what_a_readme_links_to_is_there(path: str) -> None:
    document = ROOT / path
    for link in re.findall(r"\]\(([^)#]+)(?:#[\w-]*)?\)", document.read_text()):
        assert (document.parent / link).exists(), link
