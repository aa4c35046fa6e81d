"""Apps by their pages: made, changed, deleted, deployed and rolled back, each after what it would do was shown."""

from __future__ import annotations

import html
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from app.domain.principals import Role
from app.store import apps, deployments, jobs, runs
from app.store.apps import App
from app.workers.deployments import DeploymentWorker
from tests.support.client import Client
from tests.support.clock import Clock
from tests.support.forms import form_fields
from tests.support.seed import SUCCEEDED, World, world
from tests.support.shown import shown
from tests.support.visiting import read, visitor

NOW = datetime(2026, 3, 28, 12, 0, tzinfo=UTC)
SHA = "a8810fe" + "0" * 33
NEW, SHOP = "/projects/acme/new/app", "/projects/acme/apps/shop"
SETTINGS, DEPLOY = f"{SHOP}/settings", f"{SHOP}/deploy"


@pytest.fixture
def made(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path, Clock(NOW)) as each:
        for name in ("web", "migrate"):
            each.build(each.job(name, repository="acme/shop"), NOW, sha=SHA)
        each.job("nightly", repository=None)
        yield each


@pytest.fixture
def client(made: World) -> Client:
    return visitor(made)


def app_of(made: World) -> App:
    with made.db.read() as tx:
        return apps.named(tx, "acme", "shop")


def hooks(made: World) -> list[tuple[str, str | None]]:
    return [(each.job, each.hook) for each in app_of(made).members]


def shop(client: Client, **hook: str) -> None:
    given: dict[str, Any] = {
        "name": "shop",
        "jobs": ["migrate", "web"],
        "hook.migrate": "pre-deploy",
        "hook.web": "",
    }
    answer = client.post(NEW, data={**given, "cd.web": "1", "cd.migrate": "1", **hook})
    assert (answer.status_code, answer.headers.get("location")) == (303, SHOP), answer.text


def advance(made: World) -> None:
    """Deployments as far as they come, with every run ending well."""
    worker = DeploymentWorker(made.db, made.clock, made.names)
    while worker.step():
        with made.db.read() as tx:
            waiting = [run for run in runs.page(tx, limit=10) if not run.status.is_final]
        for run in waiting:
            made.attempt(run.id, NOW)
            made.end_attempt(run.id, SUCCEEDED, NOW)


def test_an_app_is_made_with_jobs_in_order_hooks_and_cd(made: World, client: Client) -> None:
    page = read(client, NEW)
    assert ">Add this job</button>" in page
    shop(client)
    assert hooks(made) == [("migrate", "pre-deploy"), ("web", None)]
    assert shown(read(client, SHOP)).count("migrate") >= 1


def test_jobs_are_added_moved_and_taken_out_before_anything_is_saved(made: World, client: Client) -> None:
    shop(client)
    before = hooks(made)
    fields: dict[str, Any] = {"jobs": ["migrate", "web"], "hook.migrate": "failed-deploy", "hook.web": ""}
    moved = client.post(SETTINGS, data={**fields, "do": "down:migrate"})
    assert moved.status_code == 200
    assert moved.text.index('id="line-web"') < moved.text.index('id="line-migrate"')
    assert '<option value="failed-deploy" selected>' in moved.text  # what was typed stays
    added = client.post(SETTINGS, data={**fields, "do": "add", "add": "nightly"})
    assert 'id="line-nightly"' in added.text
    left = client.post(SETTINGS, data={**fields, "do": "out:web"})
    assert 'id="line-web"' not in left.text
    assert hooks(made) == before


def test_saving_changes_hooks_cd_and_order_and_as_shown_changes_nothing(made: World, client: Client) -> None:
    shop(client)
    given: dict[str, Any] = {
        "jobs": ["web", "migrate"],
        "hook.web": "post-deploy",
        "hook.migrate": "failed-deploy",
    }
    answer = client.post(SETTINGS, data={**given, "cd.migrate": "1"})
    assert answer.headers["location"] == f"{SETTINGS}?saved=1"
    assert hooks(made) == [("web", "post-deploy"), ("migrate", "failed-deploy")]
    with made.db.read() as tx:
        web, migrate = jobs.named(tx, "acme", "web"), jobs.named(tx, "acme", "migrate")
    assert (web.cd_enabled, migrate.cd_enabled) == (False, True)
    again = form_fields(read(client, SETTINGS), SETTINGS)
    del again["add"]
    assert client.post(SETTINGS, data={**again, "jobs": ["web", "migrate"]}).status_code == 303
    with made.db.read() as tx:
        assert (jobs.named(tx, "acme", "web"), jobs.named(tx, "acme", "migrate")) == (web, migrate)


def test_what_an_app_can_not_have_is_said_at_its_field(made: World, client: Client) -> None:
    answer = client.post(NEW, data={"name": "Not a name", "jobs": ["web"]})
    assert answer.status_code == 422
    assert 'class="error" id="e-name"' in answer.text
    assert 'value="Not a name"' in answer.text
    empty = client.post(NEW, data={"name": "shop"})
    assert (empty.status_code, 'id="e-jobs"' in empty.text) == (422, True)
    made.job("hourly", kind="cron", schedule={"cron": "0 * * * *"})
    wrong = client.post(NEW, data={"name": "shop", "jobs": ["hourly"], "hook.hourly": "pre-deploy"})
    assert wrong.status_code == 422
    assert 'id="e-hook.hourly"' in wrong.text
    assert "is only for jobs of kind manual" in wrong.text
    with made.db.read() as tx:
        assert apps.page(tx, project_id=None, limit=5) == []


def test_a_change_by_somebody_else_is_told_and_can_be_written_over(made: World, client: Client) -> None:
    shop(client)
    stale = form_fields(read(client, SETTINGS), SETTINGS)
    other = client.post(SETTINGS, data={"jobs": ["migrate", "web", "nightly"]})
    assert other.status_code == 303
    fields = {"jobs": ["web"], "hook.web": "", "cd.web": "1"}
    refused = client.post(SETTINGS, data={**fields, "seen": stale["seen"]})
    assert refused.status_code == 409
    assert (
        "Somebody changed app shop since this page was opened. Look at it in another tab; saving again puts what"
        " is typed here in its place."
    ) in refused.text
    fresh = form_fields(refused.text, SETTINGS)["seen"]
    assert client.post(SETTINGS, data={**fields, "seen": fresh}).status_code == 303
    assert hooks(made) == [("web", None)]


def test_an_app_is_deleted_by_its_name(made: World, client: Client) -> None:
    shop(client)
    wrong = client.post(f"{SETTINGS}/delete", data={"confirm": "other"})
    assert (wrong.status_code, "Type shop" in wrong.text) == (422, True)
    assert client.post(f"{SETTINGS}/delete", data={"confirm": "shop"}).headers["location"] == "/apps"
    assert client.get(SHOP).status_code == 404


def test_a_deploy_shows_what_it_would_do_and_then_does_it(made: World, client: Client) -> None:
    shop(client)
    page = shown(html.unescape(read(client, DEPLOY)))
    assert "Build 2 of a8810fe deployed by admin-user" in page
    assert "Build 1 of a8810fe deployed by admin-user" in page
    commit = client.post(DEPLOY, data={"what": "sha", "sha": "b" * 40, "preview": "1"})
    assert "bbbbbbb, which is built first, deployed by admin-user (CD is off now)" in shown(commit.text)
    chosen = client.post(DEPLOY, data={"what": "builds", "builds": ["1", ""], "preview": "1"})
    assert "Build 1 of a8810fe deployed by admin-user (CD is off now)" in shown(chosen.text)
    assert "A deployment of app shop; the job is the deployment's pre-deploy job." in html.unescape(
        chosen.text
    )
    with made.db.read() as tx:
        assert deployments.page(tx, limit=5) == []
    for number, data in enumerate(
        ({"what": "builds", "builds": ["1", ""]}, {"what": "sha", "sha": SHA}), start=1
    ):
        answer = client.post(DEPLOY, data=data)
        assert answer.headers["location"] == f"/apps#deployment-{number}"
        advance(made)
    with made.db.read() as tx:
        assert [each.sentence for each in deployments.page(tx, limit=5)] == [
            "Deploy of a8810fe by admin-user.",
            "Deploy of build 1 by admin-user.",
        ]


@pytest.mark.parametrize(
    ("data", "field", "sentence"),
    [
        ({"what": "sha", "sha": "main"}, "sha", "sha must be"),
        ({"what": "builds", "builds": "77"}, "builds", "build 77"),
        ({"what": "builds", "builds": ""}, "builds", "builds"),
    ],
)
def test_what_can_not_be_deployed_is_said_at_its_field(
    made: World, client: Client, data: dict[str, str], field: str, sentence: str
) -> None:
    shop(client)
    for button in ({}, {"preview": "1"}):
        answer = client.post(DEPLOY, data={**data, **button})
        assert answer.status_code == 422
        assert f'class="error" id="e-{field}"' in answer.text
        assert sentence in html.unescape(answer.text)


def test_a_rollback_shows_what_it_would_do_and_then_does_it(made: World, client: Client) -> None:
    shop(client)
    client.post(DEPLOY)
    advance(made)
    with made.db.read() as tx:
        web = jobs.named(tx, "acme", "web")
    made.build(web, NOW, sha="b" * 40)
    back = "/deployments/1/rollback"
    assert "Roll back to this…" in read(client, SHOP)
    page = shown(read(client, back))
    assert "a8810fe rolled back to by admin-user (CD is held then)" in page
    assert "pre-deploy job" not in page
    with_hooks = client.post(back, data={"with_hooks": "1", "preview": "1"})
    assert "the job is the deployment&#39;s pre-deploy job." in with_hooks.text
    assert client.post(back, data={"with_hooks": "1"}).headers["location"] == "/apps#deployment-2"
    with made.db.read() as tx:
        assert deployments.with_id(tx, 2).with_hooks


def test_who_may_not_is_offered_nothing(made: World, client: Client) -> None:
    shop(client)
    links = (f'href="{DEPLOY}"', f'href="{SETTINGS}"')
    for role, offered in ((Role.VIEWER, 0), (Role.OPERATOR, 1), (Role.ADMIN, 2)):
        page = read(visitor(made, role), SHOP)
        assert [link for link in links if link in page] == list(links[:offered])
