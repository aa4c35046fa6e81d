"""A day of four people in one installation: an administrator, an operator, a viewer, one from the identity provider.

Each works in a browser of their own, on a real server; in the evening all that they did is in the audit log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.support.browser import browsing, visitor
from tests.support.hosted import HostedJob
from tests.support.identity_provider import CLIENT, CLIENT_SECRET, IdentityProvider
from tests.support.identity_provider import PASSWORD as AT_PROVIDER
from tests.support.server import JobyardServer

NOWHERE = "unix:///nowhere/docker.sock"
PASSWORD, ANOTHER = "a password for the day", "another one for the night"
SCRIPT = 'echo "$WORDS"\nif [ -n "$LONG" ]; then sleep 600 & wait; fi\n'


@dataclass
class Office:
    server: JobyardServer
    provider: IdentityProvider
    browser: Browser

    def desk(self) -> Page:
        """A browser of somebody who is not logged in; it opens nothing beyond this machine."""
        page = visitor(self.browser, self.server.url, logged_in=False)

        def only_here(route: Route) -> None:
            if urlsplit(route.request.url).hostname == "127.0.0.1":
                route.continue_()
            else:
                route.abort()

        page.context.route("**/*", only_here)
        return page


@contextmanager
def day_begins(data: Path) -> Iterator[tuple[JobyardServer, IdentityProvider]]:
    server = JobyardServer(data, engine="process", docker_host=NOWHERE)
    provider = IdentityProvider(data.parent / "provider", [f"{server.url}/login/oidc/callback"])
    server.settings |= {
        "public_url": server.url,
        "oidc_issuer": provider.issuer,
        "oidc_client_id": CLIENT,
        "oidc_client_secret": CLIENT_SECRET,
        "oidc_role_claim": "roles",
    }
    try:
        provider.start()
        server.start()
        yield server, provider
    finally:
        server.close()
        provider.stop()


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with day_begins(tmp_path / "data") as (server, provider), browsing() as browser:
        yield Office(server, provider, browser)


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).first.click()


def accept(page: Page, link: str, name: str = "") -> None:
    page.goto(link)
    if name:
        page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("The same password again").fill(PASSWORD)
    page.get_by_role("main").get_by_role("button").click()
    page.wait_for_url("**/")


def log_in(page: Page, name: str, password: str, wanted: str = "/") -> None:
    page.goto(wanted)
    page.get_by_label("Name or e-mail").fill(name)
    page.get_by_label("Password, or").fill(password)
    press(page, "Log in")


def invite(admin: Page, name: str, role: str) -> str:
    admin.goto("/users")
    admin.get_by_label("Name", exact=True).fill(name)
    admin.get_by_label("Role").select_option(role)
    press(admin, "Invite")
    return str(admin.locator("[data-copy-text]").text_content())


def by_provider(page: Page, user: str, wanted: str) -> None:
    page.goto(wanted)
    page.get_by_role("link", name="Log in with the identity provider").click()
    page.get_by_label("Username").fill(user)
    page.get_by_label("Password").fill(AT_PROVIDER)
    page.get_by_role("main").or_(page.locator("body")).get_by_role("button").first.click()
    page.wait_for_url(f"**{wanted}")


def is_out(page: Page) -> None:
    page.goto("/settings")
    expect(page).to_have_url(f"{page.url.partition('/login')[0]}/login?next=%2Fsettings")


def tries(page: Page, path: str) -> int:
    """The status that a form of another's page would get, sent by this one's browser."""
    return int(page.evaluate("path => fetch(path, {method: 'POST'}).then(answer => answer.status)", path))


def newest_run(job: HostedJob, count: int) -> Any:
    return job.server.wait_for("a run", lambda: len(found := job.runs()) == count and found[0])


def test_a_day_of_four_people(office: Office, host: Callable[[JobyardServer], HostedJob]) -> None:
    server, provider = office.server, office.provider
    job = host(server)
    job.repository.commit({"run.sh": SCRIPT}, "Begin")
    path = job.path
    ada, olga, vic, iris = (office.desk() for _ in range(4))

    # In the morning: an administrator, who makes a job and invites two others.
    accept(ada, server.command("admin", "link").split()[-1], "ada")
    job.job(run_on_image_change="never")
    to_olga, to_vic = invite(ada, "olga", "operator"), invite(ada, "vic", "viewer")
    accept(olga, to_olga)
    accept(vic, to_vic)

    # The viewer sees, and is refused.
    vic.goto(path)
    expect(vic.get_by_role("heading", name=job.name).first).to_be_visible()
    expect(vic.get_by_role("button", name="Run now")).to_have_count(0)
    assert vic.goto(f"{path}/settings").status == 403  # type: ignore[union-attr]
    vic.goto(path)
    assert tries(vic, f"{path}/run") == 403

    # The operator builds, runs, cancels and deploys.
    olga.goto(f"{path}/build")
    press(olga, f"Build {job.name}")
    build = server.wait_for("a build", lambda: next(iter(job.builds()), None))
    assert server.over(f"/builds/{build['id']}")["status"] == "succeeded"
    olga.goto(f"{path}/run")
    olga.locator("#f-env").fill("LONG=1")
    press(olga, f"Run {job.name} now")
    olga.wait_for_url("**/runs/*")
    long_run = newest_run(job, 1)
    server.wait_for("it runs", lambda: server.api("GET", f"/runs/{long_run['id']}")["status"] == "running")
    press(olga, "Cancel this run")
    assert server.over(f"/runs/{long_run['id']}")["status"] == "cancelled"
    olga.goto(f"{path}/deploy")
    press(olga, f"Deploy to {job.name}")
    olga.wait_for_url(f"**{path}")
    olga.goto(f"{path}/settings")
    expect(olga.get_by_role("main")).to_contain_text("This needs the role admin; olga has operator.")

    # The administrator changes the job; the operator runs it so.
    ada.goto(f"{path}/settings")
    row = ada.locator(".env-row").first
    row.get_by_label("Name of a variable").fill("WORDS")
    row.get_by_label("Value").fill("good afternoon")
    press(ada, f"Save settings of {job.name}")
    ada.wait_for_url(lambda address: "saved" in address or address.endswith(path))
    olga.goto(path)
    press(olga, "Run now")
    olga.wait_for_url("**/runs/*")
    finished = server.over(f"/runs/{newest_run(job, 2)['id']}")
    assert server.log_of(finished) == "good afternoon\n"

    # The operator's link opens for the viewer, whose other browser logs in by it.
    shared = urlsplit(olga.url).path
    elsewhere = office.desk()
    log_in(elsewhere, "vic", PASSWORD, shared)
    elsewhere.wait_for_url(f"**{shared}")
    expect(elsewhere.locator("[data-log]")).to_contain_text("good afternoon")

    # Another password ends the viewer's other session.
    elsewhere.goto("/settings")
    elsewhere.locator("#account summary").click()
    elsewhere.get_by_label("Current password").fill(PASSWORD)
    elsewhere.get_by_label("New password", exact=True).fill(ANOTHER)
    elsewhere.get_by_label("The new password again").fill(ANOTHER)
    press(elsewhere, "Change the password")
    expect(
        elsewhere.get_by_text("Your password was changed; your other sessions have ended.")
    ).to_be_visible()
    is_out(vic)
    log_in(vic, "vic", PASSWORD)
    expect(vic.get_by_role("alert")).to_contain_text("Wrong name or password.")

    # One from the identity provider runs the job; then the provider makes them a viewer.
    provider.set_user("iris", roles=["operator"])
    by_provider(iris, "iris", path)
    press(iris, "Run now")
    iris.wait_for_url("**/runs/*")
    server.over(f"/runs/{newest_run(job, 3)['id']}")
    provider.set_user("iris", roles=["viewer"])
    again = office.desk()
    by_provider(again, "iris", path)
    expect(again.get_by_role("button", name="Run now")).to_have_count(0)
    is_out(iris)

    # In the evening the viewer's account is disabled, and they are out at once.
    user = next(each for each in server.items("/users") if each["name"] == "vic")
    ada.goto(f"/users/{user['id']}")
    press(ada, "Disable")
    expect(ada.get_by_role("button", name="Enable")).to_be_visible()
    is_out(elsewhere)
    log_in(elsewhere, "vic", ANOTHER)
    expect(elsewhere.get_by_role("alert")).to_contain_text("Wrong name or password.")

    all_is_told(server, job.name)
    ada.goto("/audit?who=iris")
    expect(ada.locator("[data-row]")).to_have_count(3)
    expect(ada.locator("[data-action='sign_in.done']").first).to_contain_text("operator → viewer")


def all_is_told(server: JobyardServer, job: str) -> None:
    """What each did, from where and to what, in the order of the day."""
    entries = [each for each in reversed(server.items("/audit")) if each["who"]["name"] != "admin token"]
    told = [(each["who"]["name"], each["action"], each["outcome"], each["about"]["name"]) for each in entries]
    assert [each for each in told if each[0] == "ada"] == [
        ("ada", "user.invite", "done", "olga"),
        ("ada", "user.invite", "done", "vic"),
        ("ada", "job.change", "done", job),
        ("ada", "user.disable", "done", "vic"),
    ]
    assert [each[1:3] for each in told if each[0] == "olga"] == [
        ("build.start", "done"),
        ("run.start", "done"),
        ("run.cancel", "done"),
        ("job.deploy", "done"),
        ("run.start", "done"),
    ]
    assert [each[1:3] for each in told if each[0] == "vic"] == [
        ("run.start", "refused"),
        ("sign_in.done", "done"),
        ("user.change_password", "done"),
    ]
    assert [each[1:3] for each in told if each[0] == "iris"] == [
        ("sign_in.done", "done"),
        ("run.start", "done"),
        ("sign_in.done", "done"),
    ]
    links = [each for each in told if each[1] == "user.accept_link"]
    assert [each[3] for each in links] == ["ada", "olga", "vic"]
    failed = [each for each in entries if each["action"] == "sign_in.failed"]
    assert [(each["about"]["name"], each["detail"]) for each in failed] == [
        ("vic", "Wrong password."),
        ("vic", "Account disabled."),
    ]
    of_people = [each for each in entries if each["who"]["kind"] in ("user", "link", "nobody")]
    assert {each["who"]["address"] for each in of_people} == {"127.0.0.1"}
    assert all(each["request_id"] for each in of_people)
    changed = next(each for each in entries if each["action"] == "job.change")
    assert changed["changes"]["env.WORDS"] == {"from": None, "to": "good afternoon"}
    secrets = (PASSWORD, ANOTHER, AT_PROVIDER, CLIENT_SECRET)
    assert not any(each in server.text("/audit?limit=100") + server.log for each in secrets)
