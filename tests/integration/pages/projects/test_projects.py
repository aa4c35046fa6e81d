"""Projects on pages: made, shown, deleted, and who may do that."""

from __future__ import annotations

import re

import pytest

from app.domain.comparing import Seen
from app.domain.principals import Role
from app.domain.sealing import of_project_hook
from app.store import comparisons, projects, users
from app.store.identity import reserved_id
from tests.support.client import Client
from tests.support.forms import form_fields
from tests.support.project_pages import ACME, API, fields_of, make, shown, visitor
from tests.support.sealed import unsealed
from tests.support.seed import PASSWORD, World

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


def test_from_nothing_to_a_job_by_pages_alone(made: World) -> None:
    page = visitor(made)
    assert 'href="/projects">Create a project' in page.get("/").text
    assert 'href="/projects">Create a project' in page.get("/jobs/new").text
    assert 'href="/projects">Create a project' in page.get("/settings").text
    fields = fields_of(page, "/projects")
    answer = page.post("/projects", data={**fields, "name": "acme", "webhook_secret": HIDDEN})
    assert (answer.status_code, answer.headers["location"]) == (303, ACME)
    begin = page.get(ACME).text
    assert "First steps" in begin
    assert f"{made.public_url}/webhooks/github" in begin
    assert 'href="/jobs/new?project=acme">Create the first job' in begin
    assert 'href="/jobs/new">Create the first job' in page.get("/").text
    job = form_fields(page.get("/jobs/new?project=acme&source=none").text, "/jobs/new")
    start = page.post("/jobs/new", data=job).headers["location"]
    page.post(start, data={**form_fields(page.get(start).text, start), "name": "report"})
    page.post(start.replace("/start", "/review"), data={})
    full = page.get(ACME).text
    assert "First steps" not in full
    assert 'href="/projects/acme/jobs/report"' in full
    with made.db.read() as tx:
        sealed = projects.named(tx, "acme").webhook_secret
    assert unsealed(made.box, sealed or "") == HIDDEN
    assert HIDDEN not in begin + full + page.get("/projects").text


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
def test_who_may_not_make_a_project_is_told_who_may(made: World, role: Role) -> None:
    page = visitor(made, role)
    assert "an administrator has to make one first" in page.get("/projects").text
    assert 'action="/projects"' not in page.get("/projects").text


def test_who_may_change_no_project_yet_is_told_who_makes_one(made: World) -> None:
    with made.db.write() as tx:
        beside = projects.create(tx, "beside", None, made.clock.now())
        hashed = users.named(tx, "admin-user").password_hash  # type: ignore[union-attr]
        users.add(tx, "of beside", hashed, Role.ADMIN, made.clock.now(), project_id=beside.id)
    page = visitor(made, Role.VIEWER)
    assert page.post("/login", data={"name": "of beside", "password": PASSWORD}).status_code == 303
    assert "beside" in page.get("/jobs/new").text
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
    page: Client, fields: dict[str, str], status: int, said: str
) -> None:
    answer = page.post("/projects", data=fields)
    assert (answer.status_code, said in answer.text) == (status, True)
    assert form_fields(answer.text, "/projects") == {"name": fields["name"], "webhook_secret": ""}


def test_a_webhook_secret_is_set_and_another_takes_its_place(made: World, page: Client) -> None:
    action = f"{ACME}/webhook-secret"
    for secret in (HIDDEN, "another that is never shown"):
        assert page.post(action, data={"webhook_secret": secret}).status_code == 303
        with made.db.read() as tx:
            sealed = projects.named(tx, "acme").webhook_secret or ""
        assert unsealed(made.box, sealed) == secret
        assert "never shown" not in page.get(ACME).text.replace("It is never shown.", "")
    for refused in ("", "short"):
        answer = page.post(action, data={"webhook_secret": refused})
        assert (answer.status_code, 'id="e-webhook_secret">webhook_secret must have' in answer.text) == (
            422,
            True,
        )
    with made.db.read() as tx:
        assert projects.named(tx, "acme").webhook_secret == sealed


def test_a_secret_of_before_that_is_easily_guessed_is_warned_of(made: World, page: Client) -> None:
    with made.db.write() as tx:
        for name, secret in (("weak", "short"), ("strong", HIDDEN)):
            project_id = reserved_id(tx, "project")
            sealed = made.box.seal(secret, of_project_hook(project_id))
            projects.create(tx, name, sealed, made.clock.now(), project_id)
    said = (
        "The webhook secret is easily guessed: it must have at least 16 characters, such as the output of "
        "`openssl rand -hex 32`. Set another, here and at the repository."
    )
    assert said in page.get("/projects/weak").text
    assert "easily guessed" not in page.get("/projects/strong").text


def test_a_project_is_deleted_by_its_name_once_it_has_no_jobs(api: Client, page: Client) -> None:
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


def test_a_project_shows_what_is_in_it_by_name_alone(api: Client, made: World) -> None:
    for kind, body in (("build-services", SERVICE), ("secret-groups", GROUP), ("credentials", CREDENTIAL)):
        make(api, kind, body)
    seen = visitor(made, Role.VIEWER).get(ACME).text
    for text in ("shared", "acme/shared · release", "CI off", "mail", "HOST", "KEY", "forge", "github.com"):
        assert text in seen
    assert HIDDEN not in seen
    assert "/projects/acme/" not in re.sub('href="/projects/acme/jobs/[a-z]+"', "", seen)
    assert visitor(made, Role.VIEWER).get("/projects/nobody").status_code == 404


def test_each_role_does_what_the_api_lets_it_do(made: World, api: Client) -> None:
    for kind, body in (("build-services", SERVICE), ("secret-groups", GROUP), ("credentials", CREDENTIAL)):
        make(api, kind, body)
    of_administrators = [f"{SERVICES}/shared", f"{GROUPS}/mail", f"{CREDENTIALS}/forge"]
    of_administrators += [SERVICES, GROUPS, CREDENTIALS]
    viewer, operator, admin = (visitor(made, role) for role in Role)
    for path in of_administrators:
        for refused in (viewer, operator):
            assert refused.get(path).status_code == 403
            assert refused.post(path).status_code == 403
        assert admin.get(path).status_code == 200
    for path in ("/projects", f"{ACME}/webhook-secret", f"{ACME}/delete"):
        assert operator.post(path, data={"confirm": "acme"}).status_code == 403
    for path in (*of_administrators, f"{SERVICES}/shared/delete", f"{GROUPS}/mail/delete"):
        foreign = admin.post(path, data={"confirm": "mail"}, headers={"Sec-Fetch-Site": "cross-site"})
        assert foreign.status_code == 403
        for refused in (viewer, operator):
            assert refused.post(path, data={"confirm": "mail"}).status_code == 403
    assert shown(api, f"{GROUPS}/mail")["priority"] == 7


def test_the_project_says_when_its_branches_were_compared_and_what_failed(
    made: World, api: Client, page: Client
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


def test_limits_are_shown_set_and_refused_at_their_field(api: Client, page: Client) -> None:
    action = f"{ACME}/limits"
    fields = form_fields(page.get(ACME).text, action)
    assert not any(fields.values())
    answer = page.post(action, data={**fields, "limits.cpus": "2.5", "limits.runs_at_once": "4"})
    assert (answer.status_code, answer.headers["location"]) == (303, f"{ACME}?saved=limits#limits")
    shown_now = page.get(ACME).text
    assert form_fields(shown_now, action) == {**fields, "limits.cpus": "2.5", "limits.runs_at_once": "4"}
    assert re.search(r'data-limit="cpus".*?of\s+2.5, set for this project', shown_now, re.DOTALL)
    held = page.post(action, data={**fields, "hardening.non_root": "1", "hardening.network": "1"})
    assert held.status_code == 303
    assert "All runs: not as root, no network." in page.get(ACME).text
    assert form_fields(page.get(ACME).text, action)["hardening.network"] == "1"
    page.post(action, data={**fields, "limits.cpus": "2.5"})
    wrong = page.post(action, data={**fields, "limits.jobs": "-1", "limits.cpus": "two"})
    assert wrong.status_code == 422
    assert 'id="e-limits.jobs">limits.jobs must be' in wrong.text
    assert form_fields(wrong.text, action)["limits.cpus"] == "two"
    assert api.get(f"{API}/acme").json()["limits"]["cpus"] == 2.5


def test_only_who_administers_all_projects_is_offered_their_limits(made: World, page: Client) -> None:
    assert "Change the limits" in page.get(ACME).text
    with made.db.write() as tx:
        hashed = users.named(tx, "admin-user").password_hash  # type: ignore[union-attr]
        acme = projects.named(tx, "acme").id
        users.add(tx, "of acme", hashed, Role.ADMIN, made.clock.now(), project_id=acme)
    page = visitor(made, Role.VIEWER)
    assert page.post("/login", data={"name": "of acme", "password": PASSWORD}).status_code == 303
    assert 'data-limit="cpus"' in page.get(ACME).text
    assert "Change the limits" not in page.get(ACME).text
    assert page.post(f"{ACME}/limits", data={"limits.jobs": "0"}).status_code == 403
