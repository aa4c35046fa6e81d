"""The pages about people: users, and one's own account."""

from __future__ import annotations

import re

from app.domain.principals import Role
from app.store import projects, users
from app.web.principal import COOKIE
from tests.support.client import Client
from tests.support.seed import PASSWORD, World
from tests.support.server_context import ADMIN_TOKEN
from tests.support.visiting import NOW, OURS, read, visitor


def link_in(page: str) -> str:
    found = re.search(r"<code data-copy-text>http://[^/]+(/login/once/[\w-]+)</code>", page)
    assert found is not None, page
    return found[1]


def test_somebody_is_invited_and_logs_in(made: World) -> None:
    client = visitor(made)
    with made.db.write() as tx:
        projects.create(tx, "acme", None, NOW)
    given = {"name": "grace", "email": "grace@example.com", "role": "operator", "project": "acme"}
    page = client.post("/users", data=given).text
    assert "it works once, and is shown this once" in page
    path = link_in(page)
    assert path not in read(client, "/users")
    listed = read(client, "/users")
    assert "operator (acme)" in listed
    assert "invited" in listed
    grace = visitor(made, None)
    chosen = {"name": "grace", "email": "", "password": PASSWORD, "again": PASSWORD}
    assert grace.post(path, data=chosen).status_code == 303
    assert read(grace, "/projects/acme")
    assert grace.get("/users").status_code == 403
    assert "/users" not in read(grace, "/")


def test_what_can_t_be_taken_is_said_at_its_field(made: World) -> None:
    client = visitor(made)
    for wrong, sentence in (
        ({"name": "admin-user"}, "There is a user named admin-user already."),
        ({"name": ""}, "The name must have 1 to 60 printable characters."),
        ({"email": "x"}, "The e-mail address must be one such as ada@example.com."),
        ({"project": "nowhere"}, "project must name a project, not"),
    ):
        answer = client.post("/users", data={"name": "x", "role": "viewer", **wrong})
        assert answer.status_code in (409, 422)
        assert sentence in answer.text, answer.text


def test_a_user_is_given_rights_disabled_and_removed(made: World) -> None:
    client = visitor(made)
    inside = visitor(made, Role.VIEWER)
    with made.db.read() as tx:
        user = users.named(tx, "viewer-user")
    assert user is not None
    path = f"/users/{user.id}"
    assert "End all" in read(client, path)
    assert client.post(f"{path}/grant", data={"role": "operator", "project": ""}).status_code == 303
    assert inside.get("/").status_code == 303
    assert "<b>operator</b>" in read(client, path)
    assert client.post(f"{path}/revoke", data={"project": ""}).status_code == 303
    assert "viewer-user sees nothing" in read(client, path)
    saved = client.post(path, data={"name": "vi", "email": "vi@example.com"})
    assert saved.status_code == 303
    assert client.post(f"{path}/disable").status_code == 303
    assert "disabled" in read(client, path)
    assert client.post(f"{path}/reset").status_code == 409
    assert client.post(f"{path}/enable").status_code == 303
    reset = visitor(made, None)
    new = "another good password"
    answer = reset.post(link_in(client.post(f"{path}/reset").text), data={"password": new, "again": new})
    assert answer.status_code == 303
    assert client.post(f"{path}/delete", data={"confirm": "viewer-user"}).status_code == 422
    assert client.post(f"{path}/delete", data={"confirm": "vi"}).status_code == 303
    assert client.get(path).status_code == 404


def test_the_last_administrator_stays(made: World) -> None:
    client = visitor(made)
    with made.db.read() as tx:
        user = users.named(tx, "admin-user")
    assert user is not None
    for what, data in (
        ("disable", {}),
        ("revoke", {"project": ""}),
        ("grant", {"role": "viewer", "project": ""}),
        ("delete", {"confirm": "admin-user"}),
    ):
        answer = client.post(f"/users/{user.id}/{what}", data=data)
        assert answer.status_code == 409
        assert (
            "admin-user is the last administrator who can log in: make another one first." in answer.text
        ), what


def test_one_s_own_password_and_sessions(made: World) -> None:
    client, other, third = (visitor(made, Role.OPERATOR) for _ in range(3))
    page = read(client, "/settings")
    assert page.count("this one") == 1
    mine = client.cookies[COOKIE]
    ids = re.findall(r"/settings/sessions/([0-9a-f]{16})/end", page)
    assert len(ids) == 3
    assert client.post(f"/settings/sessions/{ids[2]}/end").status_code == 303
    assert client.post(f"/settings/sessions/{'0' * 16}/end").status_code == 404
    new = "another good password"
    for wrong in ({"current": "wrong"}, {"again": "x"}, {"password": "short", "again": "short"}):
        given = {"current": PASSWORD, "password": new, "again": new, **wrong}
        assert client.post("/settings/password", data=given).status_code == 422
    given = {"current": PASSWORD, "password": new, "again": new}
    assert client.post("/settings/password", data=given).status_code == 303
    assert client.cookies[COOKIE] == mine
    assert [each.get("/").status_code for each in (client, other, third)].count(200) == 1
    assert client.post("/settings/sessions/end").status_code == 303
    assert client.get("/").status_code == 200


def test_a_token_has_no_account(made: World) -> None:
    client = Client(made.app(), headers={"Authorization": f"Bearer {ADMIN_TOKEN}", **OURS})
    assert "Your account" not in read(client, "/settings")
    answer = client.post("/settings/password", data={"password": PASSWORD, "again": PASSWORD})
    assert answer.status_code == 409
    assert "You are logged in with an API token, which has no account." in answer.text


def test_a_shared_link_opens_for_a_colleague_with_access_to_the_job(made: World) -> None:
    job = made.job("report", repository=None)
    link = f"/projects/acme/jobs/{job.name}/run?plan=small&env=A%3D1"
    with made.db.write() as tx:
        beside = projects.create(tx, "beside", None, NOW)
        hashed = users.named(tx, "viewer-user").password_hash  # type: ignore[union-attr]
        users.add(tx, "colleague", hashed, Role.OPERATOR, NOW, project_id=job.project_id)
        users.add(tx, "stranger", hashed, Role.OPERATOR, NOW, project_id=beside.id)
    for name, status in (("colleague", 200), ("stranger", 404)):
        client = visitor(made, None)
        login = client.get(link).headers["location"]
        wanted = re.search(r'name="next" value="([^"]*)"', read(client, login))
        assert wanted is not None
        data = {"name": name, "password": PASSWORD, "next": wanted[1].replace("&amp;", "&")}
        where = client.post("/login", data=data).headers["location"]
        assert where == link
        assert client.get(where).status_code == status
