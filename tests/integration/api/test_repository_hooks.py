"""Webhooks that are made at a forge by its API, found when they are there, and looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.bootstrap.forges import make_hook_apis
from app.commands.github_apps import AppDraft, define_app
from app.commands.repository_hooks import RepositoryHooks
from app.installation import trouble_with_forges
from app.store import credentials, projects
from app.web.server_context import ServerContext
from app.workers.hooks import HookWorker
from tests.support.api import Caller
from tests.support.github import APP_ID, PEM
from tests.support.github_api import TOKEN, Answer, GitHubDouble, github_double
from tests.support.seed import World, world
from tests.support.told_forge import send_here
from tests.support.visiting import read, visitor

HERE = "https://jobyard.example.com/webhooks/github"
SECRET = "the webhook secret of acme"
REPOSITORY = "github.com/acme/report"
NO_SUCH = (
    "GitHub shows the credential no such repository (404): the credential needs access to it, and Webhooks: write (of"
    " a classic token, the scope admin:repo_hook). It is credential forge."
)


@pytest.fixture
def github() -> Iterator[GitHubDouble]:
    with github_double() as double:
        yield double


@pytest.fixture
def made(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        yield made


@pytest.fixture
def context(made: World, github: GitHubDouble) -> ServerContext:
    """With a project that has a repository at the double, a secret, and a token that may."""
    web = made.installation.web
    hooks = RepositoryHooks(web.db, web.clock, web.vault, make_hook_apis(), send_here)
    made.installation.web = replace(web, repository_hooks=hooks)  # type: ignore[misc]
    context = made.installation.web
    admin = Caller(context)
    admin.made("/projects", {"name": "acme", "webhook_secret": SECRET})
    credential = {
        "name": "forge",
        "kind": "git",
        "host": "github.com",
        "secret": TOKEN,
        "api_url": github.url,
    }
    admin.made("/projects/acme/credentials", credential)
    source = {"type": "git", "git": {"url": "https://github.com/acme/report.git"}}
    admin.made("/projects/acme/jobs", {"name": "report", "source": source})
    return context


@pytest.fixture
def admin(context: ServerContext) -> Caller:
    return Caller(context)


@pytest.fixture
def worker(context: ServerContext) -> HookWorker:
    return HookWorker(context.repository_hooks, context.public_url)


def known(admin: Caller) -> Any:
    (found,) = admin.got("/projects/acme/hooks")["items"]
    return found


def ask(admin: Caller, *, register: bool) -> Any:
    answer = admin.post("/projects/acme/hooks", json={"register": register})
    assert answer.status_code == 200, answer.text
    (found,) = answer.json()["items"]
    return found


def test_a_webhook_is_made_with_the_projects_secret(admin: Caller, github: GitHubDouble) -> None:
    found = ask(admin, register=True)
    assert (found["repository"], found["address"], found["problem"]) == (REPOSITORY, HERE, "")
    (hook,) = github.hooks.values()
    assert hook["config"] == {"url": HERE, "content_type": "json", "insecure_ssl": "0", "secret": SECRET}
    assert (hook["active"], hook["events"]) == (True, ["push", "pull_request"])
    assert SECRET not in str(admin.got("/projects/acme/hooks"))


def test_one_that_is_there_is_found_and_no_other_is_made(admin: Caller, github: GitHubDouble) -> None:
    config = {"url": HERE, "content_type": "form", "secret": "another"}
    github.hooks[1] = {"active": False, "events": ["issues"], "config": config, "last_response": None}
    assert ask(admin, register=False)["problem"] == (
        "The webhook is switched off at the forge: register it again."
    )
    github.hooks[1]["active"] = True
    assert ask(admin, register=False)["problem"] == "The webhook sends no pushes: register it again."
    assert ask(admin, register=True)["problem"] == ""
    (hook,) = github.hooks.values()
    assert (hook["events"], hook["config"]["secret"]) == (["issues", "pull_request", "push"], SECRET)


def test_it_follows_this_servers_address_and_secret(
    admin: Caller, context: ServerContext, github: GitHubDouble
) -> None:
    ask(admin, register=True)
    moved = Caller(replace(context, public_url="https://ci.acme.example"))
    assert ask(moved, register=False)["problem"] == (
        "The webhook leads to jobyard.example.com, as this server was called: register it again."
    )
    assert ask(moved, register=True)["problem"] == ""
    (hook,) = github.hooks.values()
    assert hook["config"]["url"] == "https://ci.acme.example/webhooks/github"


def test_a_changed_secret_is_told_to_the_forge(
    admin: Caller, context: ServerContext, worker: HookWorker, github: GitHubDouble
) -> None:
    ask(admin, register=True)
    assert not worker.step(), "there is nothing to do for a day"
    admin.patch("/projects/acme", json={"webhook_secret": "another secret of acme"})
    changed = "The webhook secret has changed, and the forge is being told."
    assert known(admin)["problem"] == changed
    assert ask(admin, register=False)["problem"] == changed, "a forge does not tell the secret"
    assert worker.step()
    (hook,) = github.hooks.values()
    assert hook["config"]["secret"] == "another secret of acme"
    assert (known(admin)["problem"], trouble_with_forges(context.db)) == ("", [])
    assert not worker.step()


def test_a_forge_that_can_not_be_told_of_a_secret_is_asked_again(
    made: World, admin: Caller, context: ServerContext, worker: HookWorker, github: GitHubDouble
) -> None:
    ask(admin, register=True)
    admin.patch("/projects/acme", json={"webhook_secret": "another secret of acme"})
    github.faults.append(Answer(503, b"down"))
    assert worker.step()
    not_told = (
        "The webhook secret has changed, and the forge could not be told: GitHub answered with status 503. It is"
        " credential forge. Set the secret there too."
    )
    assert known(admin)["problem"] == not_told
    assert trouble_with_forges(context.db) == [f"Project acme, {REPOSITORY}: {not_told}"]
    assert not worker.step(), "it is not asked again at once"
    made.installation.clock.advance(60)
    assert worker.step()
    assert github.hooks[1]["config"]["secret"] == "another secret of acme"
    assert known(admin)["problem"] == ""


def test_a_forge_that_refuses_is_asked_again_with_another_credential(
    admin: Caller, worker: HookWorker, github: GitHubDouble
) -> None:
    ask(admin, register=True)
    admin.patch("/projects/acme", json={"webhook_secret": "another secret of acme"})
    github.faults.append(Answer(404, {"message": "Not Found"}))
    assert worker.step()
    assert known(admin)["problem"] == (
        f"The webhook secret has changed, and the forge could not be told: {NO_SUCH} Set the secret there too."
    )
    assert not worker.step()
    admin.patch("/projects/acme/credentials/forge", json={"secret": TOKEN})
    assert worker.step()
    assert github.hooks[1]["config"]["secret"] == "another secret of acme"


def test_a_secret_that_changes_while_the_forge_is_told_of_one_is_told_too(
    admin: Caller, context: ServerContext, worker: HookWorker, github: GitHubDouble
) -> None:
    ask(admin, register=True)
    admin.patch("/projects/acme", json={"webhook_secret": "another secret of acme"})

    def meanwhile(request: Any) -> Any:
        answer = send_here(request)
        if request.method == "PATCH":
            admin.patch("/projects/acme", json={"webhook_secret": "the last secret of acme"})
        return answer

    assert HookWorker(replace(worker.hooks, send=meanwhile), context.public_url).step()
    assert known(admin)["problem"] == "The webhook secret has changed, and the forge is being told."
    assert worker.step()
    assert github.hooks[1]["config"]["secret"] == "the last secret of acme"


def test_a_job_has_a_secret_of_its_own(
    admin: Caller, context: ServerContext, worker: HookWorker, github: GitHubDouble
) -> None:
    with context.db.write() as tx:
        projects.set_webhook_secret(tx, projects.named(tx, "acme").id, None)
    set_secret(admin, "report", "the secret of report alone")
    assert ask(admin, register=True)["problem"] == ""
    assert github.hooks[1]["config"]["secret"] == "the secret of report alone"
    set_secret(admin, "report", "another secret of report")
    assert worker.step()
    assert github.hooks[1]["config"]["secret"] == "another secret of report"
    second = {"url": "https://github.com/acme/report.git", "webhook_secret": "the secret of the second"}
    admin.made("/projects/acme/jobs", {"name": "second", "source": {"type": "git", "git": second}})
    assert ask(admin, register=True)["problem"] == (
        "What is built from it has several webhook secrets, of which one webhook takes only one: set one for the"
        " project, which is good for all of them."
    )
    admin.patch("/projects/acme", json={"webhook_secret": SECRET})
    assert worker.step()
    assert github.hooks[1]["config"]["secret"] == SECRET


def set_secret(admin: Caller, job: str, secret: str) -> None:
    git = {"url": "https://github.com/acme/report.git", "webhook_secret": secret}
    answer = admin.patch(f"/projects/acme/jobs/{job}", json={"source": {"type": "git", "git": git}})
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda hooks: hooks.clear(), "There is no webhook of this server at the forge: register it."),
        (
            lambda hooks: hooks[1]["config"].update(url="https://elsewhere.example/webhooks/github"),
            "The webhook leads to elsewhere.example, as this server was called: register it again.",
        ),
        (
            lambda hooks: hooks[1].update(active=False),
            "The webhook is switched off at the forge: register it again.",
        ),
    ],
)
def test_what_somebody_changes_at_the_forge_is_told_within_a_day(
    made: World,
    admin: Caller,
    worker: HookWorker,
    github: GitHubDouble,
    change: Callable[[Any], Any],
    problem: str,
) -> None:
    ask(admin, register=True)
    change(github.hooks)
    made.installation.clock.advance(24 * 60 * 60 + 60)
    assert worker.step()
    assert known(admin)["problem"] == problem
    assert trouble_with_forges(admin.context.db) == [f"Project acme, {REPOSITORY}: {problem}"]
    assert problem in read(visitor(made), "/projects/acme")


def test_a_repository_that_nothing_has_any_more_is_forgotten(
    made: World, admin: Caller, worker: HookWorker, github: GitHubDouble
) -> None:
    ask(admin, register=True)
    github.hooks.clear()
    ask(admin, register=False)
    elsewhere = {"type": "git", "git": {"url": "https://github.com/acme/elsewhere.git"}}
    assert admin.patch("/projects/acme/jobs/report", json={"source": elsewhere}).status_code == 200
    made.installation.clock.advance(24 * 60 * 60 + 60)
    assert worker.step()
    assert trouble_with_forges(admin.context.db) == []
    assert not worker.step()


def test_what_the_forge_says_of_its_last_delivery(admin: Caller, github: GitHubDouble) -> None:
    ask(admin, register=True)
    github.hooks[1]["last_response"] = {"code": 502, "status": "failed", "message": "Bad Gateway"}
    assert ask(admin, register=False)["said"] == "502 Bad Gateway"


def test_where_there_is_none(admin: Caller) -> None:
    assert ask(admin, register=False)["problem"] == (
        "There is no webhook of this server at the forge: register it."
    )


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        (
            Answer(404, {"message": "Not Found"}),
            NO_SUCH,
        ),
        (Answer(503, b"down"), "GitHub answered with status 503. It is credential forge."),
        (
            Answer(301, {}, {"Location": "https://api.github.com/repositories/1/hooks"}),
            "The forge has the repository at another address by now: change it in the job.",
        ),
    ],
)
def test_what_a_forge_refuses_is_told(
    admin: Caller, context: ServerContext, github: GitHubDouble, fault: Answer, problem: str
) -> None:
    github.faults.append(fault)
    assert ask(admin, register=True)["problem"] == problem
    assert trouble_with_forges(context.db) == [f"Project acme, {REPOSITORY}: {problem}"]


def test_a_forge_that_does_not_answer(admin: Caller, context: ServerContext) -> None:
    def down(request: Any) -> Any:
        return send_here(replace(request, url="http://127.0.0.1:9/"))

    hooks = replace(context.repository_hooks, send=down)
    found = ask(Caller(replace(context, repository_hooks=hooks)), register=True)
    assert found["problem"] == "The forge can't be reached: no connection."


def test_without_a_secret_there_is_nothing_to_sign_with(
    admin: Caller, context: ServerContext, github: GitHubDouble
) -> None:
    with context.db.write() as tx:
        projects.set_webhook_secret(tx, projects.named(tx, "acme").id, None)
    assert ask(admin, register=True)["problem"] == (
        "It has no webhook secret, which signs what is sent: set one for the project."
    )
    assert not github.hooks


def test_not_everybody_at_once(admin: Caller, context: ServerContext) -> None:
    with context.repository_hooks._places, context.repository_hooks._places:
        busy = admin.post("/projects/acme/hooks", json={})
    message = "Others are asking forges for their webhooks: try again in a moment."
    assert (busy.status_code, busy.json()["detail"]) == (429, message)


def test_the_page_has_a_button_for_it(made: World, admin: Caller, github: GitHubDouble) -> None:
    page = visitor(made)
    assert "never looked at" in read(page, "/projects/acme")
    answer = page.post("/projects/acme/hooks", data={"register": "1"})
    assert answer.headers["location"] == "/projects/acme?saved=hooks#webhook"
    assert len(github.hooks) == 1
    assert "its webhook leads here" in read(page, "/projects/acme")
    github.hooks.clear()
    assert page.post("/projects/acme/hooks", data={}).status_code == 303
    assert "There is no webhook of this server at the forge" in read(page, "/projects/acme")
    assert page.post("/projects/acme/commit-statuses", data={"commit_statuses": "two"}).status_code == 303
    assert admin.got("/projects/acme")["commit_statuses"] == "two"
    assert page.post("/projects/acme/commit-statuses", data={"commit_statuses": "x"}).status_code == 422


def test_the_last_push_and_ping_are_told(made: World, admin: Caller) -> None:
    place = made.installation
    with place.db.read() as tx:
        project = projects.named(tx, "acme")
    place.project = project
    place.push(None, "a" * 40)
    (found,) = admin.got("/projects/acme/hooks")["items"]
    assert (found["last_push_at"] is not None, found["last_push_status"]) == (True, "received")
    assert found["last_ping_at"] is None


def test_where_a_github_app_tells_of_pushes(made: World, admin: Caller, github: GitHubDouble) -> None:
    place = made.installation
    with place.db.write() as tx:
        project = projects.named(tx, "acme")
        credentials.delete(tx, credentials.named(tx, project.id, "forge"))
        define_app(tx, place.box, project, AppDraft("octo", "github.com", APP_ID, PEM), place.clock.now())
    found = ask(admin, register=True)
    by_app = "The GitHub App of its credential tells of pushes: no webhook of the repository is needed."
    assert (found["problem"], found["said"], found["address"]) == ("", by_app, None)
    assert github.asked == []
    assert by_app in read(visitor(made), "/projects/acme")
