"""Sessions end with what opened them; of links that log somebody in, there is one."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta

import pytest

from app.commands.accounts import make_administrator, setup_path
from app.commands.passwords import hash_password
from app.commands.tokens import digest, new_token
from app.domain.principals import Role, Scope
from app.store import tokens, users
from app.web.app import create_app
from app.web.server_context import ServerContext
from tests.support.client import Client
from tests.support.clock import START, Clock
from tests.support.server_context import ADMIN_TOKEN
from tests.support.visiting import PASSWORD

ADA = {"name": "ada", "email": "", "password": PASSWORD, "again": PASSWORD}


def browser(context: ServerContext) -> Client:
    return Client(
        create_app(context, nullcontext),
        base_url="https://testserver",
        follow_redirects=False,
        headers={"Sec-Fetch-Site": "same-origin"},
    )


def logged_in(context: ServerContext, password: str, name: str = "") -> Client:
    client = browser(context)
    assert client.post("/login", data={"name": name, "password": password}).status_code == 303
    assert is_inside(client)
    return client


def is_inside(client: Client) -> bool:
    page = client.get("/settings").status_code
    api = client.get("/api/v1/projects").status_code
    assert (page, api) in ((200, 200), (303, 401))
    return page == 200


def token(context: ServerContext, expires_in: timedelta | None = None) -> tuple[int, str]:
    secret = new_token()
    expires_at = None if expires_in is None else START + expires_in
    with context.db.write() as tx:
        made = tokens.add(tx, secret[:20], digest(secret), [Scope.ADMIN], START, expires_at=expires_at)
    return made.id, secret


def test_revoking_a_token_ends_the_sessions_opened_with_it(context: ServerContext) -> None:
    (number, secret), (_, other) = token(context), token(context)
    first, second, third = logged_in(context, secret), logged_in(context, secret), logged_in(context, other)
    assert third.post(f"/settings/tokens/{number}/revoke").status_code == 303
    assert not is_inside(first)
    assert not is_inside(second)
    assert is_inside(third)
    assert first.post("/settings/tokens", data={"name": "x", "role": "admin", "days": ""}).status_code == 401


def test_a_session_does_not_outlive_its_token(context: ServerContext) -> None:
    _, secret = token(context, timedelta(hours=1))
    client = logged_in(context, secret)
    assert isinstance(context.clock, Clock)
    context.clock.advance(minutes=59)
    assert is_inside(client)
    context.clock.advance(minutes=1)
    assert not is_inside(client)


@pytest.mark.parametrize("changed", [None, "another"])
def test_a_session_ends_with_the_token_of_the_settings(context: ServerContext, changed: str | None) -> None:
    client = logged_in(context, ADMIN_TOKEN)
    later = browser(replace(context, admin_token_hash=changed and digest(changed)))
    later.cookies = client.cookies
    assert not is_inside(later)
    assert is_inside(client)


def test_a_session_of_a_user_is_no_token_s(context: ServerContext) -> None:
    with context.db.write() as tx:
        users.add(tx, "ada", hash_password("a long password"), Role.ADMIN, START)
    assert is_inside(logged_in(context, "a long password", "ada"))


def test_a_newer_link_voids_the_older_ones(context: ServerContext) -> None:
    first, second, third = (setup_path(context.db, START) for _ in range(3))
    assert [browser(context).post(path, data=ADA).status_code for path in (first, second, third, third)] == [
        410, 410, 303, 410,
    ]  # fmt: skip


def test_no_link_works_once_there_is_an_administrator_but_those_made_later(context: ServerContext) -> None:
    before = setup_path(context.db, START)
    make_administrator(context.db, "eve", PASSWORD, START)
    assert browser(context).post(before, data=ADA).status_code == 410
    assert browser(context).post(setup_path(context.db, START), data=ADA).status_code == 303


def test_a_link_is_no_session_and_a_session_no_link(context: ServerContext) -> None:
    path = setup_path(context.db, START)
    client = browser(context)
    client.cookies.set("jobyard_session", path.rpartition("/")[2])
    assert not is_inside(client)
    inside = browser(context)
    assert inside.post(path, data=ADA).status_code == 303
    session = inside.cookies["jobyard_session"]
    assert browser(context).post(f"/login/once/{session}", data=ADA).status_code == 410
    assert is_inside(inside)
