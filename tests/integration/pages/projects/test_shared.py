"""What a project's jobs share, on pages: build services, secret groups, credentials."""

from __future__ import annotations

from typing import Any

import pytest

from app.store import build_services, credentials, projects, secret_groups
from tests.support.client import Client
from tests.support.forms import form_fields
from tests.support.project_pages import ACME, API, fields_of, make, shown
from tests.support.sealed import unsealed
from tests.support.seed import World

SERVICES, GROUPS, CREDENTIALS = (
    f"{ACME}/{kind}" for kind in ("build-services", "secret-groups", "credentials")
)
HIDDEN = "a text that is never shown"
SERVICE = {
    "name": "shared",
    "git": {"url": "https://github.com/acme/shared", "branch": "release", "webhook_secret": HIDDEN},
    "build": {"paths": ["docs/", "*.md"], "paths_mode": "allow", "build_command": "make all"},
    "ci_enabled": False,
    "builds_in_flight": "latest",
}
GROUP = {
    "name": "mail",
    "priority": 7,
    "env": {"HOST": "a\nb", "KEY": {"value": HIDDEN, "secret": True, "scope": "both"}},
    "jobs": ["report", "sync"],
}
CREDENTIAL = {"name": "forge", "kind": "git", "host": "github.com", "username": "ada", "secret": HIDDEN}


def test_a_build_service_is_made_as_the_api_makes_it(api: Client, page: Client) -> None:
    fields = fields_of(page, SERVICES)
    bare = {**fields, "name": "bare", "git.url": "https://github.com/acme/bare"}
    assert page.post(SERVICES, data=bare).headers["location"] == f"{SERVICES}/bare?saved=1"
    make(api, "build-services", {"name": "twin", "git": {"url": "https://github.com/acme/bare"}})
    assert shown(api, f"{SERVICES}/bare") == shown(api, f"{SERVICES}/twin")
    given = {
        "name": "shared",
        "git.url": SERVICE["git"]["url"],  # type: ignore[index]
        "git.branch": "release",
        "git.webhook_secret": HIDDEN,
        "build.paths": "docs/\r\n*.md\r\n",
        "build.paths_mode": "allow",
        "build.build_command": "make all",
        "builds_in_flight": "latest",
    }
    del fields["ci_enabled"]
    assert page.post(SERVICES, data=fields | given).status_code == 303
    make(api, "build-services", {**SERVICE, "name": "second"})
    assert shown(api, f"{SERVICES}/shared") == shown(api, f"{SERVICES}/second")
    taken = page.post(SERVICES, data=fields | given)
    assert (taken.status_code, "There is a build service named shared" in taken.text) == (409, True)


def test_saving_a_build_service_as_it_is_shown_changes_nothing(
    made: World, api: Client, page: Client
) -> None:
    make(api, "build-services", SERVICE)
    path = f"{SERVICES}/shared"
    before = stored_service(made)
    assert page.post(path, data=fields_of(page, path)).headers["location"] == f"{path}?saved=1"
    assert stored_service(made) == before
    changed = fields_of(page, path) | {
        "git.branch": "main",
        "ci_enabled": "1",
        "git.webhook_secret": "a new secret for it",
    }
    assert page.post(path, data=changed).status_code == 303
    source = stored_service(made).source
    assert (source.branch, source.ci_enabled) == ("main", True)
    assert unsealed(made.box, source.webhook_secret or "") == "a new secret for it"


def typed_of(page: Client, path: str) -> dict[str, str]:
    """The fields of a form that people type into."""
    return {name: text for name, text in fields_of(page, path).items() if name != "seen"}


def stored_service(made: World) -> build_services.BuildService:
    with made.db.read() as tx:
        return build_services.named(tx, projects.named(tx, "acme").id, "shared")


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("git.branch", "a..b"),
        ("git.credential", "nobody"),
        ("git.webhook_secret", "short"),
        ("build.root_directory", "app"),
        ("build.paths", "docs/\n!"),
        ("build.time_limit_seconds", "soon"),
        ("builds_in_flight", "some"),
    ],
)
def test_what_a_build_service_can_not_have_is_said_at_its_field(
    made: World, api: Client, page: Client, field: str, text: str
) -> None:
    make(api, "build-services", SERVICE)
    path, before = f"{SERVICES}/shared", stored_service(made)
    answer = page.post(path, data={**fields_of(page, path), "build.target": "typed", field: text})
    assert answer.status_code == 422
    assert f'<a class="link" href="#f-{field}">' in answer.text
    assert f'class="error" id="e-{field}"' in answer.text
    assert stored_service(made) == before
    again = form_fields(answer.text, path)
    assert again["build.target"] == "typed"
    assert again[field].replace("\r\n", "\n") == ("" if "secret" in field else text)
    assert HIDDEN not in answer.text


def test_a_build_service_in_use_is_not_deleted(api: Client, page: Client) -> None:
    make(api, "build-services", SERVICE)
    make(api, "jobs", {"name": "user", "source": {"type": "build_service", "build_service": "shared"}})
    path = f"{SERVICES}/shared"
    assert 'href="/projects/acme/jobs/user"' in page.get(path).text
    wrong = page.post(f"{path}/delete", data={"confirm": "other"})
    assert (wrong.status_code, "Type shared" in wrong.text) == (422, True)
    used = page.post(f"{path}/delete", data={"confirm": "shared"})
    assert (used.status_code, "in use by user" in used.text) == (409, True)
    api.delete(f"{API}/acme/jobs/user?confirm=user")
    assert page.post(f"{path}/delete", data={"confirm": "shared"}).headers["location"] == ACME
    assert page.get(path).status_code == 404


def test_a_secret_group_is_made_as_the_api_makes_it(api: Client, page: Client, made: World) -> None:
    rows = {
        "env.0.name": "HOST",
        "env.0.value": "a\r\nb",
        "env.1.name": "KEY",
        "env.1.value": HIDDEN,
        "env.1.secret": "1",
        "env.1.scope": "both",
    }
    fields = fields_of(page, GROUPS) | {"name": "mail", "priority": "7"} | rows
    more = page.post(GROUPS, data={**fields, "more": "1"})
    assert (more.status_code, "env.9.name" in more.text, HIDDEN in more.text) == (200, True, False)
    assert page.post(GROUPS, data=fields | {"jobs": ["report", "sync"]}).status_code == 303
    make(api, "secret-groups", {**GROUP, "name": "twin"})
    assert shown(api, f"{GROUPS}/mail") == shown(api, f"{GROUPS}/twin")
    assert opened(made, "KEY") == HIDDEN


def opened(made: World, variable: str) -> str:
    with made.db.read() as tx:
        group = secret_groups.named(tx, projects.named(tx, "acme").id, "mail")
    return unsealed(made.box, group.env[variable].value)


def test_secrets_of_a_group_are_kept_replaced_and_removed_but_never_shown(
    api: Client, page: Client, made: World
) -> None:
    make(api, "secret-groups", GROUP)
    path, both = f"{GROUPS}/mail", {"jobs": ["report", "sync"]}
    before = shown(api, path)
    assert HIDDEN not in page.get(path).text
    assert page.post(path, data=fields_of(page, path) | both).status_code == 303
    assert (shown(api, path), opened(made, "KEY")) == (before, HIDDEN)
    typed = fields_of(page, path) | {"env.1.value": "typed-anew", "env.2.name": "", "env.2.value": "nameless"}
    refused = page.post(path, data=typed | both)
    assert (refused.status_code, "has no name" in refused.text, "typed-anew" in refused.text) == (
        422,
        True,
        False,
    )
    assert "Re-enter these secrets" in refused.text
    assert opened(made, "KEY") == HIDDEN
    assert page.post(path, data=typed | {"env.2.value": "", "jobs": ["sync"]}).status_code == 303
    assert (opened(made, "KEY"), shown(api, path)["jobs"]) == ("typed-anew", ["sync"])
    gone = fields_of(page, path) | {"env.1.name": "", "env.1.value": ""}
    gone.pop("jobs", None)
    assert page.post(path, data=gone).status_code == 303
    assert (shown(api, path)["env"], shown(api, path)["jobs"]) == ({"HOST": "a\nb"}, [])


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"priority": "5000"}, "priority"),
        ({"priority": "high"}, "priority"),
        ({"jobs": "nobody"}, "jobs"),
        ({"env.2.name": "A B", "env.2.value": "x"}, "env.A B"),
        ({"env.1.scope": "never"}, "env.KEY"),
    ],
)
def test_what_a_secret_group_can_not_have_is_said_at_its_field(
    api: Client, page: Client, fields: dict[str, str], field: str
) -> None:
    make(api, "secret-groups", GROUP)
    path = f"{GROUPS}/mail"
    before = shown(api, path)
    answer = page.post(path, data=fields_of(page, path) | fields)
    assert (answer.status_code, f'<a class="link" href="#f-{field}">' in answer.text) == (422, True)
    assert 'class="error"' in answer.text
    assert shown(api, path) == before


def test_jobs_of_a_big_project_are_typed(api: Client, page: Client) -> None:
    for number in range(99):
        make(api, "jobs", {"name": f"job-{number}"})
    make(api, "secret-groups", GROUP)
    path = f"{GROUPS}/mail"
    fields = fields_of(page, path)
    assert fields["jobs"].split("\r\n") == ["report", "sync"]
    assert page.post(path, data={**fields, "jobs": "job-7\r\nsync\r\n"}).status_code == 303
    assert shown(api, path)["jobs"] == ["job-7", "sync"]


def test_a_secret_group_is_deleted_by_its_name(api: Client, page: Client) -> None:
    make(api, "secret-groups", GROUP)
    path = f"{GROUPS}/mail"
    assert page.post(f"{path}/delete", data={"confirm": ""}).status_code == 422
    assert page.post(f"{path}/delete", data={"confirm": "mail"}).headers["location"] == ACME
    assert api.get(f"/api/v1{path}").status_code == 404


def secret_of(made: World) -> str:
    with made.db.read() as tx:
        found = credentials.named(tx, projects.named(tx, "acme").id, "forge")
    return unsealed(made.box, found.secret)


def test_a_credential_is_kept_changed_and_forgotten(api: Client, page: Client, made: World) -> None:
    fields = fields_of(page, CREDENTIALS)
    typed = fields | {name: str(value) for name, value in CREDENTIAL.items()}
    refused = page.post(CREDENTIALS, data={**typed, "host": "https://github.com/"})
    assert (refused.status_code, 'id="e-host">host must be a host' in refused.text) == (422, True)
    assert (HIDDEN in refused.text, "Re-enter these secrets" in refused.text) == (False, True)
    assert form_fields(refused.text, CREDENTIALS)["username"] == "ada"
    missing = page.post(CREDENTIALS, data={**typed, "secret": ""})
    assert 'id="e-secret">secret is missing' in missing.text
    assert page.post(CREDENTIALS, data=typed).headers["location"] == f"{ACME}#credentials"
    path = f"{CREDENTIALS}/forge"
    known = {"kind": "git", "host": "github.com", "username": "ada", "secret": None}
    keys = ("public_key", "host_keys", "host_keys_from", "api_url", "forge")
    assert {name: it for name, it in shown(api, path).items() if name not in keys} == {
        **known,
        "warnings": [],
    }
    assert secret_of(made) == HIDDEN
    assert typed_of(page, path) == {"username": "ada", "secret": "", "api_url": "", "forge": ""}
    assert page.post(path, data={"username": "grace", "secret": ""}).status_code == 303
    assert (shown(api, path)["username"], secret_of(made)) == ("grace", HIDDEN)
    assert page.post(path, data={"username": "", "secret": "another token"}).status_code == 303
    assert (shown(api, path)["username"], secret_of(made)) == ("", "another token")
    too_long = page.post(path, data={"username": "x" * 300, "secret": "not this one"})
    assert (too_long.status_code, 'id="e-username"' in too_long.text) == (422, True)
    assert "not this one" not in too_long.text
    assert secret_of(made) == "another token"


def test_a_credential_without_a_host_gets_one_on_its_page(api: Client, page: Client, made: World) -> None:
    make(api, "credentials", CREDENTIAL)
    with made.db.write() as tx:
        kept = credentials.named(tx, projects.named(tx, "acme").id, "forge")
        credentials.change(tx, kept, host="", username="ada", secret=kept.secret, public_key=None)
    path = f"{CREDENTIALS}/forge"
    assert "no host: sent nowhere" in page.get(ACME).text
    typed = {"username": "ada", "secret": "", "api_url": "", "forge": ""}
    assert typed_of(page, path) == {**typed, "host": ""}
    refused = page.post(path, data={**typed, "host": ""})
    assert (refused.status_code, 'id="e-host">host must be a host' in refused.text) == (422, True)
    assert page.post(path, data={**typed, "host": "github.com"}).status_code == 303
    assert (shown(api, path)["host"], typed_of(page, path)) == ("github.com", typed)


def test_a_credential_in_use_is_not_forgotten(api: Client, page: Client) -> None:
    make(api, "credentials", CREDENTIAL)
    git = {"url": "https://github.com/acme/private", "credential": "forge"}
    make(api, "jobs", {"name": "private", "source": {"type": "git", "git": git}})
    path = f"{CREDENTIALS}/forge/delete"
    assert page.post(path, data={"confirm": "forg"}).status_code == 422
    used = page.post(path, data={"confirm": "forge"})
    assert (used.status_code, "in use by job private" in used.text) == (409, True)
    api.delete(f"{API}/acme/jobs/private?confirm=private")
    assert page.post(path, data={"confirm": "forge"}).headers["location"] == ACME
    assert page.get(f"{CREDENTIALS}/forge").status_code == 404


@pytest.mark.parametrize(
    ("kind", "body", "change", "typed"),
    [
        ("build-services", SERVICE, {"builds_in_flight": "all"}, {"git.branch": "other"}),
        ("secret-groups", {"name": "mail", "env": {}}, {"priority": 9}, {"priority": "3"}),
        ("credentials", CREDENTIAL, {"username": "grace"}, {"username": "mary"}),
    ],
)
def test_a_change_by_somebody_else_is_told_and_can_be_written_over(
    api: Client, page: Client, kind: str, body: dict[str, Any], change: dict[str, Any], typed: dict[str, str]
) -> None:
    make(api, kind, body)
    path = f"{ACME}/{kind}/{body['name']}"
    stale = fields_of(page, path) | typed
    assert api.patch(f"/api/v1{path}", json=change).status_code == 200
    before = shown(api, path)
    refused = page.post(path, data=stale)
    assert (refused.status_code, "since this page was opened" in refused.text) == (409, True)
    assert shown(api, path) == before
    fresh = form_fields(refused.text, path)["seen"]
    assert page.post(path, data={**stale, "seen": fresh}).status_code == 303
