"""GitHub Apps by the API and on pages: made by a manifest, kept by hand, looked at, used, forgotten."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from app.commands.app_tokens import AppTokens
from app.commands.remote_access import git_access
from app.domain.audit import Action
from app.store import credentials, github_apps, projects
from app.store.github_apps import GithubApp
from tests.support import github
from tests.support.audited import entries
from tests.support.client import Client
from tests.support.forms import form_fields
from tests.support.github import APP_ID, PEM, WEBHOOK_SECRET, GitHub
from tests.support.project_pages import ACME, API, make, shown, visitor
from tests.support.seed import World
from tests.support.senders import FIXTURES

APPS = f"{ACME}/github-apps"
OTHER_SECRET = "another webhook secret of acme"
MANIFEST, MADE = f"{ACME}/github-app-manifest", f"{ACME}/github-app-made"
HAND = {"name": "octo", "host": "github.com", "app_id": str(APP_ID), "private_key": PEM}
URL = "https://github.com/acme/report"


@pytest.fixture
def double(made: World) -> GitHub:
    return GitHub(made.clock)


@pytest.fixture
def page(made: World, api: Client, double: GitHub) -> Client:
    tokens = AppTokens(made.clock, double.send)
    return visitor(made, context=replace(made.context, app_tokens=tokens))


def kept(made: World, name: str = "octo") -> GithubApp:
    with made.db.read() as tx:
        return github_apps.named(tx, projects.named(tx, "acme").id, name)


def opened(made: World) -> Any:
    with made.db.read() as tx:
        return git_access(tx, made.context.vault, kept(made).credential.id, URL)


def begun(page: Client) -> tuple[str, dict[str, str]]:
    """Where the form of the manifest goes, and what it sends."""
    answer = page.post(MANIFEST, data={"name": "octo", "host": "github.com", "organization": "acme"})
    assert answer.status_code == 200, answer.text
    assert "form-action 'self' https://github.com" in answer.headers["content-security-policy"]
    there = answer.text.split('action="https://github.com')[1].split('"')[0]
    return f"https://github.com{there}", form_fields(answer.text, f"https://github.com{there}")


def test_an_app_is_made_by_a_manifest(made: World, api: Client, page: Client, double: GitHub) -> None:
    there, sent = begun(page)
    assert urlsplit(there).path == "/organizations/acme/settings/apps/new"
    wanted = json.loads(sent["manifest"])
    assert wanted["hook_attributes"]["url"] == f"{made.context.public_url}/webhooks/github"
    assert wanted["default_permissions"] == double.permissions
    assert wanted["redirect_url"] == f"{made.context.public_url}{MADE}"
    (state,) = parse_qs(urlsplit(there).query)["state"]

    double.code = "the-code"
    back = page.get(f"{MADE}?code=the-code&state={state}")
    assert double.code  # nothing is done by coming back alone
    done = page.post(MADE, data=form_fields(back.text, MADE))
    assert (done.status_code, done.headers["location"]) == (303, f"{APPS}/octo")
    assert (kept(made).app_id, kept(made).slug) == (APP_ID, "jobyard-acme")
    assert opened(made).app.private_key == PEM
    [entry] = [each for each in entries(made.context) if each.action is Action.CREDENTIAL_MAKE]
    assert (entry.subject.name, entry.changes["app_id"]["to"]) == ("octo", APP_ID)
    text = page.get(f"{APPS}/octo").text + api.get(f"/api/v1{APPS}/octo").text
    assert "PRIVATE" not in text
    assert WEBHOOK_SECRET not in text
    again = page.post(MADE, data={"code": "the-code", "state": state})
    assert "It works once, and for an hour." in again.text.replace("&#39;", "'") or "works once" in again.text


def test_what_did_not_begin_here_is_not_kept(made: World, api: Client, page: Client, double: GitHub) -> None:
    _, double.code = begun(page), "the-code"
    for state in ("forged", ""):
        refused = page.post(MADE, data={"code": "the-code", "state": state})
        assert "This did not begin on a page of this project, or more than an hour ago" in refused.text
    there, _ = begun(page)
    (state,) = parse_qs(urlsplit(there).query)["state"]
    made.clock.advance(3601)
    late = page.get(f"{MADE}?code=the-code&state={state}")
    assert "This did not begin on a page of this project" in late.text
    assert api.get(f"/api/v1{APPS}").json()["items"] == []


def test_an_app_is_kept_by_hand_and_changed(made: World, api: Client, page: Client) -> None:
    assert page.post(APPS, data=HAND).headers["location"] == f"{APPS}/octo"
    assert page.get(f"{ACME}/credentials/octo").headers["location"] == f"{APPS}/octo"
    assert shown(api, f"{APPS}/octo")["has_webhook_secret"] is False
    other = github.new_pem()
    flat = other.replace("\n", "")  # as a field of one line has it
    changed = {"private_key": flat, "webhook_secret": "another long secret"}
    assert page.post(f"{APPS}/octo", data=changed).status_code == 303
    assert opened(made).app.private_key == other
    assert shown(api, f"{APPS}/octo")["has_webhook_secret"] is True
    as_credential = api.patch(f"/api/v1{ACME}/credentials/octo", json={"secret": "x"})
    assert (as_credential.status_code, as_credential.json()["detail"]) == (
        409,
        "Credential octo is a GitHub App: change it as one, at github-apps.",
    )
    assert "Type" in page.post(f"{APPS}/octo/delete", data={"confirm": "no"}).text
    assert page.post(f"{APPS}/octo/delete", data={"confirm": "octo"}).status_code == 303
    with made.db.read() as tx:
        assert github_apps.everywhere(tx) == []
        assert credentials.find(tx, 1, "octo") is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"app_id": "abc"}, "app_id must be the App&#39;s number at GitHub, such as 4711."),
        (
            {"private_key": "a token"},
            "private_key must be the RSA private key that GitHub made for the App, from -----BEGIN to -----END.",
        ),
        ({"private_key": PEM[:400]}, "private_key must be a whole private key that ssh can use"),
        ({"webhook_secret": "short"}, "webhook_secret must have at least 16 characters"),
        ({"api_url": "github"}, "api_url must be an address such as https://github.example.com/api/v3"),
    ],
)
def test_what_is_no_app_is_refused_at_its_field(page: Client, change: dict[str, str], said: str) -> None:
    refused = page.post(APPS, data={**HAND, **change})
    assert refused.status_code == 422
    assert said in refused.text
    assert "PRIVATE KEY" not in refused.text


def test_github_is_asked_what_the_app_reaches(made: World, api: Client, page: Client, double: GitHub) -> None:
    page.post(APPS, data=HAND)
    for name, repository in (("seen", "report2"), ("unseen", "secret")):
        git = {"url": f"https://github.com/acme/{repository}", "credential": "octo"}
        body = {"name": name, "source": {"type": "git", "git": git}}
        assert api.post(f"{API}/acme/jobs", json=body).status_code == 201
    double.repositories = {f"acme/report{number}": number % 2 == 0 for number in range(250)}
    double.permissions, double.events = {"contents": "write", "metadata": "read"}, ["push"]
    text = page.post(f"{APPS}/octo/look").text
    assert (
        "GitHub App octo lacks checks: write, statuses: write, event check_run, event check_suite: give it these at"
        " GitHub, and accept them where it is installed."
    ) in text
    assert text.count("acme/report") == 250
    assert text.count(">private<") == 125
    assert "Job unseen: GitHub App octo is not installed on acme/secret" in text
    assert "Job seen" not in text
    assert "GitHub App octo has no webhook secret here, so calls of its webhook are refused: set it." in text
    double.is_installed = False
    text = page.post(f"{APPS}/octo/look").text
    assert "GitHub App octo is installed nowhere yet: install it at GitHub." in text
    double.is_deleted = True
    assert f"GitHub has no App {APP_ID} (404)" in page.post(f"{APPS}/octo/look").text


def test_a_webhook_of_the_app_is_taken_for_all_repositories_of_its_project(
    made: World, api: Client, page: Client
) -> None:
    page.post(APPS, data={**HAND, "webhook_secret": WEBHOOK_SECRET})
    make(api, "jobs", {"name": "built", "source": {"type": "git", "git": {"url": URL, "credential": "octo"}}})
    body = json.dumps(
        {"ref": "refs/heads/main", "repository": {"full_name": "acme/report", "clone_url": URL}}
    )
    headers = github.signed(body.encode(), WEBHOOK_SECRET, "push", "guid-1")
    assert page.post("/webhooks/github", content=body, headers=headers).status_code == 202
    for event in ("installation", "installation_repositories", "check_suite"):
        headers = github.signed(b"{}", WEBHOOK_SECRET, event, f"guid-{event}")
        answer = page.post("/webhooks/github", content="{}", headers=headers)
        assert answer.json()["status"] == "ignored"
    headers = github.signed(body.encode(), "of another App altogether", "push", "guid-2")
    assert page.post("/webhooks/github", content=body, headers=headers).status_code == 401


def test_another_webhook_secret_of_the_app_takes_the_place_of_the_first(
    made: World, api: Client, page: Client
) -> None:
    page.post(APPS, data={**HAND, "webhook_secret": WEBHOOK_SECRET})
    make(api, "jobs", {"name": "built", "source": {"type": "git", "git": {"url": URL, "credential": "octo"}}})
    changed = api.patch("/api/v1/projects/acme/github-apps/octo", json={"webhook_secret": OTHER_SECRET})
    assert changed.status_code == 200, changed.text
    assert call(page, "guid-1", WEBHOOK_SECRET).status_code == 401
    assert call(page, "guid-2", OTHER_SECRET).status_code == 202


def test_a_push_that_the_app_and_a_webhook_of_the_repository_tell_of_is_built_once(
    made: World, api: Client, page: Client
) -> None:
    page.post(APPS, data={**HAND, "webhook_secret": WEBHOOK_SECRET})
    make(api, "jobs", {"name": "built", "source": {"type": "git", "git": {"url": URL, "credential": "octo"}}})
    api.patch("/api/v1/projects/acme", json={"webhook_secret": OTHER_SECRET})
    assert [call(page, guid, WEBHOOK_SECRET).status_code for guid in ("guid-1", "guid-2")] == [202, 202]
    assert call(page, "guid-3", OTHER_SECRET).status_code == 202
    intake = made.installation.server("one").intake
    while intake.step():
        pass
    items = api.get("/api/v1/projects/acme/jobs/built/builds").json()["items"]
    assert len(items) == 1
    sentences = [each["sentence"] for each in api.get("/api/v1/projects/acme/jobs/built/why").json()["items"]]
    assert len([each for each in sentences if "was already taken from another delivery" in each]) == 2


def call(page: Client, guid: str, secret: str) -> Any:
    """A push of the repository, as GitHub tells of it."""
    body = json.loads((FIXTURES / "github/update.json").read_text())
    body["repository"] |= {"full_name": "acme/report", "clone_url": URL}
    content = json.dumps(body).encode()
    headers = github.signed(content, secret, "push", guid)
    return page.post("/webhooks/github", content=content, headers=headers)


def test_an_app_is_declared_exported_and_stays_when_credentials_are_pruned(api: Client) -> None:
    declared = {"name": "octo", "app_id": APP_ID, "private_key": PEM, "webhook_secret": WEBHOOK_SECRET}
    document = {"project": "acme", "github_apps": [declared]}
    assert api.post("/api/v1/apply", json={"documents": [document]}).status_code == 200
    exported = api.get("/api/v1/export").text
    assert "octo" in exported
    assert "PRIVATE" not in exported
    assert shown(api, f"{APPS}/octo")["has_webhook_secret"] is True
    document = {"project": "acme", "github_apps": [{**declared, "app_id": 1}]}
    other = api.post("/api/v1/apply", json={"documents": [document]})
    assert f"app_id can't be changed: it stays {APP_ID}." in other.text


def test_githubs_button_is_a_delivery_and_other_actions_of_checks_are_none(
    made: World, api: Client, page: Client
) -> None:
    page.post(APPS, data={**HAND, "webhook_secret": WEBHOOK_SECRET})
    make(api, "jobs", {"name": "built", "source": {"type": "git", "git": {"url": URL, "credential": "octo"}}})
    repository = {"full_name": "acme/report", "clone_url": URL}
    for action, status in (("rerequested", "accepted"), ("completed", "ignored")):
        body = json.dumps({"action": action, "check_run": {}, "repository": repository})
        headers = github.signed(body.encode(), WEBHOOK_SECRET, "check_run", f"guid-{action}")
        answer = page.post("/webhooks/github", content=body, headers=headers)
        assert (answer.status_code, answer.json()["status"]) == (202, status)


def test_the_form_of_a_new_job_lists_what_the_app_reaches(
    made: World, api: Client, page: Client, double: GitHub
) -> None:
    page.post(APPS, data=HAND)
    double.repositories = {f"acme/service-{number}": True for number in range(60)} | {"acme/report": False}
    new = page.get("/jobs/new?project=acme")
    assert "List what GitHub App octo reaches" in new.text
    fields = form_fields(new.text, "/jobs/new")
    listed = page.post("/jobs/new", data={**fields, "list": "1"})
    assert listed.text.count("Take acme/service-") == 50
    assert "And 11 more: search for a part of the name." in listed.text
    found = page.post("/jobs/new", data={**fields, "list": "1", "search": "REP"})
    assert found.text.count('aria-label="Take ') == 1
    [value] = re.findall(r'name="take" value="([^"]*)"', found.text)
    assert value == "octo https://github.com/acme/report.git"
    none = page.post("/jobs/new", data={**fields, "list": "1", "search": "nowhere"})
    assert "GitHub App octo reaches no repository with this in its name." in none.text
    double.is_deleted = True
    assert f"GitHub has no App {APP_ID} (404)" in page.post("/jobs/new", data={**fields, "list": "1"}).text

    taken = page.post("/jobs/new", data={**fields, "take": value})
    text = taken.text if taken.status_code != 303 else page.get(taken.headers["location"]).text
    assert 'value="https://github.com/acme/report.git"' in text
    assert '<option value="octo" selected>' in text
