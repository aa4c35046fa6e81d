"""What people do by hand on pages: rehearse, build, deploy, resume with changes, run again; and what they are told."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from app.domain.job.records import Job
from app.domain.principals import Role
from app.domain.runs import Outcome, Reason
from app.store import builds, decisions, jobs, runs
from tests.support.client import Client
from tests.support.clock import Clock
from tests.support.forms import form_fields
from tests.support.project import TESTS
from tests.support.seed import PASSWORD, SUCCEEDED, World, failed, world
from tests.support.server_context import ADMIN_TOKEN, pinned
from tests.support.shown import shown

NOW = datetime(2026, 3, 28, 12, 0, tzinfo=UTC)
JOB = "/projects/acme/jobs/report"
PAYLOAD = TESTS / "fixtures/github/update.json"
OLD, NEW = "a" * 40, "b" * 40
SCHEDULE = {
    "cron": "0 6 * * *",
    "time_zone": "UTC",
    "active": True,
    "concurrency_policy": "allow",
    "starting_deadline_seconds": 100,
}


@pytest.fixture
def made(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path, Clock(NOW)) as each:
        yield each


@pytest.fixture
def page(made: World) -> Client:
    return visitor(made)


def visitor(made: World, role: Role = Role.OPERATOR) -> Client:
    client = Client(made.app(), follow_redirects=False, headers={"Sec-Fetch-Site": "same-origin"})
    assert client.post("/login", data={"name": f"{role}-user", "password": PASSWORD}).status_code == 303
    return client


def api_of(made: World) -> Client:
    return Client(made.app(), headers={"Authorization": f"Bearer {ADMIN_TOKEN}"})


def read(page: Client, path: str) -> str:
    answer = page.get(path)
    assert answer.status_code == 200, answer.text
    return html.unescape(answer.text)


def job_of(made: World) -> Job:
    with made.db.read() as tx:
        return jobs.named(tx, "acme", "report")


def counts(made: World) -> tuple[int, ...]:
    """How much was built, run and decided."""
    with made.db.read() as tx:
        return tuple(
            len(found)
            for found in (builds.page(tx, limit=99), runs.page(tx, limit=99), decisions.page(tx, limit=99))
        )


def two_builds(made: World, **changes: Any) -> tuple[int, int]:
    """Of OLD and then NEW, which is deployed."""
    job = made.job("report", **changes)
    first = made.build(job, NOW.replace(hour=10), sha=OLD, message="The old one")
    return first, made.build(job, NOW.replace(hour=11), sha=NEW, message="The new one")


# rehearsal


PUSH = {
    "repository": "acme/report",
    "ref": "main",
    "after": NEW,
    "before": "",
    "message": "",
    "files": "a.py",
}


@pytest.mark.parametrize(
    ("message", "said", "pills"),
    [
        ("Fix it", "run on image change is CD & promotion", {"built", "deployed", "runs"}),
        ("Words [skip ci]", "[skip ci]", {"nothing"}),
    ],
)
def test_a_push_is_rehearsed_as_the_api_does_and_nothing_is_done(
    made: World, page: Client, message: str, said: str, pills: set[str]
) -> None:
    made.job("report")
    before = counts(made)
    answer = page.post("/rehearse", data={**PUSH, "message": message})
    assert answer.status_code == 200
    effect = html.unescape(answer.text).split('id="outlook"')[1]
    assert said in effect
    assert {each for each in ("built", "deployed", "runs", "nothing") if f">{each}</span>" in effect} == pills
    body = {"push": {**PUSH, "before": None, "message": message, "files": ["a.py"]}}
    plan = api_of(made).post("/api/v1/plan", json=body).json()
    assert plan["sentence"] in effect
    assert plan["items"][0]["build"]["sentence"] in effect
    assert form_fields(answer.text, "/rehearse") == {**PUSH, "message": message}
    assert counts(made) == before


@pytest.mark.parametrize(
    ("fields", "field", "said"),
    [
        ({"after": ""}, "after", "after is missing, and Git names no commit"),
        ({"after": "b26c5f7"}, "after", "must be a whole commit id"),
        ({"before": "nothing"}, "before", "must be a whole commit id"),
        ({"repository": ""}, "repository", "repository must not be empty"),
        ({"repository": "acme/unknown"}, "repository", "No job or build service has this repository"),
        ({"ref": ""}, "ref", "ref must not be empty"),
    ],
)
def test_a_push_that_can_not_be_says_so_at_its_field(
    made: World, page: Client, fields: dict[str, str], field: str, said: str
) -> None:
    made.job("report")
    answer = page.post("/rehearse", data=PUSH | fields)
    assert answer.status_code == 422
    assert said in answer.text.split(f'class="error" id="e-{field}"')[1].split("</p>")[0]
    assert form_fields(answer.text, "/rehearse") == PUSH | fields


def test_a_deleted_branch_and_a_link_from_the_job(made: World, page: Client) -> None:
    two_builds(made)
    query = urlencode({"repository": "https://github.com/acme/report", "ref": "main", "before": NEW})
    assert f'href="/rehearse?{query}"' in read(page, JOB)
    fields = form_fields(page.get(f"/rehearse?{query}").text, "/rehearse")
    assert (fields["repository"], fields["before"]) == ("https://github.com/acme/report", NEW)
    deleted = page.post("/rehearse", data={**fields, "deleted": "1"})
    assert (deleted.status_code, ">nothing</span>" in deleted.text) == (200, True)


def test_a_replay_is_rehearsed_on_the_page_of_deliveries(made: World, page: Client) -> None:
    made.job("report")
    guid = made.delivery("d-1", NOW, body=PAYLOAD.read_bytes())
    ping = made.delivery("d-2", NOW, event="ping")
    action = f"/deliveries/github/{guid}/rehearse"
    assert f'action="{action}"' in read(page, "/deliveries")
    before = counts(made)
    answer = page.post(action)
    assert (answer.status_code, "If delivery d-1 were replayed" in answer.text) == (200, True)
    assert JOB in answer.text.split('id="outlook"')[1]
    assert counts(made) == before
    assert page.post(f"/deliveries/github/{ping}/rehearse").status_code == 409


# builds


@pytest.mark.parametrize(
    ("fields", "ref", "sha"),
    [
        ({}, "refs/heads/main", None),
        ({"ref": "", "sha": ""}, "refs/heads/main", None),
        ({"ref": "topic"}, "refs/heads/topic", None),
        ({"sha": OLD}, "refs/heads/main", OLD),
    ],
)
def test_a_commit_or_branch_is_built_by_hand(
    made: World, page: Client, fields: dict[str, str], ref: str, sha: str | None
) -> None:
    made.job("report")
    assert f'href="{JOB}/build"' in read(page, JOB)
    assert "acme/report" in read(page, f"{JOB}/build")
    answer = page.post(f"{JOB}/build", data=fields)
    assert answer.status_code == 303
    with made.db.read() as tx:
        build = builds.with_id(tx, int(answer.headers["location"].rpartition("/")[2]))
    assert (build.ref, build.sha, build.trigger.by) == (ref, sha, "operator-user")


@pytest.mark.parametrize(
    ("field", "text"), [("sha", "abc"), ("sha", "x" * 40), ("ref", "a..b"), ("ref", "refs/heads/x")]
)
def test_a_build_that_can_not_be_says_so_at_its_field(
    made: World, page: Client, field: str, text: str
) -> None:
    made.job("report")
    answer = page.post(f"{JOB}/build", data={field: text})
    assert (answer.status_code, f'class="error" id="e-{field}"' in answer.text) == (422, True)
    assert form_fields(answer.text, f"{JOB}/build")[field] == text
    assert counts(made)[0] == 0


def test_a_build_service_is_built_for_all_its_jobs(made: World, page: Client) -> None:
    api = api_of(made)
    api.post("/api/v1/projects", json={"name": "acme"})
    git = {"url": "https://github.com/acme/shared"}
    api.post("/api/v1/projects/acme/build-services", json={"name": "shared", "git": git})
    for name in ("one", "two"):
        body = {"name": name, "source": {"type": "build_service", "build_service": "shared"}}
        assert api.post("/api/v1/projects/acme/jobs", json=body).status_code == 201
    path = "/projects/acme/build-services/shared"
    admin = visitor(made, Role.ADMIN)
    assert f'href="{path}/build"' in read(admin, path)
    assert f'href="{path}/build"' in read(page, "/projects/acme")
    build = page.post(f"{path}/build", data=form_fields(page.get(f"{path}/build").text, f"{path}/build"))
    with made.db.read() as tx:
        told = decisions.page(tx, limit=9)
    assert {each.job for each in told} == {"one", "two"}
    assert f'href="{build.headers["location"]}"' in read(admin, path)
    assert visitor(made, Role.VIEWER).post(f"{path}/build").status_code == 403


def test_nothing_is_built_for_a_job_without_a_repository(made: World, page: Client) -> None:
    made.job("report", repository=None)
    assert "none" in read(page, JOB)
    assert page.get(f"{JOB}/build").status_code == 409
    assert page.post(f"{JOB}/build").status_code == 409


# deploys


def test_a_deploy_is_rehearsed_and_then_does_what_was_said(made: World, page: Client) -> None:
    first, _ = two_builds(made, run_on_image_change="always")
    path = f"{JOB}/deploy"
    assert f'href="{path}"' in read(page, JOB)
    fields = form_fields(page.get(path).text, path)
    assert fields["build"] == "latest"
    before = counts(made)
    rehearsed = page.post(path, data={**fields, "build": str(first), "preview": "1"})
    effect = html.unescape(rehearsed.text).split('id="outlook"')[1]
    said = f"Build {first} of aaaaaaa deployed by operator-user (CD is off now)"
    assert (said in effect, ">runs</span>" in effect) == (True, True)
    assert counts(made) == before
    again = form_fields(rehearsed.text, path)
    assert again["build"] == str(first)
    assert page.post(path, data=again).headers["location"] == JOB
    job = job_of(made)
    assert (job.deployed and job.deployed.sha, job.cd_enabled) == (OLD, False)
    with made.db.read() as tx:
        assert decisions.page(tx, limit=1)[0].sentence in effect
        assert len(runs.page(tx, limit=5)) == 1


def test_deploying_the_latest_build_keeps_cd_on_and_an_image_turns_it_off(made: World, page: Client) -> None:
    two_builds(made)
    path = f"{JOB}/deploy"
    page.post(path, data={"build": "latest", "image": ""})
    assert job_of(made).cd_enabled
    page.post(path, data={"build": "image", "image": " registry.example.com/acme/report:1 "})
    job = job_of(made)
    found = pinned("registry.example.com/acme/report:1")
    assert (job.deployed and job.deployed.image, job.cd_enabled) == (found.image, False)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"build": "999"}, "build"),
        ({"build": "newest"}, "build"),
        ({"build": "image", "image": ""}, "image"),
        ({"build": "image", "image": "No Image"}, "image"),
        ({"build": "latest", "image": "busybox:1"}, "image"),
    ],
)
@pytest.mark.parametrize("preview", ["", "1"])
def test_a_deploy_that_can_not_be_says_so_at_its_field(
    made: World, page: Client, fields: dict[str, str], field: str, preview: str
) -> None:
    two_builds(made)
    before = job_of(made)
    answer = page.post(f"{JOB}/deploy", data={**fields, "preview": preview})
    assert (answer.status_code, f'class="error" id="e-{field}"' in answer.text) == (422, True)
    assert job_of(made) == before


def test_a_job_of_an_image_is_deployed_by_image(made: World, page: Client) -> None:
    made.job("report", repository=None)
    path = f"{JOB}/deploy"
    fields = form_fields(page.get(path).text, path)
    assert page.post(path, data={**fields, "image": "busybox:1.36"}).status_code == 303
    deployed = job_of(made).deployed
    assert deployed is not None
    assert (deployed.image, deployed.digest) == (pinned("busybox:1.36").image, pinned("busybox:1.36").digest)
    assert page.post(path, data={"build": "latest"}).status_code == 409


def test_a_paused_job_is_deployed_to_once_that_is_ticked(made: World, page: Client) -> None:
    first, _ = two_builds(made, paused=True)
    path = f"{JOB}/deploy"
    assert "report is paused: deploy to it all the same; nothing runs" in shown(read(page, path))
    answer = page.post(path, data={"build": str(first), "preview": "1"})
    assert answer.status_code == 200
    assert "It is refused without confirm_paused." in answer.text
    assert page.post(path, data={"build": str(first)}).status_code == 409
    assert page.post(path, data={"build": str(first), "confirm_paused": "1"}).status_code == 303
    now_has = job_of(made).deployed
    assert now_has is not None
    assert now_has.sha == OLD
    build = {"project": "acme", "job": "report"}
    assert page.post(f"/builds/{first}/deploy", data=build).status_code == 409
    assert 'name="confirm_paused"' in read(page, f"/builds/{first}")
    assert page.post(f"/builds/{first}/deploy", data={**build, "confirm_paused": "1"}).status_code == 303


def test_a_job_of_an_image_says_what_it_runs_and_that_nothing_deploys_it(made: World, page: Client) -> None:
    source = {"type": "image", "image": "busybox:1.36"}
    made.job("report", repository=None, source=source, run_on_image_change="cd-promote")
    words = " ".join(re.sub(r"<[^>]+>", " ", read(page, JOB)).split())
    assert "Deployed nothing: each run takes what busybox:1.36 means when it starts" in words
    assert "On a new image nothing by itself, runs after a promotion" in words


def test_the_overview_counts_and_filters_all_jobs(made: World, page: Client) -> None:
    broken = made.job("broken", repository="acme/broken")
    made.build(broken, NOW.replace(hour=9), sha=OLD, state="failed")
    outcome = Outcome(Reason.EXIT_NONZERO, 3, "Exited with code 3.")
    made.run(made.job("red"), NOW.replace(hour=9), outcome=outcome)
    made.job("nightly", kind="cron", schedule=SCHEDULE)
    for number in range(105):
        made.job(f"job-{number}")
    words = " ".join(re.sub(r"<[^>]+>", " ", read(page, "/")).split())
    assert "108 jobs · 2 failing ·" in words
    assert "All 108 Failing 2 Running Scheduled 1" in words
    failing = read(page, "/?show=failing")
    assert re.findall(r'class="name" href="/projects/acme/jobs/([^"]+)"', failing) == ["broken", "red"]
    assert "2 failing" in read(page, "/?show=failing&page=2")
    assert re.findall(r'href="/projects/acme/jobs/(nightly)"', read(page, "/?show=scheduled")) == ["nightly"]
    assert "build 1 failed" in shown(read(page, "/projects/acme/jobs/broken"))


# pauses


@pytest.mark.parametrize("unticked", [(), ("ci_enabled",), ("cd_enabled", "schedule_active")])
def test_a_paused_job_is_resumed_with_the_switches_that_are_ticked(
    made: World, unticked: tuple[str, ...]
) -> None:
    made.job("report", kind="cron", schedule=SCHEDULE)
    page = visitor(made, Role.ADMIN)
    page.post(f"{JOB}/pause")
    text = page.get(JOB).text
    assert f'action="{JOB}/pause"' not in text
    ticked = ["ci_enabled", "cd_enabled", "schedule_active"]
    assert all(f'name="{name}" value="on" checked' in text for name in ticked)
    data = {
        name: ["off"] if name in unticked else ["on", "off"] for name in ticked
    }  # as a browser sends them
    assert page.post(f"{JOB}/resume", data=data).headers["location"] == JOB
    job = job_of(made)
    assert job.schedule is not None
    now_has = {
        "ci_enabled": job.ci_enabled,
        "cd_enabled": job.cd_enabled,
        "schedule_active": job.schedule.active,
    }
    assert {name for name, is_on in now_has.items() if not is_on} == set(unticked)
    assert not job.paused


def test_resuming_without_a_word_on_switches_leaves_them_as_they_were(made: World) -> None:
    made.job("report", cd_enabled=False, paused=True)
    page = visitor(made, Role.ADMIN)
    text = page.get(JOB).text
    assert 'name="cd_enabled" value="on">' in text
    assert 'name="schedule_active"' not in text
    assert page.post(f"{JOB}/resume").status_code == 303
    job = job_of(made)
    assert (job.paused, job.ci_enabled, job.cd_enabled) == (False, True, False)


def test_an_operator_resumes_a_job_and_is_offered_no_switches(made: World, page: Client) -> None:
    made.job("report", cd_enabled=False, paused=True)
    assert 'name="cd_enabled"' not in page.get(JOB).text
    assert page.post(f"{JOB}/resume", data={"cd_enabled": "on"}).status_code == 403
    assert job_of(made).paused
    assert page.post(f"{JOB}/resume").status_code == 303
    assert not job_of(made).paused


# runs


def test_a_run_is_run_again_as_it_was_or_as_the_job_is_now(made: World, page: Client) -> None:
    two_builds(made, plan="small")
    first = made.run(job_of(made), NOW, outcome=failed(Reason.EXIT_NONZERO, "Exited with code 1"))
    api_of(made).patch("/api/v1/projects/acme/jobs/report", json={"plan": "micro"})
    action = f"/runs/{run_named(made, first)}/again"
    assert page.get(f"/runs/{first}").text.count(f'action="{action}"') == 1
    for data, plan in (({}, "small"), ({"config": "same"}, "small"), ({"config": "current"}, "micro")):
        name = page.post(action, data=data).headers["location"].rpartition("/")[2]
        with made.db.read() as tx:
            assert runs.named(tx, name).spec.plan == plan


def test_a_run_of_a_paused_job_is_run_again_only_when_that_is_agreed_to(made: World, page: Client) -> None:
    two_builds(made, paused=True)
    first = made.run(job_of(made), NOW, outcome=SUCCEEDED)
    assert "though report is paused" in shown(read(page, f"/runs/{first}"))
    assert page.post(f"/runs/{first}/again").status_code == 409
    assert page.post(f"/runs/{first}/again", data={"confirm_paused": "1"}).status_code == 303


def test_a_run_is_still_shown_when_its_job_is_deleted(made: World, page: Client) -> None:
    two_builds(made)
    run = made.run(job_of(made), NOW, outcome=SUCCEEDED)
    assert api_of(made).delete("/api/v1/projects/acme/jobs/report?confirm=report").status_code == 204
    assert "report" in read(page, f"/runs/{run}")
    assert page.post(f"/runs/{run}/again").status_code == 409


def run_named(made: World, run_id: int) -> str:
    with made.db.read() as tx:
        return runs.with_id(tx, run_id).name


@pytest.mark.parametrize("path", ["/rehearse", f"{JOB}/build", f"{JOB}/deploy", f"{JOB}/resume"])
def test_only_operators_from_our_own_pages_do_anything(made: World, page: Client, path: str) -> None:
    made.job("report", paused=True)
    assert visitor(made, Role.VIEWER).post(path, data=PUSH).status_code == 403
    assert page.post(path, data=PUSH, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    seen = read(visitor(made, Role.VIEWER), JOB)
    assert not any(
        f'"{address}' in seen for address in (f"{JOB}/build", f"{JOB}/deploy", "/rehearse", f"{JOB}/resume")
    )
    assert counts(made) == (0, 0, 0)
