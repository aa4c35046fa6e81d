"""Every page and form, for each role, in one's own project and in another: made from the routes themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from app.commands.sessions import Client, open_session
from app.domain.principals import INSTALLATION, RIGHTS_OF, Right, Role
from app.store import projects, topics, users
from app.web.app import create_app
from app.web.pages import job_form, page_routes
from app.web.pages.context import PageRoute
from app.web.principal import COOKIE
from app.web.server_context import ServerContext
from tests.support.installation import Installation
from tests.support.one_of_each import MARK, NAMES, make_one_of_each, user

ROUTES = [route for route in page_routes() if isinstance(route, PageRoute)]
CLOSED = [route for route in ROUTES if route.right is not None]
EVERY = pytest.mark.parametrize(
    "route", CLOSED, ids=lambda each: f"{'POST' if each.methods == {'POST'} else 'GET'} {each.path}"
)
OURS = {"Sec-Fetch-Site": "same-origin"}
OPEN = {"/login", "/login/oidc", "/login/oidc/callback", "/login/forgot", "/login/once/{code}", "/logout"}
OPEN |= {"/public/{project}", "/help", "/help/{chapter}"}


@dataclass(frozen=True)
class Place:
    context: ServerContext
    app: Starlette

    def visitor(self, role: Role, project: str | None) -> TestClient:
        """Somebody with a role in a project, or in all."""
        name = f"{role}-{project or 'all'}"
        with self.context.db.write() as tx:
            project_id = None if project is None else projects.named(tx, project).id
            somebody = users.named(tx, name) or user(tx, self.context, name, role, project_id)
            browser = Client("192.0.2.1")
            limits, now = self.context.desk.limits, self.context.clock.now()
            session = open_session(tx, now, limits, browser, user_id=somebody.id)
        client = TestClient(self.app, follow_redirects=False, headers=OURS)
        client.cookies.set(COOKIE, session)
        return client


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Nothing that is asked of it here may change it: what is allowed is only read, what changes is refused."""
    with Installation.bare(tmp_path_factory.mktemp("rights")) as made:
        make_one_of_each(made.web)
        yield Place(made.web, create_app(made.web, nullcontext))


def ask(client: TestClient, route: PageRoute) -> tuple[int, str]:
    names = {**NAMES, "token": "1", "user": "1", "session": "0" * 16, "draft": "1"}
    if route.path.startswith("/flows/runs/"):
        names["run"] = "1"
    path = re.sub(r"\{(\w+)\}", lambda match: names[match[1]], route.path)
    if route.path.endswith(("/follow", "/live")):
        path += "?attempt=1&from=0:0"
        with client.stream("GET", path) as answer:
            return answer.status_code, "" if answer.status_code == 200 else answer.read().decode()
    answer = client.post(path) if route.methods == {"POST"} else client.get(path)
    return answer.status_code, answer.text


def test_every_route_of_the_pages_declares_its_right() -> None:
    assert len(ROUTES) == len(page_routes())
    assert {route.path for route in ROUTES if route.right is None} == OPEN


@EVERY
@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("project", ["acme", None])
def test_a_role_does_what_it_has_the_right_to(
    place: Place, route: PageRoute, role: Role, project: str | None
) -> None:
    right = route.right
    assert right is not None
    allowed = right in RIGHTS_OF[role] and (project is None or right not in INSTALLATION)
    if allowed and (route.methods == {"POST"} or route.path.endswith(("/follow", "/live"))):
        return  # what they change, tests of their own show
    status, text = ask(place.visitor(role, project), route)
    assert (status == 403) == (not allowed), text
    if allowed:
        assert status in (200, 303, 409) or (status == 404 and "{draft}" in route.path), (
            text
        )  # another's draft
        assert right is Right.READ or status != 303


@EVERY
@pytest.mark.parametrize("role", Role)
def test_another_project_is_not_there(place: Place, route: PageRoute, role: Role) -> None:
    right = route.right
    assert right is not None
    if "{" not in route.path and (route.methods == {"POST"} or route.path == "/live"):
        return  # forms for new things, whose project is in a field: below
    status, text = ask(place.visitor(role, "beside"), route)
    if (
        "{" in route.path
        and right in RIGHTS_OF[role]
        and not ("{user}" in route.path or "{token}" in route.path)
    ):
        assert status == 404, text
    elif right not in RIGHTS_OF[role] or right in INSTALLATION:
        assert status == 403, text
    else:
        assert status in (200, 303), text
    assert status != 200 or MARK not in text


def test_what_a_form_names_of_another_project_is_not_there(place: Place) -> None:
    client = place.visitor(Role.ADMIN, "beside")
    assert client.post("/jobs/new", data=a_job("acme")).status_code == 404
    assert client.post("/builds/1/deploy", data={"project": "beside", "job": "x"}).status_code == 404
    for text in ("once7k-00001", "report7k", "a" * 10):
        assert "/projects/acme" not in (found := client.get(f"/search?q={text}").text)
        assert "/runs/once" not in found
        assert "/builds/" not in found


def a_job(project: str) -> dict[str, str]:
    given, _ = job_form.shown(job_form.blank("image"))
    return {**given, "project": project, "name": "x", "source.type": "image", "source.image": "busybox"}


def test_nobody_sees_nothing(place: Place) -> None:
    client = TestClient(place.app, follow_redirects=False, headers=OURS)
    for route in CLOSED:
        status, text = ask(client, route)
        assert status == (401 if route.methods == {"POST"} else 303), (route.path, text)


@pytest.mark.parametrize(
    ("topic", "is_heard"),
    [("run:1", True), ("build:1", True), ("runs", True), ("run:77", False), ("run:x", False)],
)
def test_of_single_things_only_those_within_reach_are_heard(place: Place, topic: str, is_heard: bool) -> None:
    with place.context.db.read() as tx:
        acme, beside = (projects.named(tx, name).id for name in ("acme", "beside"))
        found = topics.project_of(tx, topic)
    assert found != beside
    assert (found == acme or ":" not in topic) == is_heard
