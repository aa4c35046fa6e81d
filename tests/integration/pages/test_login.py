"""Who comes in, and what each may do."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import nullcontext
from dataclasses import replace
from itertools import islice
from threading import Event

import pytest

from app.commands.accounts import setup_path
from app.domain.principals import Role, Scope
from app.web.app import create_app
from app.web.principal import COOKIE
from tests.support.client import Client
from tests.support.demo_world import Demo
from tests.support.desk import quick_desk
from tests.support.seed import PASSWORD, World
from tests.support.server_context import ADMIN_TOKEN
from tests.support.visiting import NOW, OURS, read, run_of, visitor


@pytest.mark.parametrize(
    "path", ["/", "/runs/1", "/deliveries", "/settings", "/projects/a/jobs/b/run?plan=small"]
)
def test_nobody_is_sent_to_log_in_and_back(made: World, path: str) -> None:
    client = visitor(made, None)
    answer = client.get(path)
    assert answer.status_code == 303
    login = read(client, answer.headers["location"])
    wanted = re.search(r'name="next" value="([^"]*)"', login)
    assert wanted is not None
    assert wanted[1] == path
    data = {"name": "viewer-user", "password": PASSWORD, "next": wanted[1]}
    assert client.post("/login", data=data).headers["location"] == path


@pytest.mark.parametrize(
    "evil", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"]
)
def test_log_in_never_leads_to_another_site(made: World, evil: str) -> None:
    data = {"name": "viewer-user", "password": PASSWORD, "next": evil}
    assert visitor(made, None).post("/login", data=data).headers["location"] == "/"


def test_an_administrators_token_works_as_password(made: World) -> None:
    client = visitor(made, None)
    answer = client.post("/login", data={"name": "", "password": ADMIN_TOKEN})
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "API tokens" in read(client, "/settings")


def test_a_wrong_password_says_so_and_keeps_the_name(made: World) -> None:
    client = visitor(made, None)
    answer = client.post("/login", data={"name": "admin-user", "password": "wrong"})
    assert answer.status_code == 422
    assert 'value="admin-user"' in answer.text
    assert COOKIE not in client.cookies


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"name=" + b"x" * 1024 * 1024, "application/x-www-form-urlencoded", 413),
        (b"a&" * 1001, "application/x-www-form-urlencoded", 400),
        (b"name=%ff", "application/x-www-form-urlencoded", 400),
        (b"name=\xff", "application/x-www-form-urlencoded", 400),
        (b"name=%00", "application/x-www-form-urlencoded", 422),
        (b'{"name": "x"}', "application/json", 415),
        (b"--x\r\n", "multipart/form-data; boundary=x", 415),
    ],
)
def test_a_form_that_is_none_is_refused(made: World, content: bytes, kind: str, status: int) -> None:
    """By a page, also where nobody is logged in."""
    answer = visitor(made, None).post("/login", content=content, headers={"Content-Type": kind})
    assert answer.status_code == status, answer.text
    assert "<main" in answer.text


def test_a_crowd_at_the_door_is_asked_to_wait(made: World) -> None:
    """Checking a password takes memory and time, and anybody may ask for it."""
    may_go_on = Event()

    class Slow:
        def verify(self, *_: str) -> bool:
            assert may_go_on.wait(30)
            return True

        def check_needs_rehash(self, _hash: str) -> bool:
            return False

    app = create_app(replace(made.context, desk=quick_desk(Slow())), nullcontext)
    data = {"name": "admin-user", "password": "x"}

    def log_in() -> int:
        client = Client(app, follow_redirects=False, headers=OURS)
        return client.post("/login", data=data).status_code

    with ThreadPoolExecutor(20) as crowd:
        asked = [crowd.submit(log_in) for _ in range(20)]
        refused = [each.result() for each in islice(as_completed(asked, timeout=30), 12)]
        assert refused == [429] * 12
        may_go_on.set()
        assert sorted(each.result() for each in asked) == [303] * 8 + [429] * 12
    assert log_in() == 303


def test_a_one_time_link_is_spent_by_its_button_and_only_once(made: World) -> None:
    client, path = visitor(made, None), setup_path(made.db, NOW)
    for _ in range(3):
        assert "Create the administrator's account" in read(client, path)  # looking spends nothing
    given = {"name": "ada", "password": PASSWORD, "again": PASSWORD}
    assert client.post(path, data=given).headers["location"] == "/"
    assert "Overview" in read(client, "/")
    again = visitor(made, None).post(path, data={**given, "name": "eve"})
    assert again.status_code == 410
    assert "used already" in again.text


def test_logging_out_ends_the_session_on_the_server(made: World) -> None:
    client = visitor(made)
    session = client.cookies[COOKIE]
    client.post("/logout")
    client.cookies.set(COOKIE, session)
    assert client.get("/").status_code == 303


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ],
)
def test_other_sites_can_do_nothing(made: World, demo: Demo, headers: dict[str, str]) -> None:
    client = visitor(made)
    del client.headers["Sec-Fetch-Site"]
    for path in (f"/runs/{demo.running_run}/cancel", "/settings/tokens", "/logout", "/login"):
        assert client.post(path, data={"name": "x"}, headers=headers).status_code == 403
    assert run_of(made, demo.running_run).cancel_requested_at is None


def test_a_viewer_sees_no_actions_and_can_do_none(made: World, demo: Demo) -> None:
    client, run = visitor(made, Role.VIEWER), run_of(made, demo.running_run)
    page = read(client, f"/runs/{run.name}")
    assert "Cancel this run" not in page
    assert "Run with overrides…" not in page
    job = f"/projects/{demo.job.project}/jobs/{demo.job.name}"
    for path in (
        f"/runs/{run.name}/cancel",
        f"{job}/run",
        f"{job}/pause",
        f"{job}/build",
        "/settings/tokens",
    ):
        answer = client.post(path)
        assert answer.status_code == 403
        assert "needs the role" in answer.text
    assert "API tokens" not in read(client, "/settings")


def test_a_token_of_one_project_reads_the_pages_of_that_one(made: World, demo: Demo) -> None:
    from app.commands.tokens import digest
    from app.store import projects, tokens

    with made.db.write() as tx:
        tokens.add(tx, "one", digest("jy_one"), [Scope.ADMIN], NOW, project_id=demo.job.project_id)
    client = Client(made.app(), headers={"Authorization": "Bearer jy_one"})
    assert f"/projects/{demo.job.project}/jobs/{demo.job.name}" in client.get("/").text
    with made.db.write() as tx:
        beside = projects.create(tx, "beside", None, NOW)
        tokens.add(tx, "two", digest("jy_two"), [Scope.ADMIN], NOW, project_id=beside.id)
    client = Client(made.app(), headers={"Authorization": "Bearer jy_two"})
    assert demo.job.name not in client.get("/").text
    assert client.get(f"/projects/{demo.job.project}/jobs/{demo.job.name}").status_code == 404


def test_a_token_that_is_refused_says_why_at_its_field_and_stays_typed(made: World) -> None:
    client = visitor(made)
    data = {"name": "deploys", "role": "operator", "days": "31", "project": ""}
    answer = client.post("/settings/tokens", data=data)
    assert answer.status_code == 422
    page = answer.text
    assert 'id="te-days">Choose from the list when it expires.</p>' in page
    assert 'aria-describedby="te-days" aria-invalid="true"' in page
    assert 'aria-describedby="te-name" value="deploys"' in page
    assert '<option value="operator" selected>' in page
    wrong = client.post("/settings/tokens", data={**data, "days": "30", "role": "god"}).text
    assert 'id="te-role">Choose what it may do from the list.</p>' in wrong
    assert '<option value="90" selected>' in read(client, "/settings")


def test_a_token_is_shown_once_and_can_be_revoked(made: World) -> None:
    client = visitor(made)
    page = client.post("/settings/tokens", data={"name": "deploys", "role": "viewer", "days": "30"}).text
    found = re.search(r"jy_[\w-]{40,}", page)
    assert found is not None
    assert found[0] not in read(client, "/settings")
    bearer = Client(made.app(), headers={"Authorization": f"Bearer {found[0]}"})
    assert bearer.get("/deliveries").status_code == 200
    assert client.post("/settings/tokens/1/revoke").status_code == 303
    assert bearer.get("/deliveries", follow_redirects=False).status_code == 303
    assert client.post("/settings/tokens/1/revoke").status_code == 404
    for wrong in ({"name": ""}, {"name": "x" * 61}, {"role": "god"}, {"days": "31"}):
        data = {"name": "x", "role": "viewer", "days": "30", **wrong}
        assert client.post("/settings/tokens", data=data).status_code == 422
