"""Logging in: what is counted, what is told of it, and how accounts begin and end."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from dataclasses import replace

import pytest
from argon2 import PasswordHasher
from httpx2 import Response
from starlette.testclient import TestClient

from app.commands import accounts
from app.commands.accounts import make_administrator
from app.commands.passwords import check_password
from app.commands.sessions import Client
from app.commands.sign_in import sign_in
from app.domain.audit import Action
from app.domain.errors import Busy, Conflict, UserError
from app.domain.principals import Role
from app.runtime.pace import Pace
from app.store import audit, sessions, users
from app.store.audit import Wanted
from app.store.users import User
from app.web.app import create_app
from app.web.principal import DEVICE
from app.web.server_context import ServerContext
from tests.support.clock import START, Clock
from tests.support.desk import QUICK, quick_desk
from tests.support.seed import PASSWORD
from tests.support.server_context import ADMIN_TOKEN

HOME, AWAY = "192.0.2.7", "203.0.113.9"


class Turns(Pace):
    """Counts who is made to wait, and lets nobody wait."""

    def __init__(self) -> None:
        super().__init__(a_second=1, at_once=1, longest=0)
        self.taken = 0

    def wait(self, _now: float) -> float:
        self.taken += 1
        return 0.0


@pytest.fixture
def context(context: ServerContext) -> ServerContext:
    make_administrator(context.db, "ada", PASSWORD, START)
    return context


def browser(context: ServerContext, address: str = HOME) -> TestClient:
    return TestClient(
        create_app(context, nullcontext),
        base_url="https://testserver",
        follow_redirects=False,
        headers={"Sec-Fetch-Site": "same-origin", "User-Agent": "Firefox"},
        client=(address, 50000),
    )


def try_in(client: TestClient, password: str, name: str = "ada") -> int:
    return client.post("/login", data={"name": name, "password": password}).status_code


def user_of(context: ServerContext, name: str) -> User:
    with context.db.read() as tx:
        found = users.named(tx, name)
    assert found is not None
    return found


def test_guessers_elsewhere_don_t_keep_out_whom_the_account_knows(context: ServerContext) -> None:
    at_home = browser(context)
    assert try_in(at_home, PASSWORD) == 303
    for number in range(15):
        guesser = browser(context, f"203.0.{number}.9")
        assert [try_in(guesser, "wrong") for _ in range(4)] == [422, 422, 422, 429]
    assert try_in(at_home, PASSWORD) == 303
    assert try_in(browser(context, "192.0.2.99"), PASSWORD) == 303  # another browser in the same network
    moved = browser(context, AWAY)
    moved.cookies.set(DEVICE, at_home.cookies[DEVICE])
    assert try_in(moved, PASSWORD) == 303


def test_each_wrong_password_delays_the_next_try(context: ServerContext) -> None:
    client, clock = browser(context, AWAY), context.clock
    assert isinstance(clock, Clock)
    assert [try_in(client, "wrong") for _ in range(3)] == [422, 422, 422]
    answer = client.post("/login", data={"name": "ada", "password": PASSWORD})
    assert answer.status_code == 429
    assert "Too many wrong passwords: try again in 1 s" in answer.text
    clock.advance(seconds=1)
    assert try_in(client, PASSWORD) == 303


def test_an_administrators_token_is_not_held_up(context: ServerContext) -> None:
    client = browser(context, AWAY)
    assert [try_in(client, "wrong", "") for _ in range(4)] == [422, 422, 422, 429]
    assert try_in(client, ADMIN_TOKEN, "") == 303


def test_a_failure_is_a_line_that_names_the_address_and_no_secret(
    context: ServerContext, caplog: pytest.LogCaptureFixture
) -> None:
    client = browser(context, AWAY)
    with caplog.at_level(logging.WARNING):
        try_in(client, "wrong hunter2")
        try_in(client, "wrong hunter2", "my password as the name")
        try_in(client, "wrong hunter2" * 100)
        with context.db.write() as tx:
            users.add(tx, "eve", user_of(context, "ada").password_hash, Role.VIEWER, START)
            accounts.disable(tx, users.named(tx, "eve"), START)  # type: ignore[arg-type]
        try_in(client, PASSWORD, "eve")
        for _ in range(3):
            try_in(client, "wrong hunter2")
    lines = [each.getMessage() for each in caplog.records if "refused" in each.getMessage()]
    assert lines == [
        f"Sign-in refused from {AWAY}: account ada, wrong password",
        f"Sign-in refused from {AWAY}: no account, unknown name",
        f"Sign-in refused from {AWAY}: no account, password too long",
        f"Sign-in refused from {AWAY}: account eve, account disabled",
        f"Sign-in refused from {AWAY}: account ada, wrong password",
        f"Sign-in refused from {AWAY}: account ada, wrong password",
        f"Sign-in refused from {AWAY}: account ada, too many tries",
    ]


def test_too_many_at_once_are_asked_to_wait(context: ServerContext) -> None:
    places = context.desk.strangers
    for _ in range(8):
        assert places._places.acquire(blocking=False)
    with pytest.raises(Busy) as said:
        sign_in(context.db, context.desk, "ada", PASSWORD, Client(AWAY), START, None)
    assert str(said.value) == "Too many are logging in at once: try again in a moment."


def test_a_storm_of_guesses_keeps_out_nobody_whom_the_account_knows(context: ServerContext) -> None:
    at_home = browser(context)
    assert try_in(at_home, PASSWORD) == 303
    for _ in range(8):
        assert context.desk.strangers._places.acquire(blocking=False)
    answer = browser(context, AWAY).post("/login", data={"name": "ada", "password": PASSWORD})
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "5")
    assert "Too many are logging in at once: try again in a moment." in answer.text
    assert try_in(at_home, PASSWORD) == 303


def test_what_is_refused_leaves_at_a_pace_and_nobody_else_waits(context: ServerContext) -> None:
    turns = Turns()
    context = replace(context, desk=quick_desk(refusing=turns))
    client = browser(context, AWAY)
    assert [try_in(client, "wrong") for _ in range(4)] == [422, 422, 422, 429]
    assert client.post("/login/once/nothing", data={}).status_code == 410
    assert turns.taken == 5
    assert try_in(browser(context), PASSWORD) == 303
    assert client.get("/login").status_code == 200
    assert turns.taken == 5


def test_an_older_hash_is_renewed_once_its_password_was_right(context: ServerContext) -> None:
    older = PasswordHasher(time_cost=1, memory_cost=64, parallelism=4).hash(PASSWORD)
    with context.db.write() as tx:
        users.set_password(tx, user_of(context, "ada").id, older)
    client = browser(context)
    assert try_in(client, "wrong") == 422
    assert user_of(context, "ada").password_hash == older
    assert try_in(client, PASSWORD) == 303
    renewed = user_of(context, "ada").password_hash
    assert renewed != older
    assert not QUICK.check_needs_rehash(renewed)
    assert try_in(client, PASSWORD) == 303
    assert user_of(context, "ada").password_hash == renewed
    with context.db.write() as tx:
        users.renew_hash(tx, user_of(context, "ada").id, older, "what comes too late")
    assert user_of(context, "ada").password_hash == renewed


def test_an_invitation_makes_name_and_password_once(context: ServerContext) -> None:
    with context.db.write() as tx:
        eve = accounts.invite(
            tx, name="eve", email="Eve@Example.com", role=Role.VIEWER, project=None, now=START
        )
        older, path = (accounts.link_to(tx, eve, START).path for _ in range(2))
    client = browser(context)
    assert try_in(client, "", "eve") == 422
    assert client.get(older).status_code == 410
    page = client.get(path).text
    assert "You are invited" in page
    assert 'value="eve@example.com"' in page
    given = {"name": "evelyn", "email": "", "password": PASSWORD, "again": PASSWORD}
    for wrong, sentence in (
        ({"again": "x"}, "The two passwords differ."),
        ({"password": "short", "again": "short"}, "The password must have 12 to 1000 characters, not 5."),
        ({"name": "ada"}, "There is a user named ada already."),
        ({"name": " "}, "The name must have 1 to 60 printable characters."),
        ({"email": "eve"}, "The e-mail address must be one such as ada@example.com."),
    ):
        answer = client.post(path, data={**given, **wrong})
        assert answer.status_code in (409, 422)
        assert sentence in answer.text
    assert client.post(path, data=given).status_code == 303
    assert "evelyn" in client.get("/").text
    assert client.get("/settings").status_code == 200
    assert browser(context).post(path, data={**given, "name": "x"}).status_code == 410
    assert try_in(browser(context), PASSWORD, "evelyn") == 303
    assert user_of(context, "evelyn").email is None


def test_a_link_of_no_use_costs_no_hash_and_is_told_of(
    context: ServerContext, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts, "hash_password", None)
    given = {"name": "x", "password": PASSWORD, "again": PASSWORD}
    assert browser(context, AWAY).post("/login/once/guessed", data=given).status_code == 410
    assert f"Sign-in refused from {AWAY}: no account, link of no use" in caplog.text


def test_an_invitation_is_over_after_a_week(context: ServerContext) -> None:
    with context.db.write() as tx:
        eve = accounts.invite(tx, name="eve", email=None, role=None, project=None, now=START)
        path = accounts.link_to(tx, eve, START).path
    assert isinstance(context.clock, Clock)
    context.clock.advance(days=7)
    assert browser(context).get(path).status_code == 410


def test_a_reset_ends_all_sessions_and_keeps_the_name(context: ServerContext) -> None:
    inside = browser(context)
    assert try_in(inside, PASSWORD) == 303
    with context.db.write() as tx:
        path = accounts.link_to(tx, user_of(context, "ada"), START).path
    client = browser(context)
    assert "Choose a new password for" in client.get(path).text
    new = "another good password"
    answer = client.post(path, data={"name": "mallory", "password": new, "again": new})
    assert answer.status_code == 303
    assert inside.get("/").status_code == 303
    assert client.get("/").status_code == 200
    assert try_in(browser(context), PASSWORD) == 422
    assert try_in(browser(context), new) == 303


def change(client: TestClient, current: str, new: str = "another good password") -> Response:
    return client.post("/settings/password", data={"current": current, "password": new, "again": new})


def test_another_password_ends_the_other_sessions(context: ServerContext) -> None:
    first, second = browser(context), browser(context)
    assert [try_in(each, PASSWORD) for each in (first, second)] == [303, 303]
    assert "That is not the present password." in change(first, "wrong").text
    assert change(first, PASSWORD).status_code == 303
    assert first.get("/").status_code == 200
    assert second.get("/").status_code == 303


def test_who_took_over_a_session_can_t_guess_its_password_faster_than_at_the_door(
    context: ServerContext, caplog: pytest.LogCaptureFixture
) -> None:
    stolen, own = browser(context), browser(context)
    assert [try_in(each, PASSWORD) for each in (stolen, own)] == [303, 303]
    assert [change(stolen, f"wrong {n}").status_code for n in range(4)] == [422, 422, 422, 429]
    assert change(stolen, PASSWORD).status_code == 429
    assert (
        change(own, "wrong " * 300).status_code == 422
    )  # longer than any password, and looked at no further
    assert change(own, PASSWORD).status_code == 303
    lines = [each.getMessage() for each in caplog.records if "refused" in each.getMessage()]
    assert lines[0] == f"Sign-in refused from {HOME}: account ada, wrong present password"
    assert f"Sign-in refused from {HOME}: account ada, too many tries" in lines
    with context.db.read() as tx:
        told = audit.page(tx, Wanted(action=Action.SIGN_IN_FAILED), 10)
    assert {each.detail for each in told} == {"Wrong present password."}


@pytest.mark.parametrize("change", ["disable", "remove", "role", "revoke"])
def test_what_takes_rights_away_ends_sessions(context: ServerContext, change: str) -> None:
    make_administrator(context.db, "eve", PASSWORD, START)
    client = browser(context)
    assert try_in(client, PASSWORD, "eve") == 303
    with context.db.write() as tx:
        eve = users.named(tx, "eve")
        assert eve is not None
        match change:
            case "disable":
                accounts.disable(tx, eve, START)
            case "remove":
                accounts.remove(tx, eve)
            case "role":
                accounts.grant(tx, eve, Role.VIEWER, None)
            case _:
                accounts.revoke(tx, eve, None)
    assert client.get("/").status_code == 303
    with context.db.read() as tx:
        assert sessions.of_user(tx, eve.id, START, context.desk.limits) == []


def test_who_is_disabled_gets_no_link_and_comes_back_by_their_password(context: ServerContext) -> None:
    make_administrator(context.db, "eve", PASSWORD, START)
    with context.db.write() as tx:
        eve = accounts.disable(tx, user_of(context, "eve"), START)
        with pytest.raises(Conflict) as said:
            accounts.link_to(tx, eve, START)
    assert str(said.value) == "eve is disabled: enable the account first."
    assert try_in(browser(context), PASSWORD, "eve") == 422
    with context.db.write() as tx:
        assert accounts.enable(tx, eve).status == "active"
    assert try_in(browser(context), PASSWORD, "eve") == 303


def test_what_is_easily_guessed_is_no_password() -> None:
    for wrong, name in (("abababababab", "x"), ("evelyn-smith1", "Evelyn-Smith1")):
        with pytest.raises(UserError) as said:
            check_password(wrong, name)
        assert str(said.value) == (
            "The password must have five different characters or more, and not be the name."
        )


def test_sessions_say_where_they_are_from(context: ServerContext) -> None:
    client = browser(context)
    assert try_in(client, PASSWORD) == 303
    assert isinstance(context.clock, Clock)
    context.clock.advance(minutes=5)
    assert client.get("/").status_code == 200
    with context.db.read() as tx:
        (shown,) = sessions.of_user(tx, user_of(context, "ada").id, context.clock.now(), context.desk.limits)
    assert (shown.address, shown.browser, shown.created_at) == (HOME, "Firefox", START)
    assert shown.last_seen_at == context.clock.now()
    context.clock.advance(days=7)
    assert client.get("/").status_code == 303
