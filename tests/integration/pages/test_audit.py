"""The audit log as pages fill and show it: every form that changes something, and everybody who is not let in."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from app.commands.refusals import OF_A_NETWORK, REST
from app.domain.audit import Action, Entry, Kind, Outcome
from app.domain.backups import BackupPlan
from app.domain.schedule import Schedule
from app.web.actions import OF_FORMS
from app.web.app import create_app
from app.web.pages import page_routes
from app.web.principal import COOKIE
from app.web.server_context import ServerContext
from tests.support.api import Caller, stored_by
from tests.support.audited import ADMIN, FORMS, entries, log_in, prepare
from tests.support.client import Client
from tests.support.clock import Clock
from tests.support.installation import Installation, Stored
from tests.support.server_context import ADMIN_TOKEN

OURS = {"Sec-Fetch-Site": "same-origin", "X-Request-Id": "mine"}
OPEN = {"/login", "/login/once/{code}", "/login/forgot"}
WITH_GITHUB = {"/projects/{project}/github-app-made"}  # see `projects/test_github_apps.py`
WRONG = {"name": "root", "password": "a guess of the password"}


@pytest.fixture(scope="module")
def furnished() -> Stored:
    return stored_by(prepare)


@pytest.fixture
def place(tmp_path: Path, furnished: Stored) -> Iterator[ServerContext]:
    with Installation.bare(tmp_path, stored=furnished) as place:
        plan = BackupPlan("/srv/backups", Schedule.parse("0 3 * * *"), keep=14)
        yield replace(place.web, backups=plan)


def visitor(context: ServerContext) -> Client:
    return Client(create_app(context, nullcontext), follow_redirects=False, headers=OURS)


@pytest.fixture
def root(place: ServerContext) -> Client:
    client = visitor(place)
    client.cookies.set(COOKIE, log_in(place))
    return client


def added(context: ServerContext, before: int) -> list[Entry]:
    return list(entries(context))[before:]


def test_every_form_that_changes_something_is_sent_below() -> None:
    forms = {route.path for route in page_routes() if "POST" in (route.methods or ())}
    assert set(OF_FORMS) == forms
    assert set(FORMS) | OPEN | WITH_GITHUB == {
        path for path, action in OF_FORMS.items() if action is not None
    }


@pytest.mark.parametrize("path", FORMS)
def test_each_form_leaves_one_entry(place: ServerContext, root: Client, path: str) -> None:
    before = len(entries(place))
    where, fields = FORMS[path]
    if path.endswith("/promote"):
        [said] = re.findall(r'name="said" value="([^"]*)"', root.get(f"{where}?component=shop").text)
        fields = {**fields, "said": html.unescape(said)}
    assert root.post(where, data=fields).status_code in (200, 303)
    [entry] = added(place, before)
    assert (entry.action, entry.outcome, entry.request_id) == (OF_FORMS[path], Outcome.DONE, "mine")
    assert (entry.actor.name, entry.actor.kind) == ("root", Kind.USER)
    assert entry.actor.id is not None
    assert entry.subject.type == entry.action.type


def test_pages_leave_none(place: ServerContext, root: Client) -> None:
    before = len(entries(place))
    for path in (
        "/",
        "/projects/acme",
        "/projects/acme/jobs/once/settings",
        "/runs/1",
        "/settings",
        "/audit",
    ):
        assert root.get(path).status_code in (200, 303)
    assert added(place, before) == []


def test_previews_and_refused_values_leave_none(place: ServerContext, root: Client) -> None:
    before = len(entries(place))
    assert root.post("/projects/acme/jobs/once/run", data={"preview": "1"}).status_code == 200
    assert root.post("/projects", data={"name": "acme"}).status_code == 409
    assert root.post("/users/1/delete", data={"confirm": "no"}).status_code == 422
    assert added(place, before) == []


def test_logging_in_is_told_of_who_it_was(place: ServerContext) -> None:
    log_in(place)
    before = len(entries(place))
    assert visitor(place).post("/login", data={"name": "root", "password": ADMIN}).status_code == 303
    [entry] = added(place, before)
    assert (entry.action, entry.outcome) == (Action.SIGN_IN_DONE, Outcome.DONE)
    assert (entry.actor.name, entry.actor.kind, entry.subject.name) == ("root", Kind.USER, "root")


def test_logging_in_by_a_token_is_told_of_whose_it_was(place: ServerContext) -> None:
    token = Caller(place).made("/tokens", {"name": "of-ada", "role": "admin"})
    before = len(entries(place))
    for password in (ADMIN_TOKEN, token["token"]):
        assert visitor(place).post("/login", data={"password": password}).status_code == 303
    by_settings, by_token = added(place, before)
    assert (by_settings.action, by_settings.actor.kind) == (Action.SIGN_IN_DONE, Kind.ADMIN_TOKEN)
    assert (by_token.actor.name, by_token.actor.kind) == ("of-ada", Kind.TOKEN)


def test_a_failed_log_in_is_told_without_what_was_typed(place: ServerContext) -> None:
    log_in(place)
    before = len(entries(place))
    for fields in (WRONG, {"name": "a password typed here", "password": "x"}):
        assert visitor(place).post("/login", data=fields).status_code == 422
    known, unknown = added(place, before)
    assert {each.action for each in (known, unknown)} == {Action.SIGN_IN_FAILED}
    assert (known.outcome, known.actor.kind, known.subject.name) == (Outcome.REFUSED, Kind.NOBODY, "root")
    assert (known.detail, known.request_id) == ("Wrong password.", "mine")
    assert (unknown.subject.name, unknown.detail) == ("", "Unknown name.")


def test_many_failures_of_a_minute_become_one_entry(place: ServerContext, root: Client) -> None:
    before = len(entries(place))
    statuses = [visitor(place).post("/login", data=WRONG).status_code for _ in range(20)]
    assert 429 in statuses
    told = added(place, before)
    assert len(told) == OF_A_NETWORK
    clock = place.clock
    assert isinstance(clock, Clock)
    clock.advance(61)
    assert "Refused" in root.get("/audit").text
    [rest] = added(place, before + OF_A_NETWORK)
    assert (rest.times, rest.detail, rest.outcome) == (20 - OF_A_NETWORK, REST, Outcome.REFUSED)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_wrong_link_is_told(place: ServerContext, method: str) -> None:
    before = len(entries(place))
    password = {"password": "a password long enough", "again": "a password long enough", "name": "x"}
    answer = visitor(place).request(
        method, "/login/once/guessed", **({"data": password} if method == "POST" else {})
    )
    assert answer.status_code == 410
    [entry] = added(place, before)
    assert (entry.action, entry.outcome, entry.detail) == (
        Action.USER_ACCEPT_LINK,
        Outcome.REFUSED,
        "Link of no use.",
    )
    assert "guessed" not in str(entry)


def test_a_right_link_leaves_one(place: ServerContext) -> None:
    link = Caller(place).made("/users/2/reset")["link"]
    before = len(entries(place))
    password = {"password": "a password long enough", "again": "a password long enough", "name": "grace"}
    path = "/login/once/" + link.rpartition("/")[2]
    assert visitor(place).post(path, data=password).status_code == 303
    [entry] = added(place, before)
    assert (entry.action, entry.subject.name, entry.changes["password_hash"]) == (
        Action.USER_ACCEPT_LINK,
        "grace",
        {"changed": True},
    )


def test_a_flow_that_is_started_by_its_address_leaves_one(place: ServerContext) -> None:
    url = Caller(place).made("/projects/acme/flows/release/webhook")["url"]
    before = len(entries(place))
    client = visitor(place)
    assert client.post("/webhooks/flows/" + url.rpartition("/")[2]).status_code == 202
    assert client.post("/webhooks/flows/guessed").status_code == 404
    right, wrong = added(place, before)
    assert (right.action, right.actor.kind, right.outcome) == (
        Action.FLOW_RUN_START,
        Kind.LINK,
        Outcome.DONE,
    )
    assert (right.subject.type, right.subject.project) == ("flow_run", "acme")
    assert (wrong.action, wrong.actor.kind, wrong.outcome) == (
        Action.FLOW_RUN_START,
        Kind.LINK,
        Outcome.REFUSED,
    )


def test_the_page_shows_filters_and_links(place: ServerContext, root: Client) -> None:
    change = {"env": {"A": "<b>", "S": {"value": "sesame", "secret": True}}}
    assert Caller(place).patch("/projects/acme/jobs/once", json=change).status_code == 200
    page = root.get("/audit").text
    assert 'href="/projects/acme/jobs/once"' in page
    assert 'href="/audit" aria-current="page"' in page
    assert "&lt;b&gt;" in page
    assert "sesame" not in page
    one = root.get("/audit?action=job.change&who=admin+token&project=acme&since=2026-01-01").text
    assert set(re.findall(r'data-action="([^"]*)"', one)) == {"job.change"}
    assert "No entry is of this kind." in root.get("/audit?who=nobody+at+all").text
    of_a_thing = root.get("/audit?about=once&until=2030-01-01").text
    assert set(re.findall(r'data-action="([^"]*)"', of_a_thing)) == {"job.make", "job.change"}
    assert 'data-at="2030-01-01T00:00:00Z"' in of_a_thing
    assert "No entry is of this kind." in root.get("/audit?about=once&until=2026-01-01").text
    [export] = map(html.unescape, re.findall(r'href="([^"]*)" download="audit.jsonl"', of_a_thing))
    lines = [json.loads(line) for line in root.get(export).text.splitlines()]
    assert {each["action"] for each in lines} == {"job.make", "job.change"}
    wrong = root.get("/audit?since=never&who=root")
    assert wrong.status_code == 422
    assert "since must be a time such as 2026-01-31T06:00, or a day, not &#39;never&#39;.</p>" in wrong.text
    assert 'name="who" aria-describedby="e-who" value="root"' in wrong.text
    assert "No entry is of this kind." not in wrong.text
    wrong = root.get("/audit?action=job.changed")
    assert wrong.status_code == 422
    assert 'id="e-action">action must be one such as job.change, or job for all of those, not ' in wrong.text


def test_older_entries_are_a_page_further(place: ServerContext, root: Client) -> None:
    for number in range(60):
        Caller(place).made("/projects", {"name": f"p{number}"})
    page = root.get("/audit?action=project.make").text
    [older] = re.findall(r'rel="next" href="([^"]*)"', page)
    assert "action=project.make" in older
    first = '<a class="link" href="/projects/p0">'
    assert first in root.get(html.unescape(older)).text
    assert first not in page
