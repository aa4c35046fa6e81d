"""The pages of projects and of what their jobs share: they do what the API would, and no secret comes out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.domain.comparing import Seen
from app.domain.principals import Role
from app.runtime.ports import CREDENTIAL_PURPOSE, ENV_PURPOSE, WEBHOOK_PURPOSE
from app.store import build_services, comparisons, credentials, projects, secret_groups
from tests.support.forms import form_fields
from tests.support.seed import ADMIN_TOKEN, PASSWORD, World, world

API = "/api/v1/projects"
ACME = "/projects/acme"
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
ITS_OWN = ("id", "name", "created_at")


@pytest.fixture
def made(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as each:
        yield each


@pytest.fixture
def api(made: World) -> TestClient:
    """With a project `acme` that has two jobs without a source."""
    client = TestClient(made.app(), headers={"Authorization": f"Bearer {ADMIN_TOKEN}"})
    for path, body in (
        ("", {"name": "acme"}),
        ("/acme/jobs", {"name": "report"}),
        ("/acme/jobs", {"name": "sync"}),
    ):
        assert client.post(f"{API}{path}", json=body).status_code == 201
    return client


@pytest.fixture
def page(made: World, api: TestClient) -> TestClient:
    return visitor(made)


def visitor(made: World, role: Role = Role.ADMIN) -> TestClient:
    client = TestClient(made.app(), follow_redirects=False, headers={"Sec-Fetch-Site": "same-origin"})
    assert client.post("/login", data={"name": f"{role}-user", "password": PASSWORD}).status_code == 303
    return client


def make(api: TestClient, kind: str, body: dict[str, Any]) -> None:
    answer = api.post(f"{API}/acme/{kind}", json=body)
    assert answer.status_code == 201, answer.text


def shown(api: TestClient, path: str) -> dict[str, Any]:
    """What the API shows, but for what no two things have in common."""
    answer = api.get(f"/api/v1{path}")
    assert answer.status_code == 200, answer.text
    return {name: value for name, value in answer.json().items() if name not in ITS_OWN}


def fields_of(page: TestClient, path: str) -> dict[str, str]:
    answer = page.get(path)
    assert answer.status_code == 200, answer.text
    return form_fields(answer.text, path)


# the way of a newcomer


def test_from_nothing_to_a_job_by_pages_alone(made: World) -> None:
    page = visitor(made)
    assert 'href="/projects">Make a project' in page.get("/").text
    assert 'href="/projects">Make a project' in page.get("/jobs/new").text
    assert 'href="/projects">Make a project' in page.get("/settings").text
    fields = fields_of(page, "/projects")
    answer = page.post("/projects", data={**fields, "name": "acme", "webhook_secret": HIDDEN})
    assert (answer.status_code, answer.headers["location"]) == (303, ACME)
    begin = page.get(ACME).text
    assert "First steps" in begin
    assert f"{made.public_url}/webhooks/github" in begin
    assert 'href="/jobs/new?project=acme">Make the first job' in begin
    assert 'href="/jobs/new">Make the first job' in page.get("/").text
    job = form_fields(page.get("/jobs/new?project=acme").text, "/jobs/new")
    page.post("/jobs/new", data={**job, "name": "report", "source.git.url": "https://github.com/acme/report"})
    full = page.get(ACME).text
    assert "First steps" not in full
    assert 'href="/projects/acme/jobs/report"' in full
    with made.db.read() as tx:
        sealed = projects.named(tx, "acme").webhook_secret
    assert made.box.open(sealed or "", WEBHOOK_PURPOSE) == HIDDEN
    assert HIDDEN not in begin + full + page.get("/projects").text


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
def test_who_may_not_make_a_project_is_told_who_may(made: World, role: Role) -> None:
    page = visitor(made, role)
    for path in ("/projects", "/jobs/new") if role is Role.OPERATOR else ("/projects",):
        assert "an administrator has to make one first" in page.get(path).text
    assert 'action="/projects"' not in page.get("/projects").text


@pytest.mark.parametrize(
    ("fields", "status", "said"),
    [
        ({"name": "Bad Name"}, 422, 'id="e-name">name must be'),
        ({"name": ""}, 422, 'id="e-name">name must be'),
        ({"name": "fine", "webhook_secret": "short"}, 422, 'id="e-webhook_secret">webhook_secret must have'),
        ({"name": "acme"}, 409, "There is a project named acme already."),
    ],
)
def test_a_project_that_is_refused_keeps_what_was_typed(
    page: TestClient, fields: dict[str, str], status: int, said: str
) -> None:
    answer = page.post("/projects", data=fields)
    assert (answer.status_code, said in answer.text) == (status, True)
    assert form_fields(answer.text, "/projects") == {"name": fields["name"], "webhook_secret": ""}


def test_a_webhook_secret_is_set_and_another_takes_its_place(made: World, page: TestClient) -> None:
    action = f"{ACME}/webhook-secret"
    for secret in (HIDDEN, "another that is never shown"):
        assert page.post(action, data={"webhook_secret": secret}).status_code == 303
        with made.db.read() as tx:
            sealed = projects.named(tx, "acme").webhook_secret or ""
        assert made.box.open(sealed, WEBHOOK_PURPOSE) == secret
        assert "never shown" not in page.get(ACME).text.replace("It is never shown.", "")
    for refused in ("", "short"):
        answer = page.post(action, data={"webhook_secret": refused})
        assert (answer.status_code, 'id="e-webhook_secret">webhook_secret must have' in answer.text) == (
            422,
            True,
        )
    with made.db.read() as tx:
        assert projects.named(tx, "acme").webhook_secret == sealed


def test_a_project_is_deleted_by_its_name_once_it_has_no_jobs(api: TestClient, page: TestClient) -> None:
    wrong = page.post(f"{ACME}/delete", data={"confirm": "acm"})
    assert (wrong.status_code, "Type acme" in wrong.text) == (422, True)
    full = page.post(f"{ACME}/delete", data={"confirm": "acme"})
    assert (full.status_code, "still has jobs" in full.text) == (409, True)
    for kind, body in (("build-services", SERVICE), ("secret-groups", GROUP), ("credentials", CREDENTIAL)):
        make(api, kind, body)
    for job in ("report", "sync"):
        assert api.delete(f"{API}/acme/jobs/{job}?confirm={job}").status_code == 204
    assert page.post(f"{ACME}/delete", data={"confirm": "acme"}).headers["location"] == "/projects"
    assert page.get(ACME).status_code == 404


def test_a_project_shows_what_is_in_it_by_name_alone(api: TestClient, made: World) -> None:
    for kind, body in (("build-services", SERVICE), ("secret-groups", GROUP), ("credentials", CREDENTIAL)):
        make(api, kind, body)
    seen = visitor(made, Role.VIEWER).get(ACME).text
    for text in ("shared", "acme/shared · release", "CI off", "mail", "HOST", "KEY", "forge", "github.com"):
        assert text in seen
    assert HIDDEN not in seen
    assert "/projects/acme/" not in re.sub('href="/projects/acme/jobs/[a-z]+"', "", seen)
    assert visitor(made, Role.VIEWER).get("/projects/nobody").status_code == 404


# build services


def test_a_build_service_is_made_as_the_api_makes_it(api: TestClient, page: TestClient) -> None:
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
    made: World, api: TestClient, page: TestClient
) -> None:
    make(api, "build-services", SERVICE)
    path = f"{SERVICES}/shared"
    before = stored_service(made)
    assert page.post(path, data=fields_of(page, path)).headers["location"] == f"{path}?saved=1"
    assert stored_service(made) == before
    changed = fields_of(page, path) | {
        "git.branch": "main",
        "ci_enabled": "1",
        "git.webhook_secret": "a new secret",
    }
    assert page.post(path, data=changed).status_code == 303
    source = stored_service(made).source
    assert (source.branch, source.ci_enabled) == ("main", True)
    assert made.box.open(source.webhook_secret or "", WEBHOOK_PURPOSE) == "a new secret"


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
    made: World, api: TestClient, page: TestClient, field: str, text: str
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


def test_a_build_service_in_use_is_not_deleted(api: TestClient, page: TestClient) -> None:
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


# secret groups


def test_a_secret_group_is_made_as_the_api_makes_it(api: TestClient, page: TestClient, made: World) -> None:
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
    return made.box.open(group.env[variable].value, ENV_PURPOSE)


def test_secrets_of_a_group_are_kept_replaced_and_removed_but_never_shown(
    api: TestClient, page: TestClient, made: World
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
    assert "Type again" in refused.text
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
    api: TestClient, page: TestClient, fields: dict[str, str], field: str
) -> None:
    make(api, "secret-groups", GROUP)
    path = f"{GROUPS}/mail"
    before = shown(api, path)
    answer = page.post(path, data=fields_of(page, path) | fields)
    assert (answer.status_code, f'<a class="link" href="#f-{field}">' in answer.text) == (422, True)
    assert 'class="error"' in answer.text
    assert shown(api, path) == before


def test_jobs_of_a_big_project_are_typed(api: TestClient, page: TestClient) -> None:
    for number in range(99):
        make(api, "jobs", {"name": f"job-{number}"})
    make(api, "secret-groups", GROUP)
    path = f"{GROUPS}/mail"
    fields = fields_of(page, path)
    assert fields["jobs"].split("\r\n") == ["report", "sync"]
    assert page.post(path, data={**fields, "jobs": "job-7\r\nsync\r\n"}).status_code == 303
    assert shown(api, path)["jobs"] == ["job-7", "sync"]


def test_a_secret_group_is_deleted_by_its_name(api: TestClient, page: TestClient) -> None:
    make(api, "secret-groups", GROUP)
    path = f"{GROUPS}/mail"
    assert page.post(f"{path}/delete", data={"confirm": ""}).status_code == 422
    assert page.post(f"{path}/delete", data={"confirm": "mail"}).headers["location"] == ACME
    assert api.get(f"/api/v1{path}").status_code == 404


# credentials


def secret_of(made: World) -> str:
    with made.db.read() as tx:
        found = credentials.named(tx, projects.named(tx, "acme").id, "forge")
    return made.box.open(found.secret, CREDENTIAL_PURPOSE)


def test_a_credential_is_kept_changed_and_forgotten(api: TestClient, page: TestClient, made: World) -> None:
    fields = fields_of(page, CREDENTIALS)
    typed = fields | {name: str(value) for name, value in CREDENTIAL.items()}
    refused = page.post(CREDENTIALS, data={**typed, "host": "https://github.com/"})
    assert (refused.status_code, 'id="e-host">host must be a host' in refused.text) == (422, True)
    assert (HIDDEN in refused.text, "Type again" in refused.text) == (False, True)
    assert form_fields(refused.text, CREDENTIALS)["username"] == "ada"
    missing = page.post(CREDENTIALS, data={**typed, "secret": ""})
    assert 'id="e-secret">secret is missing' in missing.text
    assert page.post(CREDENTIALS, data=typed).headers["location"] == f"{ACME}#credentials"
    path = f"{CREDENTIALS}/forge"
    known = {"kind": "git", "host": "github.com", "username": "ada", "secret": None}
    assert shown(api, path) == {**known, "warnings": []}
    assert secret_of(made) == HIDDEN
    assert fields_of(page, path) == {"username": "ada", "secret": ""}
    assert page.post(path, data={"username": "grace", "secret": ""}).status_code == 303
    assert (shown(api, path)["username"], secret_of(made)) == ("grace", HIDDEN)
    assert page.post(path, data={"username": "", "secret": "another token"}).status_code == 303
    assert (shown(api, path)["username"], secret_of(made)) == ("", "another token")
    too_long = page.post(path, data={"username": "x" * 300, "secret": "not this one"})
    assert (too_long.status_code, 'id="e-username"' in too_long.text) == (422, True)
    assert "not this one" not in too_long.text
    assert secret_of(made) == "another token"


def test_a_credential_without_a_host_gets_one_on_its_page(
    api: TestClient, page: TestClient, made: World
) -> None:
    make(api, "credentials", CREDENTIAL)
    with made.db.write() as tx:
        kept = credentials.named(tx, projects.named(tx, "acme").id, "forge")
        credentials.change(tx, kept, host="", username="ada", secret=kept.secret)
    path = f"{CREDENTIALS}/forge"
    assert "no host: sent nowhere" in page.get(ACME).text
    typed = {"username": "ada", "secret": ""}
    assert fields_of(page, path) == {**typed, "host": ""}
    refused = page.post(path, data={**typed, "host": ""})
    assert (refused.status_code, 'id="e-host">host must be a host' in refused.text) == (422, True)
    assert page.post(path, data={**typed, "host": "github.com"}).status_code == 303
    assert (shown(api, path)["host"], fields_of(page, path)) == ("github.com", typed)


def test_a_credential_in_use_is_not_forgotten(api: TestClient, page: TestClient) -> None:
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


# who may


def test_each_role_does_what_the_api_lets_it_do(made: World, api: TestClient) -> None:
    for kind, body in (("build-services", SERVICE), ("secret-groups", GROUP), ("credentials", CREDENTIAL)):
        make(api, kind, body)
    of_operators = [f"{SERVICES}/shared", f"{GROUPS}/mail", SERVICES, GROUPS]
    of_administrators = [f"{CREDENTIALS}/forge", CREDENTIALS]
    viewer, operator = visitor(made, Role.VIEWER), visitor(made, Role.OPERATOR)
    for path in [*of_operators, *of_administrators]:
        assert viewer.get(path).status_code == 403
        assert viewer.post(path).status_code == 403
    for path in of_administrators:
        assert operator.get(path).status_code == 403
    for path in (*of_administrators, "/projects", f"{ACME}/webhook-secret", f"{ACME}/delete"):
        assert operator.post(path, data={"confirm": "acme"}).status_code == 403
    for path in of_operators:
        assert operator.get(path).status_code == 200
    for path in (*of_operators, f"{SERVICES}/shared/delete", f"{GROUPS}/mail/delete"):
        foreign = operator.post(path, data={"confirm": "mail"}, headers={"Sec-Fetch-Site": "cross-site"})
        assert foreign.status_code == 403
        assert viewer.post(path, data={"confirm": "mail"}).status_code == 403
    assert shown(api, f"{GROUPS}/mail")["priority"] == 7


def test_the_project_says_when_its_branches_were_compared_and_what_failed(
    made: World, api: TestClient, page: TestClient
) -> None:
    git = {"type": "git", "git": {"url": "https://github.com/acme/compared", "branch": "main"}}
    assert api.post(f"{API}/acme/jobs", json={"name": "compared", "source": git}).status_code == 201
    for sentence in ("The Git server did not answer.", ""):
        with made.db.write() as tx:
            now = made.clock.now()
            [each] = [each for each in comparisons.watched(tx) if each.url.endswith("/compared")]
            if sentence:
                comparisons.save_failure(tx, each, sentence, now, now)
            else:
                comparisons.save(tx, each, Seen("a" * 40), now, now)
        text = page.get(ACME).text
        assert ("could not be compared: The Git server did not answer." in text) == bool(sentence)
        assert ("never compared" in text) == bool(sentence)
