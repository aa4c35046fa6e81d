"""What a page offers to somebody is not refused to them; each page says in which place of the navigation it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest

from app.domain.principals import Role
from app.web.pages import page_routes
from app.web.pages.context import PageRoute, StreamRoute
from app.web.pages.places import PLACES
from tests.support.client import Client
from tests.support.one_of_each import NAMES, make_one_of_each
from tests.support.seed import World, world
from tests.support.visiting import read, visitor

FILLED = {**NAMES, "user": "1", "draft": "1", "chapter": "first-steps"}
MOST = 300  # addresses of one walk
ENDS = ("/logout", "/settings/sessions/", "/users/")  # what may end the walk itself


class _Offers(HTMLParser):
    """The links and the forms of a page, with their fields as they are."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.forms: list[tuple[str, dict[str, str]]] = []
        self.is_in_form = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "a" and (href := given.get("href", "")).startswith("/"):
            self.links.add(href.partition("#")[0])
        if tag == "form":
            self.is_in_form = given.get("method") == "post"
            if self.is_in_form:
                self.forms.append((given.get("action", ""), {}))
        if self.is_in_form and given.get("name") and given.get("type") not in ("checkbox", "radio"):
            self.forms[-1][1].setdefault(given["name"], given.get("value", ""))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self.is_in_form = False


@pytest.fixture
def made(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as each:
        make_one_of_each(each.context)
        yield each


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR, Role.ADMIN])
def test_nothing_that_is_offered_is_refused(made: World, role: Role) -> None:
    """From page to page by links; then each form that was seen is sent once, as it was."""
    client = visitor(made, role)
    forms, seen = walked(client)
    assert len(seen) > 20
    assert not [path for path, status in seen.items() if status in (403, 405) or status >= 500]
    refused = {}
    for action, fields in forms.items():
        answer = client.post(action, data=fields)
        if answer.status_code in (401, 403, 405) or answer.status_code >= 500:
            refused[action] = answer.status_code
    assert refused == {}
    assert forms or role is Role.VIEWER


def walked(client: Client) -> tuple[dict[str, dict[str, str]], dict[str, int]]:
    """Each form that was seen, with its fields, and what each address answered."""
    todo, seen = ["/"], dict[str, int]()
    forms: dict[str, dict[str, str]] = {}
    while todo and len(seen) < MOST:
        path = todo.pop(0)
        if path in seen or path.startswith(("/static/", "/api/")):
            continue
        answer = client.get(path)
        seen[path] = answer.status_code
        if "text/html" not in answer.headers.get("content-type", ""):
            continue
        offers = _Offers(answer.text)
        todo += sorted(offers.links)
        for action, fields in offers.forms:
            address = urlsplit(urljoin(path, action)).path
            if not address.startswith(ENDS):
                forms.setdefault(address, fields)
    return forms, seen


def test_each_page_is_in_one_place_of_the_navigation() -> None:
    for route in page_routes():
        assert isinstance(route, PageRoute)
        if route.methods == {"POST"} or route.right is None or isinstance(route, StreamRoute):
            continue
        path = re.sub(r"\{(\w+)\}", lambda match: FILLED[match[1]], route.path)
        found = [place.name for place in PLACES if place.path == path or re.fullmatch(place.within, path)]
        assert len(found) == 1 or path == "/streams", (path, found)


def test_the_open_place_is_marked(made: World) -> None:
    client = visitor(made)
    for path, name in (
        ("/", "Overview"),
        ("/runs/once7k-00001", "Runs"),
        ("/projects/acme/jobs/report7k", "Projects"),
    ):
        navigation = read(client, path).split('<nav aria-label="Main">')[1].split("</nav>")[0]
        assert re.findall(r'aria-current="\w+">([^<]+)<', navigation) == [name]
