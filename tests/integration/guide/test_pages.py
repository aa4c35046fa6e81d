"""The guide as people read it: without being logged in, found by the search, with a way to each chapter."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from app.web.guide import CHAPTERS, Chapter, Guide, Reference
from tests.support.client import Client
from tests.support.guide import whole_guide
from tests.support.seed import World, world
from tests.support.visiting import read, visitor


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("guide")) as each:
        yield each


@pytest.fixture(scope="module")
def anybody(made: World) -> Client:
    return visitor(made, None)


@pytest.fixture(scope="module")
def reader(made: World) -> Client:
    return visitor(made)


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda each: str(each.name))
def test_anybody_reads_a_chapter(anybody: Client, chapter: Chapter) -> None:
    page = read(anybody, chapter.path)
    assert f"<title>{chapter.title}" in page
    assert page.count('aria-current="page"') == 1
    assert 'href="/login"' in page


def test_the_contents_lead_to_every_chapter(anybody: Client) -> None:
    page = read(anybody, "/help")
    assert re.findall(r'<li><a href="(/help/[\w-]+)"', page) == [each.path for each in CHAPTERS]


def test_who_is_logged_in_has_the_frame_and_a_way_there_from_every_page(reader: Client) -> None:
    assert 'href="/login"' not in read(reader, "/help/rules")
    assert '<a href="/help">Help' in read(reader, "/")


def test_a_chapter_that_is_not_there_is_said_so(anybody: Client) -> None:
    assert "The guide has no chapter nothing." in read(anybody, "/help/nothing", 404)


def test_a_page_says_nothing_of_the_installation(anybody: Client, made: World) -> None:
    pages = "".join(read(anybody, each.path) for each in CHAPTERS)
    assert str(made.root) not in pages


def test_the_search_shows_the_passage_with_its_words_marked(reader: Client) -> None:
    page = read(reader, "/search?q=clock+changes")
    assert 'href="/help/schedules#time-zones-and-clock-changes"' in page
    assert "<mark>" in page
    assert "JOBYARD_EGRESS" in read(reader, "/search?q=jobyard_egress")


def test_what_is_found_nowhere_is_said_so(reader: Client) -> None:
    assert "Nothing is called that" in read(reader, "/search?q=xyzzyplugh")


def test_markup_in_what_is_looked_for_is_text(reader: Client) -> None:
    page = read(reader, "/search?q=%3Cscript%3E")
    assert "<script>" not in page.replace("<script src", "")


# finding


def test_a_heading_comes_before_a_mention() -> None:
    assert whole_guide().find("api tokens")[0].title == "API tokens"


def test_all_words_have_to_be_there_and_nothing_finds_nothing() -> None:
    assert whole_guide().find("rollback xyzzyplugh") == []
    assert whole_guide().find("  ") == []


def test_a_passage_is_cut_around_what_was_found() -> None:
    (first, *_) = whole_guide().find("signature that")
    text = "".join(first.parts)
    assert len(text) < 320
    assert [part.lower() for part in first.parts[1::2]]


def test_operations_and_commands_are_found_without_being_written_out() -> None:
    """What they take to be made would stay in a server's memory."""

    def unwanted() -> str:
        raise AssertionError("the whole reference was made for a search")

    guide = Guide({"api": Reference(unwanted, lambda: "### POST /prune\n\nRemove it.")})
    assert [each.anchor for each in guide.find("/prune")] == ["post-prune"]


def test_a_page_without_its_references_is_whole() -> None:
    assert Guide({}).page("settings").chapter.title == "Settings"


def test_html_in_a_chapter_is_text() -> None:
    from app.web.guide.markdown import to_html

    assert "<script>" not in to_html("# T\n\n<script>alert(1)</script> [x](javascript:alert(1))")
    assert "javascript:" not in re.findall(r'href="([^"]*)"', to_html("[x](javascript:alert(1))"))
