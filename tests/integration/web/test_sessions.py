"""Sessions end with what opened them; of links that log somebody in, there is one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from app.commands.sessions import hash_password, new_login_path
from app.commands.tokens import digest, new_token
from app.domain.principals import Role
from app.store import tokens, users
from app.web.app import create_app
from app.web.server_context import ServerContext
from tests.support.client import Client
from tests.support.yard import ADMIN_TOKEN, START, StillClock, make_yard


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[ServerContext]:
    with make_yard(tmp_path) as made:
        yield made


def browser(yard: ServerContext) -> Client:
    return Client(
        create_app(yard, nullcontext),
        base_url="https://testserver",
        follow_redirects=False,
        headers={"Sec-Fetch-Site": "same-origin"},
    )


def logged_in(yard: ServerContext, password: str, name: str = "") -> Client:
    client = browser(yard)
    assert client.post("/login", data={"name": name, "password": password}).status_code == 303
    assert is_inside(client)
    return client


def is_inside(client: Client) -> bool:
    page = client.get("/settings").status_code
    api = client.get("/api/v1/projects").status_code
    assert (page, api) in ((200, 200), (303, 401))
    return page == 200


def token(yard: ServerContext, expires_in: timedelta | None = None) -> tuple[int, str]:
    secret = new_token()
    expires_at = None if expires_in is None else START + expires_in
    with yard.db.write() as tx:
        made = tokens.add(tx, "laptop", digest(secret), Role.ADMIN, START, expires_at=expires_at)
    return made.id, secret


def test_revoking_a_token_ends_the_sessions_opened_with_it(yard: ServerContext) -> None:
    (number, secret), (_, other) = token(yard), token(yard)
    first, second, third = logged_in(yard, secret), logged_in(yard, secret), logged_in(yard, other)
    assert third.post(f"/settings/tokens/{number}/revoke").status_code == 303
    assert not is_inside(first)
    assert not is_inside(second)
    assert is_inside(third)
    assert first.post("/settings/tokens", data={"name": "x", "role": "admin", "days": ""}).status_code == 401


def test_a_session_does_not_outlive_its_token(yard: ServerContext) -> None:
    _, secret = token(yard, timedelta(hours=1))
    client = logged_in(yard, secret)
    assert isinstance(yard.clock, StillClock)
    yard.clock.advance(minutes=59)
    assert is_inside(client)
    yard.clock.advance(minutes=1)
    assert not is_inside(client)


@pytest.mark.parametrize("changed", [None, "another"])
def test_a_session_ends_with_the_token_of_the_settings(yard: ServerContext, changed: str | None) -> None:
    client = logged_in(yard, ADMIN_TOKEN)
    later = browser(replace(yard, admin_token_hash=changed and digest(changed)))
    later.cookies = client.cookies
    assert not is_inside(later)
    assert is_inside(client)


def test_a_session_of_a_user_is_no_token_s(yard: ServerContext) -> None:
    with yard.db.write() as tx:
        users.add(tx, "ada", hash_password("a long password"), Role.ADMIN, START)
    assert is_inside(logged_in(yard, "a long password", "ada"))


def test_a_newer_link_voids_the_older_ones(yard: ServerContext) -> None:
    first, second, third = (new_login_path(yard.db, START) for _ in range(3))
    assert [browser(yard).post(path).status_code for path in (first, second, third, third)] == [
        410, 410, 303, 410,
    ]  # fmt: skip


def test_no_link_works_once_there_is_an_administrator_but_those_made_later(yard: ServerContext) -> None:
    before = new_login_path(yard.db, START)
    with yard.db.write() as tx:
        users.add(tx, "ada", "hash", Role.ADMIN, START)
    assert browser(yard).post(before).status_code == 410
    assert browser(yard).post(new_login_path(yard.db, START)).status_code == 303


def test_a_link_is_no_session_and_a_session_no_link(yard: ServerContext) -> None:
    path = new_login_path(yard.db, START)
    client = browser(yard)
    client.cookies.set("jobyard_session", path.rpartition("/")[2])
    assert not is_inside(client)
    inside = browser(yard)
    assert inside.post(path).status_code == 303
    session = inside.cookies["jobyard_session"]
    assert browser(yard).post(f"/login/once/{session}").status_code == 410
    assert is_inside(inside)
