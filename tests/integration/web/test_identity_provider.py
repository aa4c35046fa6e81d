"""Signing in at a real identity provider: who comes in, as whom, with which roles; and all that can go wrong."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from app.commands import accounts
from app.commands.accounts import make_administrator
from app.domain.audit import Action, Entry, Kind, Outcome
from app.domain.principals import Role
from app.oidc import Provider
from app.store import projects, sessions, users
from app.store.users import User
from app.web.app import create_app
from app.web.principal import COOKIE
from app.web.server_context import ServerContext
from tests.support.api import Caller
from tests.support.audited import entries
from tests.support.client import Client
from tests.support.clock import Clock
from tests.support.identity_provider import CLIENT, CLIENT_SECRET, IdentityProvider, identity_provider
from tests.support.installation import Installation
from tests.support.seed import PASSWORD

CALLBACK = "https://jobyard.example.com/login/oidc/callback"
BEGIN_AGAIN = "This sign-in was begun in another browser, was used already, or took over 10 min: begin again."


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IdentityProvider]:
    with identity_provider(tmp_path_factory.mktemp("provider"), CALLBACK) as running:
        yield running


@pytest.fixture
def context(tmp_path: Path, provider: IdentityProvider) -> Iterator[ServerContext]:
    with Installation.bare(tmp_path, clock=Clock(at=datetime.now(UTC))) as place:
        make_administrator(place.db, "ada", PASSWORD, place.clock.now())
        yield replace(place.web, provider=client_of(provider))


def client_of(provider: IdentityProvider, secret: str = CLIENT_SECRET, claim: str = "roles") -> Provider:
    return Provider(provider.issuer, CLIENT, secret, claim)


def browser(context: ServerContext) -> Client:
    return Client(
        create_app(context, nullcontext),
        base_url="https://jobyard.example.com",
        follow_redirects=False,
        headers={"Sec-Fetch-Site": "cross-site", "User-Agent": "Firefox"},
    )


def go(client: Client, provider: IdentityProvider, user: str, wanted: str = "/") -> str:
    """Go to the provider and log in there; the address that it sends the browser back to."""
    sent = client.get("/login/oidc", params={"next": wanted})
    assert sent.status_code == 303, sent.text
    back = provider.answer(sent.headers["location"], user)
    assert back.startswith(CALLBACK)
    return back


def sign_in(context: ServerContext, provider: IdentityProvider, user: str) -> Client:
    client = browser(context)
    answer = client.get(go(client, provider, user))
    assert answer.status_code == 303, answer.text
    return client


def turned_away(client: Client, back: str, status: int, sentence: str) -> None:
    answer = client.get(back)
    assert answer.status_code == status, answer.text
    assert sentence in answer.text.replace("&#39;", "'")
    assert 'name="password"' in answer.text  # logging in by a password goes on
    assert COOKIE not in client.cookies


def user_of(context: ServerContext, name: str) -> User:
    with context.db.read() as tx:
        found = users.named(tx, name)
    assert found is not None
    return found


def last_entry(context: ServerContext) -> Entry:
    return entries(context)[-1]


def test_the_first_sign_in_makes_a_user_and_leads_where_they_meant_to_go(
    context: ServerContext, provider: IdentityProvider
) -> None:
    provider.set_user("grace", roles=["operator", "something else"], email="grace@example.com")
    client = browser(context)
    page = client.get("/login?next=/deliveries").text
    assert 'href="/login/oidc?next=%2Fdeliveries"' in page
    answer = client.get(go(client, provider, "grace", "/deliveries"))
    assert answer.headers["location"] == "/deliveries"
    assert client.get("/deliveries").status_code == 200
    grace = user_of(context, "grace")
    assert (grace.email, grace.status, grace.subject) == ("grace@example.com", "active", "grace")
    assert [(each.role, each.project_id) for each in grace.grants] == [(Role.OPERATOR, None)]
    entry = last_entry(context)
    assert (entry.action, entry.actor.name, entry.actor.kind) == (Action.SIGN_IN_DONE, "grace", Kind.USER)
    assert entry.changes["role in all projects"] == {"from": None, "to": "operator"}
    assert entry.changes["subject"] == {"from": None, "to": "grace"}
    assert sign_in(context, provider, "grace").get("/").status_code == 200
    with context.db.read() as tx:
        assert len(users.page(tx, 10)) == 2


@pytest.mark.parametrize("evil", ["https://evil.example/", "//evil.example", "/\\evil.example"])
def test_it_never_leads_to_another_site(
    context: ServerContext, provider: IdentityProvider, evil: str
) -> None:
    provider.set_user("grace", roles=["viewer"])
    client = browser(context)
    assert client.get(go(client, provider, "grace", evil)).headers["location"] == "/"


def test_roles_are_what_the_claim_says_at_each_sign_in(
    context: ServerContext, provider: IdentityProvider
) -> None:
    with context.db.write() as tx:
        acme = projects.create(tx, "acme", None, context.clock.now())
    context = replace(context, provider=client_of(provider, claim="attributes.jobyard"))
    provider.set_user("kay", attributes={"jobyard": ["acme:admin", "acme:viewer", "viewer", "gone:admin"]})
    first = sign_in(context, provider, "kay")
    assert {(each.role, each.project_id) for each in user_of(context, "kay").grants} == {
        (Role.ADMIN, acme.id),
        (Role.VIEWER, None),
    }
    provider.set_user("kay", attributes={"jobyard": "admin"})
    second = sign_in(context, provider, "kay")
    assert first.get("/").status_code == 200  # nothing was lost
    assert [each.role for each in user_of(context, "kay").grants] == [Role.ADMIN]
    provider.set_user("kay", attributes={"jobyard": ["acme:operator"]})
    third = sign_in(context, provider, "kay")
    assert [each.get("/").status_code for each in (first, second, third)] == [303, 303, 200]
    assert last_entry(context).changes


def test_who_has_no_role_any_more_is_out(context: ServerContext, provider: IdentityProvider) -> None:
    provider.set_user("mia", roles=["admin"])
    inside = sign_in(context, provider, "mia")
    provider.set_user("mia", roles=["accounting"])
    client = browser(context)
    turned_away(
        client,
        go(client, provider, "mia"),
        403,
        "The identity provider gives mia no role here: its claim roles must be, or hold, viewer, operator or admin, "
        "or one of these in a project, as PROJECT:viewer.",
    )
    assert inside.get("/").status_code == 303
    assert user_of(context, "mia").grants == ()
    revoked, refused = entries(context)[-2:]
    assert (revoked.action, revoked.actor.name, revoked.subject.name) == (
        Action.USER_REVOKE,
        "the identity provider",
        "mia",
    )
    assert revoked.changes["role in all projects"] == {"from": "admin", "to": None}
    assert (refused.action, refused.outcome) == (Action.SIGN_IN_FAILED, Outcome.REFUSED)
    assert "its claim roles must be" in refused.detail


def test_a_stranger_without_a_role_makes_no_user(context: ServerContext, provider: IdentityProvider) -> None:
    provider.set_user("eve", roles=[])
    client = browser(context)
    turned_away(client, go(client, provider, "eve"), 403, "The identity provider gives eve no role here")
    with context.db.read() as tx:
        assert users.named(tx, "eve") is None


def test_a_disabled_user_stays_out(context: ServerContext, provider: IdentityProvider) -> None:
    provider.set_user("dan", roles=["viewer"])
    inside = sign_in(context, provider, "dan")
    with context.db.write() as tx:
        accounts.disable(tx, user_of(context, "dan"), context.clock.now())
    assert inside.get("/").status_code == 303
    client = browser(context)
    sentence = "The account dan is disabled: ask an administrator to enable it."
    turned_away(client, go(client, provider, "dan"), 403, sentence)


def test_a_name_or_an_address_that_somebody_has_takes_no_account_over(
    context: ServerContext, provider: IdentityProvider
) -> None:
    with context.db.write() as tx:
        accounts.change_user(tx, user_of(context, "ada"), name="ada", email="ada@example.com")
    provider.set_user("ada", roles=["admin"])
    provider.set_user("intruder", roles=["admin"], email="ada@example.com")
    admin = Caller(context)
    for subject, taken in (("ada", "named ada"), ("intruder", "with the address ada@example.com")):
        client = browser(context)
        turned_away(
            client,
            go(client, provider, subject),
            403,
            f"There is a user {taken} already. To let you in as that user, an administrator links it to the subject "
            f"{subject}, on the user's page.",
        )
    ada = user_of(context, "ada")
    problem = admin.post(f"/users/{ada.id}/link", json={"subject": " "})
    assert problem.json()["detail"] == "subject must have 1 to 255 printable characters."
    assert admin.made(f"/users/{ada.id}/link", {"subject": "intruder"})["subject"] == "intruder"
    other = admin.made("/users", {"name": "other"})["id"]
    problem = admin.post(f"/users/{other}/link", json={"subject": "intruder"})
    assert problem.json()["detail"] == "The identity provider's intruder is the user ada already."
    client = sign_in(context, provider, "intruder")
    assert "ada" in client.get("/settings").text
    assert admin.made(f"/users/{ada.id}/unlink")["subject"] is None
    assert client.get("/").status_code == 303
    bare = Caller(replace(context, provider=None))
    problem = bare.post(f"/users/{ada.id}/link", json={"subject": "x"})
    assert problem.json()["detail"] == (
        "There is no identity provider: JOBYARD_OIDC_ISSUER and what belongs to it are not set."
    )


def test_a_name_that_can_t_be_one_here_is_told(context: ServerContext, provider: IdentityProvider) -> None:
    provider.set_user("x" * 61, roles=["viewer"])
    client = browser(context)
    sentence = (
        "The identity provider's name for you can't be used here: "
        "The name must have 1 to 60 printable characters."
    )
    turned_away(client, go(client, provider, "x" * 61), 403, sentence)


def test_an_administrator_by_the_provider_counts_as_one(
    context: ServerContext, provider: IdentityProvider
) -> None:
    provider.set_user("zoe", roles=["admin"])
    sign_in(context, provider, "zoe")
    with context.db.write() as tx:
        accounts.remove(tx, user_of(context, "ada"))  # zoe can log in
        assert users.has_admin(tx)
    provider.set_user("zoe", roles=["viewer"])
    sign_in(context, provider, "zoe")
    assert [each.role for each in user_of(context, "zoe").grants] == [Role.VIEWER]
    with context.db.read() as tx:
        assert not users.has_admin(tx)


def test_keys_are_fetched_anew_when_the_provider_has_others(
    context: ServerContext, provider: IdentityProvider
) -> None:
    provider.set_user("rita", roles=["viewer"])
    sign_in(context, provider, "rita")
    provider.ask("POST", "/api/keys/rotate")
    sign_in(context, provider, "rita")


def test_a_sign_in_is_of_use_once_and_to_the_browser_that_began_it(
    context: ServerContext, provider: IdentityProvider
) -> None:
    provider.set_user("tom", roles=["viewer"])
    client = browser(context)
    back = go(client, provider, "tom")
    turned_away(browser(context), back, 422, BEGIN_AGAIN)
    turned_away(client, back.replace("state=", "state=x"), 422, BEGIN_AGAIN)
    client = browser(context)
    back = go(client, provider, "tom")
    kept = dict(client.cookies)
    assert client.get(back).status_code == 303
    client.cookies.delete(COOKIE)
    turned_away(client, back, 422, BEGIN_AGAIN)
    thief = browser(context)
    thief.cookies.update(kept)
    sentence = "The identity provider does not take this sign-in any more: begin again."
    turned_away(thief, back, 422, sentence)
    assert last_entry(context).detail == sentence


def test_a_sign_in_that_was_begun_long_ago_is_over(
    context: ServerContext, provider: IdentityProvider
) -> None:
    provider.set_user("tom", roles=["viewer"])
    client, clock = browser(context), context.clock
    assert isinstance(clock, Clock)
    back = go(client, provider, "tom")
    clock.advance(seconds=600)
    turned_away(client, back, 422, BEGIN_AGAIN)


def test_consent_that_was_denied_is_told(context: ServerContext, provider: IdentityProvider) -> None:
    client = browser(context)
    sent = client.get("/login/oidc")
    state = dict(each.split("=", 1) for each in urlsplit(sent.headers["location"]).query.split("&"))["state"]
    sentence = (
        "The identity provider did not let you in, or you declined: begin again, or log in with a password."
    )
    turned_away(client, f"/login/oidc/callback?error=access_denied&state={state}", 422, sentence)
    client.get("/login/oidc")


def test_an_answer_that_names_another_provider_is_refused(
    context: ServerContext, provider: IdentityProvider
) -> None:
    provider.set_user("tom", roles=["viewer"])
    client = browser(context)
    back = go(client, provider, "tom")
    sentence = "The answer is not from the identity provider of this server: begin again."
    turned_away(client, f"{back}&iss=https://evil.example", 422, sentence)


@pytest.mark.parametrize("hours", [-2, 2])
def test_clocks_that_differ_are_told_of(
    context: ServerContext, provider: IdentityProvider, hours: int
) -> None:
    provider.set_user("tom", roles=["viewer"])
    clock = Clock(at=datetime.now(UTC) + timedelta(hours=hours))
    client = browser(replace(context, clock=clock))
    sentence = "answer is of another time: its clock and this server's differ by over 2 min."
    turned_away(client, go(client, provider, "tom"), 422, sentence)


def test_a_wrong_secret_is_told_and_not_shown(
    context: ServerContext, provider: IdentityProvider, caplog: pytest.LogCaptureFixture
) -> None:
    provider.set_user("tom", roles=["viewer"])
    with caplog.at_level(logging.INFO):
        client = browser(replace(context, provider=client_of(provider, "another secret")))
        back = go(client, provider, "tom")
        sentence = (
            "The identity provider does not know this server: see JOBYARD_OIDC_CLIENT_ID and _CLIENT_SECRET."
        )
        turned_away(client, back, 422, sentence)
        sign_in(context, provider, "tom")
    assert "Sign-in by the identity provider came to nothing, from testclient: " + sentence in caplog.text
    secret = [CLIENT_SECRET, "another secret", *urlsplit(back).query.replace("=", "&").split("&")[1::2]]
    told = "".join(each.getMessage() for each in caplog.records) + str(
        [each.detail for each in entries(context)]
    )
    assert not [each for each in secret if each in told]
    assert CLIENT_SECRET not in repr(context.provider)


def test_without_the_provider_everything_else_goes_on(context: ServerContext, tmp_path: Path) -> None:
    stopped = IdentityProvider(tmp_path / "stopped", [CALLBACK])
    client = browser(replace(context, provider=client_of(stopped)))
    assert client.get("/login").status_code == 200
    turned_away(client, "/login/oidc", 503, "The identity provider can't be reached: try again later.")
    ours = {"Sec-Fetch-Site": "same-origin"}
    answer = client.post("/login", data={"name": "ada", "password": PASSWORD}, headers=ours)
    assert answer.status_code == 303
    assert last_entry(context).action is Action.SIGN_IN_DONE


def test_without_settings_there_is_no_button(context: ServerContext) -> None:
    client = browser(replace(context, provider=None))
    assert "/login/oidc" not in client.get("/login").text
    assert client.get("/login/oidc").headers["location"] == "/login"
    assert client.get("/login/oidc/callback").headers["location"] == "/login"


def test_who_is_logged_in_goes_on(context: ServerContext, provider: IdentityProvider) -> None:
    provider.set_user("tom", roles=["viewer"])
    assert (
        sign_in(context, provider, "tom").get("/login/oidc?next=/deliveries").headers["location"]
        == "/deliveries"
    )
    with context.db.read() as tx:
        open_ = sessions.of_user(tx, user_of(context, "tom").id, context.clock.now(), context.desk.limits)
    assert [each.browser for each in open_] == ["Firefox"]
