"""The pages over a store without loops: what they say, who may do what, and that they stay quick."""

from __future__ import annotations

import html
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from sqlalchemy import event
from starlette.testclient import TestClient

from app.commands import sessions
from app.commands.sessions import new_login_path
from app.domain.decisions import EventType, Verdict
from app.domain.job.checks import CheckType, CommandCheck, HttpCheck
from app.domain.job.variables import EnvValue
from app.domain.principals import Role
from app.domain.runs import Reason, Run, RunStatus, Trigger, TriggerType
from app.logs import LogReader
from app.store import builds, decisions, deliveries, jobs, overview, runs, secret_groups
from app.web.pages import charts, logview, words
from app.web.principal import COOKIE
from tests.support.demo_world import Demo, furnish
from tests.support.forms import form_fields
from tests.support.seed import ADMIN_TOKEN, PASSWORD, SUCCEEDED, World, failed, world
from tests.support.shown import shown

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
OURS = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty installation, to be copied."""
    root = tmp_path_factory.mktemp("bare")
    with world(root):
        return root


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Demo]:
    """The demonstration world, to be copied."""
    root = tmp_path_factory.mktemp("furnished")
    with world(root) as each:
        each.clock.held = NOW
        return root, furnish(each, NOW)


@pytest.fixture
def demo(furnished: tuple[Path, Demo]) -> Demo:
    """Asking for it furnishes `made`."""
    return furnished[1]


@pytest.fixture
def made(tmp_path: Path, bare: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    template = request.getfixturevalue("furnished")[0] if "demo" in request.fixturenames else bare
    root = shutil.copytree(template, tmp_path / "data")
    with world(root) as each:
        each.clock.held = NOW
        yield each


def visitor(made: World, role: Role | None = Role.ADMIN) -> TestClient:
    client = TestClient(made.app(), follow_redirects=False, headers=OURS)
    if role is not None:
        answer = client.post("/login", data={"name": f"{role}-user", "password": PASSWORD})
        assert answer.status_code == 303
    return client


def read(client: TestClient, path: str, status: int = 200) -> str:
    answer = client.get(path)
    assert answer.status_code == status, answer.text
    return answer.text


def run_of(made: World, run_id: int) -> Run:
    with made.db.read() as tx:
        return runs.with_id(tx, run_id)


# who comes in


@pytest.mark.parametrize(
    "path", ["/", "/runs/1", "/deliveries", "/settings", "/projects/a/jobs/b/run?plan=small"]
)
def test_nobody_is_sent_to_log_in_and_back(made: World, path: str) -> None:
    client = visitor(made, None)
    answer = client.get(path)
    assert answer.status_code == 303
    login = read(client, answer.headers["location"])
    wanted = re.search(r'name="next" value="([^"]*)"', login)
    assert wanted is not None
    assert wanted[1] == path
    data = {"name": "viewer-user", "password": PASSWORD, "next": wanted[1]}
    assert client.post("/login", data=data).headers["location"] == path


@pytest.mark.parametrize(
    "evil", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"]
)
def test_log_in_never_leads_to_another_site(made: World, evil: str) -> None:
    data = {"name": "viewer-user", "password": PASSWORD, "next": evil}
    assert visitor(made, None).post("/login", data=data).headers["location"] == "/"


def test_an_administrators_token_works_as_password(made: World) -> None:
    client = visitor(made, None)
    answer = client.post("/login", data={"name": "", "password": ADMIN_TOKEN})
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "API tokens" in read(client, "/settings")


def test_a_wrong_password_says_so_and_keeps_the_name(made: World) -> None:
    client = visitor(made, None)
    answer = client.post("/login", data={"name": "admin-user", "password": "wrong"})
    assert answer.status_code == 422
    assert 'value="admin-user"' in answer.text
    assert COOKIE not in client.cookies


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"name=" + b"x" * 1024 * 1024, "application/x-www-form-urlencoded", 413),
        (b"a&" * 1001, "application/x-www-form-urlencoded", 400),
        (b"name=%ff", "application/x-www-form-urlencoded", 400),
        (b"name=\xff", "application/x-www-form-urlencoded", 400),
        (b"name=%00", "application/x-www-form-urlencoded", 422),
        (b'{"name": "x"}', "application/json", 415),
        (b"--x\r\n", "multipart/form-data; boundary=x", 415),
    ],
)
def test_a_form_that_is_none_is_refused(made: World, content: bytes, kind: str, status: int) -> None:
    """By a page, also where nobody is logged in."""
    answer = visitor(made, None).post("/login", content=content, headers={"Content-Type": kind})
    assert answer.status_code == status, answer.text
    assert "<main" in answer.text


def test_a_crowd_at_the_door_is_asked_to_wait(made: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checking a password takes memory and time, and anybody may ask for it."""
    may_go_on = Event()

    class Slow:
        def verify(self, *_: str) -> bool:
            assert may_go_on.wait(30)
            return True

    monkeypatch.setattr(sessions, "_passwords", Slow())
    data = {"name": "admin-user", "password": "x"}

    def log_in() -> int:
        client = TestClient(made.app(), follow_redirects=False, headers=OURS)
        return client.post("/login", data=data).status_code

    with ThreadPoolExecutor(20) as crowd:
        asked = [crowd.submit(log_in) for _ in range(20)]
        refused = [each.result() for each in islice(as_completed(asked, timeout=30), 12)]
        assert refused == [429] * 12
        may_go_on.set()
        assert sorted(each.result() for each in asked) == [303] * 8 + [429] * 12
    assert log_in() == 303


def test_a_one_time_link_is_spent_by_its_button_and_only_once(made: World) -> None:
    client, path = visitor(made, None), new_login_path(made.db, NOW)
    for _ in range(3):
        assert "Log in as administrator" in read(client, path)  # looking spends nothing
    assert client.post(path).headers["location"] == "/"
    assert "Overview" in read(client, "/")
    again = visitor(made, None).post(path)
    assert again.status_code == 410
    assert "used already" in again.text


def test_logging_out_ends_the_session_on_the_server(made: World) -> None:
    client = visitor(made)
    session = client.cookies[COOKIE]
    client.post("/logout")
    client.cookies.set(COOKIE, session)
    assert client.get("/").status_code == 303


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ],
)
def test_other_sites_can_do_nothing(made: World, demo: Demo, headers: dict[str, str]) -> None:
    client = visitor(made)
    del client.headers["Sec-Fetch-Site"]
    for path in (f"/runs/{demo.running_run}/cancel", "/settings/tokens", "/logout", "/login"):
        assert client.post(path, data={"name": "x"}, headers=headers).status_code == 403
    assert run_of(made, demo.running_run).cancel_requested_at is None


def test_a_viewer_sees_no_actions_and_can_do_none(made: World, demo: Demo) -> None:
    client, run = visitor(made, Role.VIEWER), run_of(made, demo.running_run)
    page = read(client, f"/runs/{run.name}")
    assert "Cancel this run" not in page
    assert "Run with changes" not in page
    job = f"/projects/{demo.job.project}/jobs/{demo.job.name}"
    for path in (
        f"/runs/{run.name}/cancel",
        f"{job}/run",
        f"{job}/pause",
        f"{job}/build",
        "/settings/tokens",
    ):
        answer = client.post(path)
        assert answer.status_code == 403
        assert "needs the role" in answer.text
    assert "API tokens" not in read(client, "/settings")


def test_a_token_of_one_project_is_for_the_api_only(made: World, demo: Demo) -> None:
    from app.commands.tokens import digest
    from app.store import tokens

    with made.db.write() as tx:
        tokens.add(tx, "one", digest("jy_one"), Role.ADMIN, NOW, project_id=demo.job.project_id)
    client = TestClient(made.app(), headers={"Authorization": "Bearer jy_one"})
    assert client.get("/").status_code == 403


# what the pages say


def test_an_empty_installation_says_what_to_do_first(made: World) -> None:
    client = visitor(made)
    assert 'href="/projects">Make a project' in read(client, "/")
    assert "/webhooks/github" in read(client, "/deliveries")
    assert f"{made.public_url}/webhooks/github" in read(client, "/settings")


def test_overview_shows_each_job_with_its_last_runs_and_why_nothing_ran(made: World, demo: Demo) -> None:
    page = read(visitor(made), "/")
    row = re.search(rf'<tr data-row id="job-{demo.job.id}">.*?</tr>', page, re.DOTALL)
    assert row is not None
    assert row[0].count("<title>") == 22
    assert "Failed · time limit" in row[0]
    assert run_of(made, demo.failed_run).name in row[0]
    assert "all ignored by the path rules" in page
    words = " ".join(re.sub(r"<[^>]*>", "", page).split())
    assert "6 jobs · 1 failing · 1 running · 0 waiting · server healthy" in words
    assert re.search(r'<progress max="3[0-9.]+" value="18.0"', page)


def test_overview_filters_jobs(made: World, demo: Demo) -> None:
    client = visitor(made)
    listed = {
        show: re.findall(r'class="name" href="/projects/\w+/jobs/([\w-]+)"', read(client, f"/?show={show}"))
        for show in ("", "failing", "scheduled")
    }
    assert listed["failing"] == ["embeddings"]
    assert listed["scheduled"] == ["cleanup", "nightly-report", "sync-orders"]
    assert len(listed[""]) == 6


def test_overview_says_when_the_engine_is_down(made: World) -> None:
    from app.runtime.engine_health import EngineHealth

    made.health = EngineHealth(False, "The engine does not answer: see JOBYARD_DOCKER_HOST.")
    assert "JOBYARD_DOCKER_HOST" in read(visitor(made), "/")


def test_overview_labels_an_engine_without_isolation(made: World) -> None:
    from app.runtime.engine_health import EngineHealth

    sentence = "Jobs run as plain processes of this machine."
    client = visitor(made)
    assert "no isolation" not in read(client, "/")
    made.health = EngineHealth(True, "The machine answers.", sentence, is_isolated=False)
    label = re.search(r'<a class="pill"[^>]*title="([^"]*)">no isolation</a>', read(client, "/"))
    assert label is not None
    assert label[1] == sentence


@pytest.mark.parametrize("by_name", [True, False])
def test_run_page_begins_with_why_it_ran(made: World, demo: Demo, by_name: bool) -> None:
    run = run_of(made, demo.failed_run)
    page = shown(read(visitor(made), f"/runs/{run.name if by_name else run.id}"))
    main = page[page.index("<main") :]
    assert main.index(run.trigger.cause.replace("&", "&amp;")) < main.index("Facts")
    assert "The time limit of 480 s passed" in page
    assert "attempt 2 · out of memory" in page
    assert 'class="lane-limit"' in page
    assert re.search(r"API_TOKEN</code></dt><dd><code>\*\*\*</code>", page)
    assert "sealed" not in page
    assert re.search(r"BATCH</code></dt><dd><code>127</code> <span[^>]*>override", page)


def test_lists_of_runs_say_how_the_attempts_stand(made: World, demo: Demo) -> None:
    run, page = run_of(made, demo.failed_run), read(visitor(made), "/projects/acme/jobs/embeddings")
    row = page[page.index(f'id="run-{run.id}"') :]
    assert f">{words.attempts(run)}<" in row[: row.index("</tr>")]
    assert words.attempts(run) == f"{run.failed} failed"


def test_run_page_shows_the_attempt_that_is_asked_for(made: World, demo: Demo) -> None:
    client = visitor(made)
    page = read(client, f"/runs/{demo.failed_run}?attempt=1")
    assert f'data-log="run-{demo.failed_run}-1"' in page
    read(client, f"/runs/{demo.failed_run}?attempt=9", 404)


def test_build_page_shows_plan_dockerfile_steps_and_what_came_of_it(made: World, demo: Demo) -> None:
    page = read(visitor(made), f"/builds/{demo.build}")
    for expected in (
        "Python, because requirements.txt is there.",
        "requests is not pinned",
        "RUN --mount=type=cache",
        "exporting to image",
        "Read the orders in one query",
        "started",
    ):
        assert expected in page


def test_deliveries_show_their_decisions_also_of_replays(made: World, demo: Demo) -> None:
    client = visitor(made)
    page = read(client, "/deliveries")
    assert "all ignored by the path rules" in page
    assert client.post("/deliveries/github/d-docs/replay").headers["location"] == "/deliveries"
    with made.db.read() as tx:
        again = deliveries.find(tx, "d-docs")
    assert (again.status, again.event_id) == ("received", "d-docs~1")
    made.decide(demo.job, (EventType.PUSH, "d-docs~1"), Verdict.SKIPPED, "CI is off.", NOW)
    page = read(client, "/deliveries")
    assert "CI is off." in page
    assert "all ignored by the path rules" in page
    assert client.post("/deliveries/github/d-docs/replay").status_code == 409
    read(client, "/deliveries/github/d-docs/replay", 405)
    assert client.post("/deliveries/github/none/replay").status_code == 404


def test_job_page_links_to_every_decision_with_its_inputs(made: World, demo: Demo) -> None:
    client, job = visitor(made), f"/projects/{demo.job.project}/jobs/{demo.job.name}"
    assert "tags don&#39;t build" in read(client, job)
    page = read(client, f"{job}/decisions")
    assert "run_on_image_change:cd-promote" in page
    assert "cd enabled" in page
    assert "tags don" not in read(client, f"{job}/decisions?verdict=started")


def test_search_finds_jobs_runs_and_commits(made: World, demo: Demo) -> None:
    client, run = visitor(made), run_of(made, demo.failed_run)
    assert client.get(f"/search?q={run.name}").headers["location"] == f"/runs/{run.name}"
    assert client.get("/search?q=backf").headers["location"] == "/projects/research/jobs/backfill"
    assert run.name in read(client, "/search?q=embeddings-")
    with made.db.read() as tx:
        build = builds.with_id(tx, demo.build)
    assert build.sha is not None
    assert f"/builds/{build.id}" in read(client, f"/search?q={build.sha[:7]}")
    assert "Nothing is called that" in read(client, "/search?q=%25")


@pytest.mark.parametrize(
    "path",
    ["/runs/none", "/runs/99", "/builds/none", "/builds/99", "/builds/%F0", "/projects/a/jobs/b", "/none"],
)
def test_what_is_not_there_is_a_page_that_says_so(made: World, path: str) -> None:
    page = read(visitor(made), path, 404)
    assert "Overview" in page
    assert "<title>404" in page


NAUGHTY = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{7*7}}"


def test_nothing_anybody_wrote_is_markup(made: World) -> None:
    job = made.job("naughty", env={"V": NAUGHTY}, command=NAUGHTY)
    build = made.build(
        job,
        NOW,
        sha="a" * 40,
        message=NAUGHTY,
        log=NAUGHTY.encode(),
        dockerfile=NAUGHTY,
        plan={"runtime": NAUGHTY, "reasons": [NAUGHTY]},
        steps=[{"index": 0, "name": NAUGHTY, "started": 0.0, "duration": 1.0}],
    )
    run = made.run(
        job,
        NOW,
        trigger=Trigger(TriggerType.MANUAL, by=NAUGHTY, cause=NAUGHTY),
        outcome=failed(Reason.EXIT_NONZERO, NAUGHTY),
        log=NAUGHTY.encode(),
        sha=NAUGHTY,
    )
    made.delivery(NAUGHTY, NOW, repository=NAUGHTY, sha=NAUGHTY, sentence=NAUGHTY)
    made.decide(
        job, (EventType.PUSH, NAUGHTY), Verdict.SKIPPED, NAUGHTY, NOW, rule=NAUGHTY, inputs={NAUGHTY: NAUGHTY}
    )
    client = visitor(made)
    for path in (
        "/",
        f"/runs/{run}",
        f"/runs/{run}/log?from=0",
        f"/builds/{build}",
        "/deliveries",
        "/projects/acme/jobs/naughty",
        "/projects/acme/jobs/naughty/decisions",
        "/projects/acme/jobs/naughty/settings",
        f"/projects/acme/jobs/naughty/run?command={NAUGHTY}&env={NAUGHTY}&plan={NAUGHTY}",
        f"/search?q={NAUGHTY}",
    ):
        page = client.get(path).text
        assert "alert(1)" in page
        assert "<script>alert" not in page
        assert "<img" not in page
        assert "\"'>" not in page
        assert "{{7*7}}" in page


def test_pages_have_no_inline_script_or_style(made: World, demo: Demo) -> None:
    client = visitor(made)
    settings = f"/projects/acme/jobs/{demo.job.name}/settings"
    pages = ("/", f"/runs/{demo.failed_run}", f"/builds/{demo.build}", "/deliveries", "/settings", settings)
    for path in pages:
        page = read(client, path)
        assert not re.search(r"\sstyle=|\son\w+=|<style|<script>", page)


# actions


def test_cancelling_a_run_and_a_build(made: World, demo: Demo) -> None:
    client, run = visitor(made, Role.OPERATOR), run_of(made, demo.running_run)
    assert client.post(f"/runs/{run.id}/cancel").headers["location"] == f"/runs/{run.name}"
    assert "Cancelled by operator-user." in run_of(made, run.id).cancel_sentence
    assert "Kill it now" in read(client, f"/runs/{run.id}")
    client.post(f"/runs/{run.id}/cancel")
    assert "Killing" in read(client, f"/runs/{run.id}")
    why = read(client, f"/projects/{run.project}/jobs/{run.job}/decisions?verdict=cancelled")
    assert f"Run {run.name} cancelled by operator-user: it has at most 30 s to end by itself." in why
    assert f"Run {run.name} cancelled once more by operator-user: it is killed at once." in why
    assert client.post(f"/runs/{demo.finished_run}/cancel").status_code == 409
    client.post(f"/builds/{demo.running_build}/cancel")
    with made.db.read() as tx:
        assert builds.with_id(tx, demo.running_build).cancel_requested_at == NOW
    assert client.post(f"/builds/{demo.build}/cancel").status_code == 409


def test_a_build_is_deployed_from_its_page_which_says_what_will_happen(made: World, demo: Demo) -> None:
    client = visitor(made, Role.OPERATOR)
    page = read(client, f"/builds/{demo.build}")
    deploy = page[page.index("Deploy it") :]
    said = re.search(r'<p class="sub">([^<]*deployed by operator-user[^<]*)</p>', deploy)
    assert said is not None
    fields = form_fields(deploy, f"/builds/{demo.build}/deploy")
    answer = client.post(f"/builds/{demo.build}/deploy", data=fields)
    assert answer.status_code == 303
    with made.db.read() as tx:
        job = jobs.named(tx, fields["project"], fields["job"])
        (decision, *_) = decisions.page(tx, limit=1, job_id=job.id)
    assert job.deployed is not None
    assert job.deployed.build_id == demo.build
    assert decision.sentence == html.unescape(said[1])
    assert "Deploy it" not in read(client, f"/builds/{demo.running_build}")
    assert client.post(f"/builds/{demo.running_build}/deploy", data=fields).status_code == 422
    assert "Deploy it" not in read(visitor(made, Role.VIEWER), f"/builds/{demo.build}")


def test_run_now_starts_a_run_by_that_person(made: World, demo: Demo) -> None:
    client = visitor(made, Role.OPERATOR)
    answer = client.post(f"/projects/acme/jobs/{demo.job.name}/run")
    page = read(client, answer.headers["location"])
    assert "Started manually by operator-user." in page
    assert "Waits to start" in page


def test_run_with_changes_previews_then_starts(made: World, demo: Demo) -> None:
    client, path = visitor(made, Role.OPERATOR), f"/projects/acme/jobs/{demo.job.name}/run"
    changes = {
        "command": "python embed.py 'one file'",
        "env": "BATCH=7\nAPI_TOKEN=new secret\nMODEL\n",
        "plan": "large",
        "retry_limit": "1",
        "time_limit_seconds": "none",
    }
    preview = client.post(path, data={**changes, "preview": "1"})
    assert preview.status_code == 200
    page = shown(preview.text)
    page = page[page.index("What it would run with") :]
    assert re.search(r"BATCH</dt><dd><code>7</code> <span[^>]*>override", page)
    assert re.search(r"MODEL</dt><dd><code>unset", page)
    with made.db.read() as tx:
        before = runs.page(tx, limit=1)[0].id
    run = run_of(made, before + 1) if client.post(path, data=changes).status_code == 303 else None
    assert run is not None
    assert run.trigger.type is TriggerType.MANUAL
    assert run.spec.env["BATCH"] == EnvValue("7")
    assert "MODEL" not in run.spec.env
    token = run.spec.env["API_TOKEN"]
    assert token.secret
    assert made.box.open(token.value, "env") == "new secret"
    assert (run.spec.plan, run.spec.retry_limit, run.spec.time_limit_seconds) == ("large", 1, None)
    again = read(client, f"{path}?like={run.name}")
    assert "BATCH=7\nMODEL</textarea>" in again  # and no secret
    assert "&#39;one file&#39;" in again


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("command", "echo 'open", "as a shell would split it"),
        ("env", "1X=2", "no variable&#39;s name"),
        ("plan", "gigantic", "must be one of the plans"),
        ("retry_limit", "-1", "at least 0"),
        ("retry_limit", "²", "whole number"),
        ("time_limit_seconds", "0", "at least 1"),
        ("image", "Bad Image", "image reference"),
        ("build", "99", "which build 99 is not"),
        ("sha", "4f2a9c1", "must be a commit that was built"),
        ("process", "a b", "name of a process"),
    ],
)
def test_run_form_says_which_field_is_wrong_and_keeps_what_was_typed(
    made: World, demo: Demo, field: str, value: str, says: str
) -> None:
    client = visitor(made, Role.OPERATOR)
    answer = client.post(
        f"/projects/acme/jobs/{demo.job.name}/run",
        data={field: value, "env": value if field == "env" else "A=kept"},
    )
    assert answer.status_code == 422
    wrong = answer.text[answer.text.index("field wrong") :]
    assert says in wrong[: wrong.index("</div>")]
    assert field == "env" or "A=kept" in answer.text


def test_run_form_says_that_a_shell_has_nothing_to_wrap(made: World, demo: Demo) -> None:
    with made.db.write() as tx:
        spec = replace(demo.job.spec, run=replace(demo.job.spec.run, command=None, process=None))
        jobs.redefine(tx, demo.job.id, spec, None, made.clock.now())
    client = visitor(made, Role.OPERATOR)
    answer = client.post(f"/projects/acme/jobs/{demo.job.name}/run", data={"shell": "1"})
    assert answer.status_code == 422
    wrong = answer.text[answer.text.index("field wrong") :]
    assert "shell wraps a command or a process" in wrong[: wrong.index("</div>")]


def test_a_link_to_the_run_form_has_no_secret_and_starts_nothing(made: World, demo: Demo) -> None:
    """Whether the secret is the job's own or a group's, which the preview shows too."""
    client, path = visitor(made, Role.OPERATOR), f"/projects/acme/jobs/{demo.job.name}/run"
    now = made.clock.now()
    sealed = EnvValue(made.box.seal("of the group", "env"), secret=True)
    with made.db.write() as tx:
        env = {"SHARED": EnvValue("plain"), "GROUP_TOKEN": sealed}
        group = secret_groups.create(tx, demo.job.project_id, name="all", priority=1, env=env, now=now)
        secret_groups.attach(tx, group, [demo.job.name])
        before = runs.page(tx, limit=1)[0].id
    typed = {
        "command": "ls",
        "env": "BATCH=7\nAPI_TOKEN=hidden one\nGROUP_TOKEN=hidden two",
        "entrypoint": "tini",
    }
    page = shown(client.post(path, data={**typed, "preview": "1"}).text)
    assert re.search(r"SHARED</dt><dd><code>plain</code> <span[^>]*>group all", page)
    found = re.search(r'href="(/projects/[^"]+/run\?[^"]+)"', page)
    assert found is not None
    link = found[1].replace("&amp;", "&")
    assert "hidden" not in link
    opened = form_fields(read(client, link), path)
    assert (opened["command"], opened["entrypoint"], opened["env"]) == ("ls", "tini", "BATCH=7")
    with made.db.read() as tx:
        assert runs.page(tx, limit=1)[0].id == before
    client.post(path, data=typed)
    env = run_of(made, before + 1).spec.env
    assert made.box.open(env["GROUP_TOKEN"].value, "env") == "hidden two"


def test_a_paused_job_runs_only_when_that_is_confirmed(made: World, demo: Demo) -> None:
    client, job = visitor(made, Role.OPERATOR), f"/projects/acme/jobs/{demo.job.name}"
    client.post(f"{job}/pause")
    with made.db.read() as tx:
        assert jobs.with_id(tx, demo.job.id).paused
    assert "Run now" not in read(client, job)
    refused = client.post(f"{job}/run")
    assert refused.status_code == 409
    assert "is paused" in refused.text
    assert client.post(f"{job}/run", data={"confirm_paused": "1"}).status_code == 303
    client.post(f"{job}/resume")
    assert "Run now" in read(client, job)


def test_running_again_and_building_by_hand(made: World, demo: Demo) -> None:
    client = visitor(made, Role.OPERATOR)
    answer = client.post(f"/runs/{demo.failed_run}/again")
    page = read(client, answer.headers["location"])
    assert "operator-user" in page
    built = client.post(f"/projects/acme/jobs/{demo.job.name}/build")
    assert "Queued" in read(client, built.headers["location"])
    assert client.post("/projects/research/jobs/backfill/run").status_code == 409


def test_a_token_is_shown_once_and_can_be_revoked(made: World) -> None:
    client = visitor(made)
    page = client.post("/settings/tokens", data={"name": "deploys", "role": "viewer", "days": "30"}).text
    found = re.search(r"jy_[\w-]{40,}", page)
    assert found is not None
    assert found[0] not in read(client, "/settings")
    bearer = TestClient(made.app(), headers={"Authorization": f"Bearer {found[0]}"})
    assert bearer.get("/deliveries").status_code == 200
    assert client.post("/settings/tokens/1/revoke").status_code == 303
    assert bearer.get("/deliveries", follow_redirects=False).status_code == 303
    assert client.post("/settings/tokens/1/revoke").status_code == 404
    for wrong in ({"name": ""}, {"name": "x" * 61}, {"role": "god"}, {"days": "31"}):
        data = {"name": "x", "role": "viewer", "days": "30", **wrong}
        assert client.post("/settings/tokens", data=data).status_code == 422


# the log


def long_log(made: World, lines: int) -> tuple[int, LogReader]:
    job = made.job("long")
    run = made.run(job, NOW, log=b"\n".join(b"line %d" % number for number in range(1, lines + 1)))
    return run, made.logbook.reader(run, 1)


def numbers(html: str) -> list[int]:
    return [int(each) for each in re.findall(r'tabindex="-1">(\d+)</a>', html)]


def test_a_long_log_shows_its_end_and_loads_earlier_lines_without_gap(made: World) -> None:
    run, _ = long_log(made, 3500)
    client = visitor(made)
    page = read(client, f"/runs/{run}")
    seen = numbers(page)
    assert seen == list(range(2501, 3501))
    found = re.search(r'data-before="(\d+)"', page)
    assert found is not None
    before = found[1]
    while before:
        answer = client.get(f"/runs/{run}/log?attempt=1&before={before}")
        earlier = numbers(answer.text)
        assert 0 < len(earlier) <= logview.WINDOW
        seen = earlier + seen
        before = answer.headers["X-Log-Before"]
    assert seen == list(range(1, 3501))


def test_a_link_to_a_line_shows_it_with_its_surroundings(made: World) -> None:
    run, log = long_log(made, 3500)
    offset = next(line.offset for line in log.lines() if line.number == 1700)
    client = visitor(made)
    page = read(client, f"/runs/{run}?attempt=1&at={offset}")
    assert numbers(page) == list(range(1500, 2500))
    found = re.search(r'data-after="(\d+)"', page)
    assert found is not None
    answer = client.get(f"/runs/{run}/log?attempt=1&from={found[1]}")
    assert numbers(answer.text) == list(range(2500, 3500))


def test_a_line_beyond_the_end_is_no_error(made: World) -> None:
    run, _ = long_log(made, 10)
    page = read(visitor(made), f"/runs/{run}?attempt=1&at=99999999")
    assert numbers(page) == list(range(1, 11))


def test_log_lines_are_coloured_by_class_and_overwritten_by_carriage_returns(made: World) -> None:
    job = made.job("colours")
    run = made.run(
        job,
        NOW,
        log=b"\x1b[1;31mred\x1b[0m plain\n10%\r50%\r100%\n!Traceback (most recent call last)\n0 errors\n#our own",
    )
    page = read(visitor(made), f"/runs/{run}")
    rows = re.findall(
        r'<div class="row( err)?" data-o="\d+" data-stream="(\w+)".*?<span class="x">(.*?)</span></div>', page
    )
    assert [(bool(error), stream) for error, stream, _ in rows] == [
        (False, "stdout"),
        (False, "stdout"),
        (True, "stderr"),
        (False, "stdout"),
        (False, "system"),
    ]
    assert rows[0][2] == '<span class="ansi-bold ansi-fg-red">red</span> plain'
    assert rows[1][2] == "100%"


@pytest.mark.parametrize(
    "log",
    [
        b"x" * 6_000_000,
        b"\x1b[1;3;4;7;9;95;105m" + b"&\x1b[1m&\x1b[22m" * 200_000,
        b"\n" * 5000,
        b"'\0\n" * 5000,
        (b"x" * 5000 + b"\n") * 400,
        b"".join(b"%d%%\r" % (number % 100) for number in range(400_000)),
    ],
    ids=["one line", "colours", "empty lines", "short lines", "long lines", "a progress bar"],
)
def test_no_log_makes_a_heavy_page(made: World, log: bytes) -> None:
    run = made.run(made.job("heavy"), NOW, log=log, outcome=SUCCEEDED)
    client = visitor(made)
    page = read(client, f"/runs/{run}")
    assert len(page.encode()) < logview.HEAVIEST + 100_000
    followed = read(client, f"/runs/{run}/follow?attempt=1&from=0:1")
    assert all(len(each["data"]) < logview.HEAVIEST + 100_000 for each in sse(followed) if "data" in each)
    assert numbers(page)[-1] == log.count(b"\n") + 1


def test_the_rest_of_a_long_line_is_a_link_away(made: World) -> None:
    line = b"".join(b"%07d " % number for number in range(100_000))
    run = made.run(made.job("wide"), NOW, log=b"before\n" + line + b"\nafter")
    client = visitor(made)
    page = read(client, f"/runs/{run}")
    assert numbers(page) == [1, 2, 3]
    found = re.search(r'<a class="rest" href="([^"]*)">… ([\d,]*) more bytes</a>', page)
    assert found is not None
    address, size = found[1].replace("&amp;", "&"), int(found[2].replace(",", ""))
    assert 790_000 < size < len(line)
    rest = client.get(address)
    assert rest.content == line[-size:]
    assert line[:-size].decode() in page


def test_a_long_line_is_followed_as_one_row(made: World) -> None:
    job = made.job("growing")
    run = made.run(job, NOW, log=b"one\n" + b"x" * 500_000, outcome=SUCCEEDED)
    events = sse(read(visitor(made), f"/runs/{run}/follow?attempt=1&from=0:1"))
    assert [each["event"] for each in events] == ["lines", "end"]
    assert numbers(events[0]["data"]) == [1, 2]
    assert events[0]["id"] == "500005:3"


@pytest.mark.parametrize("instances", [1, 2])
def test_a_log_line_says_which_instance_and_stream_it_is_from(made: World, instances: int) -> None:
    run = made.run(made.job("several", instances=instances), NOW, log=b"plain\n!oops\n#our own")
    client = visitor(made)
    for page in (read(client, f"/runs/{run}"), client.get(f"/runs/{run}/log?attempt=1&from=0").text):
        rows = page.split('<div class="row')[1:]
        assert ['<span class="s">stderr</span>' in row for row in rows] == [False, True, False]
        assert ['title="Instance 0">0</span>' in row for row in rows] == [instances > 1, instances > 1, False]


def sse(body: str) -> list[dict[str, str]]:
    events = []
    for block in body.replace("\r\n", "\n").split("\n\n"):
        fields: dict[str, str] = {}
        for line in filter(None, block.split("\n")):
            name, _, value = line.partition(": ") if ": " in line else line.partition(":")
            fields[name] = f"{fields[name]}\n{value}" if name in fields else value
        if fields.get("event"):
            events.append(fields)
    return events


def test_following_an_ended_log_gives_the_rest_and_ends(made: World) -> None:
    job = made.job("ended")
    run = made.run(job, NOW, log=b"one\ntwo\nthree", outcome=SUCCEEDED)
    events = sse(read(visitor(made), f"/runs/{run}/follow?attempt=1&from=4:2"))
    assert [each["event"] for each in events] == ["lines", "end"]
    assert numbers(events[0]["data"]) == [2, 3]
    resumed = visitor(made).get(
        f"/runs/{run}/follow?attempt=1&from=0:1", headers={"Last-Event-ID": events[0]["id"]}
    )
    assert [each["event"] for each in sse(resumed.text)] == ["end"]


def test_who_is_far_behind_is_shown_the_end(made: World) -> None:
    job = made.job("far")
    run = made.run(
        job,
        NOW,
        log=b"\n".join(b"%07d %s" % (number, b"x" * 100) for number in range(12_000)),
        outcome=SUCCEEDED,
    )
    events = sse(read(visitor(made), f"/runs/{run}/follow?attempt=1&from=0:1"))
    assert [each["event"] for each in events] == ["reset", "end"]
    assert numbers(events[0]["data"])[-1] == 12_000


@pytest.mark.parametrize("query", ["", "attempt=1", "attempt=x&from=0:1", "attempt=1&from=x"])
def test_following_nonsense_is_refused(made: World, demo: Demo, query: str) -> None:
    read(visitor(made), f"/runs/{demo.finished_run}/follow?{query}", 400)


def test_streams_are_for_those_who_are_logged_in(made: World, demo: Demo) -> None:
    for path in (
        "/live?topics=runs",
        f"/runs/{demo.finished_run}/follow?attempt=1&from=0:1",
        f"/builds/{demo.build}/follow?from=0:1",
    ):
        assert visitor(made, None).get(path).status_code == 303


# quick with a million runs


def test_overview_asks_the_store_only_through_indexes(made: World, demo: Demo) -> None:
    engine = made.db._engine
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.lstrip().upper().startswith("SELECT"):
            asked.append((statement, parameters))

    client = visitor(made)
    event.listen(engine, "before_cursor_execute", note)
    paths = [
        "/",
        "/deliveries",
        f"/runs/{demo.failed_run}",
        f"/builds/{demo.build}",
        "/projects/acme/jobs/embeddings",
        "/projects/acme/jobs/embeddings/decisions",
        "/search?q=embed",
    ]
    for path in paths:
        read(client, path)
    event.remove(engine, "before_cursor_execute", note)
    assert len(asked) > 30
    with engine.connect() as connection:
        for statement, parameters in set(asked):
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
            for step in (row[3] for row in plan):
                scans = re.match(r"SCAN (run|decision|build|attempt|delivery)\b", step)
                assert not scans or is_walk_by_key(statement), f"{step}\n{statement}"


def test_a_bar_of_an_overview_is_small(made: World) -> None:
    """There are thousands: a hundred jobs with two dozen runs each."""
    job = made.job("strip")
    client = visitor(made)
    without = len(read(client, "/"))
    for number in range(overview.STRIP):
        made.run(job, NOW - timedelta(hours=30 - number), outcome=SUCCEEDED)
    assert (len(read(client, "/")) - without) / overview.STRIP < 300


def is_walk_by_key(statement: str) -> bool:
    """Newest first by primary key with a limit and no filter: reads as many rows as it returns."""
    return (
        bool(re.search(r"ORDER BY (build|delivery)\.id DESC\s+LIMIT", statement))
        and " WHERE " not in statement
    )


def test_overview_asks_at_most_one_query_for_each_job(made: World) -> None:
    counted = []
    for number in range(12):
        made.job(f"job-{number}")
    client = visitor(made)

    def note(*_: Any) -> None:
        counted.append(1)

    event.listen(made.db._engine, "before_cursor_execute", note)
    read(client, "/")
    first = len(counted)
    for number in range(12, 24):
        made.job(f"job-{number}")
    counted.clear()
    read(client, "/")
    event.remove(made.db._engine, "before_cursor_execute", note)
    assert len(counted) - first == 12


# pictures and words


def test_a_lane_places_attempts_and_waits_against_the_limit(made: World, demo: Demo) -> None:
    run = run_of(made, demo.failed_run)
    with made.db.read() as tx:
        attempts = runs.attempts_of(tx, run.id)
    lane = charts.lane(run, attempts, NOW)
    assert lane is not None
    assert [span.kind for span in lane.spans] == ["failed", "waiting", "failed", "waiting", "failed"]
    ends = [0.0, *(round(span.x + span.width, 1) for span in lane.spans)]
    assert all(abs(span.x - end) < 0.1 for span, end in zip(lane.spans, ends, strict=False))
    assert lane.limit_x == pytest.approx(480 / 482 * 100, abs=0.1)
    assert lane.waits == "10 s, 20 s"


def test_a_strip_is_oldest_first_and_as_high_as_the_run_was_long(made: World) -> None:
    job = made.job("strip")
    for number, seconds in enumerate((10, 1000, 40)):
        made.run(job, NOW - timedelta(hours=9 - number), seconds=seconds, outcome=SUCCEEDED)
    with made.db.read() as tx:
        bars = overview.strip(tx, job.id)
    drawn = charts.strip(bars, NOW)
    assert [each.x for each in drawn] == [147, 154, 161]
    assert drawn[1].height == charts.STRIP_HEIGHT
    assert drawn[0].height < drawn[2].height < drawn[1].height
    assert overview.typical_duration(bars) == timedelta(seconds=40)


def test_a_step_that_was_never_reported_over_ended_with_its_build() -> None:
    stored = [{"name": "a", "started": 0.0, "duration": 2.0}, {"name": "b", "started": 2.0, "duration": None}]
    live = charts.steps(stored, building=True, elapsed=timedelta(seconds=8))
    assert [(step.status, step.x, step.width) for step in live] == [
        ("succeeded", 0.0, 25.0),
        ("running", 25.0, 75.0),
    ]
    ended = charts.steps(stored, building=False, elapsed=timedelta(seconds=8))
    assert ended[1].status == "succeeded"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.04, "0.0 s"),
        (9.4, "9.4 s"),
        (41, "41 s"),
        (102, "1 m 42 s"),
        (7500, "2 h 05 m"),
        (277_000, "3 d 4 h"),
        (-3, "0.0 s"),
        (None, words.NONE),
    ],
)
def test_durations_read_well(seconds: float | None, said: str) -> None:
    assert words.duration(seconds) == said


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("shell", False, "no"),
        ("shell", True, "yes"),
        ("instances", 3, "3"),
        ("time_limit_seconds", None, words.NONE),
        ("health_checks", (), words.NONE),
        ("command", ("python", "a b.py"), "python 'a b.py'"),
        ("command", "python x.py", "python x.py"),
        (
            "health_checks",
            (HttpCheck(CheckType.LIVENESS, "/up", 80), CommandCheck(CheckType.STARTUP, "test -e /ready")),
            "liveness: GET /up at port 80; startup: the command 'test -e /ready'",
        ),
    ],
)
def test_settings_are_words(name: str, value: Any, said: str) -> None:
    assert words.setting(name, value) == said


def test_states_are_words(made: World, demo: Demo) -> None:
    assert words.outcome(run_of(made, demo.failed_run)) == "Failed · time limit"
    job = made.job("words")
    run = made.run(job, NOW, outcome=failed(Reason.EXIT_NONZERO, "Exited with code 3", 3))
    assert words.outcome(run_of(made, run)) == "Failed · exit 3"
    queued = made.queue_run(job, NOW, Trigger(TriggerType.MANUAL))
    assert words.outcome(run_of(made, queued)) == "Queued"
    with made.db.write() as tx:
        runs.cancel(tx, runs.with_id(tx, queued), Reason.CANCELLED, "x", NOW)
    assert run_of(made, queued).status is RunStatus.CANCELLED
    assert words.outcome(run_of(made, queued)) == "Cancelled"


def test_the_download_is_the_logs_own_bytes(made: World, demo: Demo) -> None:
    client = visitor(made)
    for path in (f"/runs/{demo.failed_run}", f"/builds/{demo.build}"):
        found = re.search(r'href="(/api/v1/[^"]+)" download', read(client, path))
        assert found is not None
        assert b"\x1b[" in client.get(found[1].replace("&amp;", "&")).content
