"""Where images come from, through the API: build services, deploys by hand, credentials, the schedule, and pauses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from app.domain.builds import build_key
from app.domain.runs import Outcome
from app.store import builds, credentials, jobs
from app.web.server_context import ServerContext
from app.workers.clock_changes import ClockChanges
from app.workers.scheduler import Scheduler
from tests.support.api import Caller, attempt_ends, build_succeeds
from tests.support.sealed import unsealed

PROJECT = "/projects/acme"
JOBS = f"{PROJECT}/jobs"
SERVICES = f"{PROJECT}/build-services"
GIT = {"url": "https://github.com/acme/reports", "webhook_secret": "the secret of the hook"}
A, B = "a" * 40, "b" * 40


def refused(answer: Any, field: str) -> str:
    """The message of the one field that is wrong."""
    assert answer.status_code == 422, answer.text
    (error,) = answer.json()["errors"]
    assert error["field"] == field
    return str(error["message"])


@pytest.fixture
def service(admin: Caller) -> Any:
    return admin.made(SERVICES, {"name": "images", "git": GIT})


def shared_job(admin: Caller, name: str, **fields: Any) -> Any:
    source = {"type": "build_service", "build_service": "images", **fields.pop("source", {})}
    return admin.made(JOBS, {"name": name, "source": source, **fields})


def test_a_build_service_has_every_field_filled_in_and_no_secret(admin: Caller, service: Any) -> None:
    assert service == admin.got(f"{SERVICES}/images") == admin.got(SERVICES)["items"][0]
    assert service["git"] == {
        "url": GIT["url"],
        "branch": "main",
        "credential": None,
        "webhook_secret": None,
        "submodules": False,
        "lfs": False,
        "tags": None,
        "pull_requests": False,
        "has_webhook_secret": True,
    }
    assert (service["ci_enabled"], service["builds_in_flight"], service["jobs"]) == (True, "all", [])
    assert service["build"]["commit_flags"][0] == "[skip ci]"


def test_what_is_fetched_with_a_commit_is_kept_and_shown(admin: Caller) -> None:
    """Builds that differ in it are not shared: `build_key` has it with the other settings."""
    git = {"url": "https://example.com/a/b", "submodules": True, "lfs": True}
    admin.made(SERVICES, {"name": "whole", "git": git})
    admin.made(JOBS, {"name": "whole", "source": {"type": "git", "git": git}})
    change = {"git": {"lfs": False}}
    service, job = admin.got(f"{SERVICES}/whole"), admin.got(f"{JOBS}/whole")["source"]
    changed = (
        admin.patch(f"{SERVICES}/whole", json=change).json(),
        admin.patch(f"{JOBS}/whole", json={"source": change}).json()["source"],
    )
    for before, after in zip((service, job), changed, strict=True):
        assert (before["git"]["submodules"], before["git"]["lfs"]) == (True, True)
        assert (after["git"]["submodules"], after["git"]["lfs"]) == (True, False)
    with admin.context.db.read() as tx:
        source = jobs.named(tx, "acme", "whole").source
    assert source is not None
    plain = replace(source.build, submodules=False)
    configs = (source.build, plain, replace(plain, lfs=True))
    assert len({build_key("a/b", "main", A, config, {}) for config in configs}) == 3


def test_a_change_of_a_build_service_keeps_what_it_does_not_name(admin: Caller, service: Any) -> None:
    patch = {"git": {"branch": "next"}, "build": {"paths": ["docs/"]}, "builds_in_flight": "latest"}
    changed = admin.patch(f"{SERVICES}/images", json=patch).json()
    assert changed == {
        **service,
        "git": {**service["git"], "branch": "next"},
        "build": {**service["build"], "paths": ["docs/"]},
        "builds_in_flight": "latest",
    }
    refused(admin.patch(f"{SERVICES}/images", json={"name": "other"}), "name")
    refused(admin.patch(f"{SERVICES}/images", json={"jobs": []}), "jobs")
    message = refused(
        admin.patch(f"{SERVICES}/images", json={"build": {"mode": "dockerfile", "build_command": "make"}}),
        "build.build_command",
    )
    assert "Dockerfile" in message


def test_a_build_service_is_named_once_and_kept_while_jobs_use_it(admin: Caller, service: Any) -> None:
    assert admin.post(SERVICES, json={"name": "images", "git": GIT}).status_code == 409
    shared_job(admin, "daily")
    answer = admin.delete(f"{SERVICES}/images?confirm=images")
    assert answer.status_code == 409
    assert "daily" in answer.json()["detail"]
    admin.delete(f"{JOBS}/daily?confirm=daily")
    assert admin.delete(f"{SERVICES}/images?confirm=images").status_code == 204
    assert admin.get(f"{SERVICES}/images").status_code == 404


def test_a_job_has_the_branch_of_its_build_service(admin: Caller, service: Any) -> None:
    source = {"type": "build_service", "build_service": "images", "branch": "next"}
    answer = admin.post(JOBS, json={"name": "daily", "source": source})
    assert "must be main, the branch of build service images" in refused(answer, "source.branch")
    job = shared_job(admin, "daily", source={"branch": "main"})
    assert job["source"] == {"type": "build_service", "build_service": "images", "branch": "main"}
    admin.patch(f"{SERVICES}/images", json={"git": {"branch": "next"}})
    assert admin.got(f"{JOBS}/daily")["source"]["branch"] == "next"
    assert admin.patch(f"{JOBS}/daily", json={"retry_limit": 1}).status_code == 200
    answer = admin.patch(f"{JOBS}/daily", json={"env": {"A": {"value": "1", "scope": "both"}}})
    assert "other jobs share" in refused(answer, "env.A.scope")


def test_a_build_by_hand_is_for_all_jobs_of_the_service(admin: Caller, service: Any) -> None:
    for name in ("daily", "weekly"):
        shared_job(admin, name, run_on_image_change="always")
    build = admin.made(f"{SERVICES}/images/builds", {"sha": A})
    assert (build["build_service"], build["jobs"]) == ("images", ["daily", "weekly"])
    assert admin.got(f"{SERVICES}/images/builds")["items"] == [build]
    build_succeeds(admin.context)
    for name in ("daily", "weekly"):
        assert admin.got(f"{JOBS}/{name}")["deployed"]["build"] == build["id"]
        told = [each["verdict"] for each in admin.got(f"{JOBS}/{name}/why")["items"]]
        assert told == ["started", "built"]


def test_a_build_of_a_service_without_jobs_is_decided_about(admin: Caller, service: Any) -> None:
    build = admin.made(f"{SERVICES}/images/builds")
    (decision,) = admin.got("/decisions")["items"]
    assert (decision["job"], decision["build"], decision["verdict"]) == (None, build["id"], "built")


def built(admin: Caller, *shas: str) -> list[int]:
    ids = []
    for number, sha in enumerate(shas):
        admin.made(f"{JOBS}/report/builds", {"sha": sha})
        ids.append(build_succeeds(admin.context, digest_="sha256:" + f"{number}" * 64))
        admin.context.clock.advance(minutes=1)  # type: ignore[attr-defined]
    return ids


@pytest.fixture
def report(admin: Caller) -> Caller:
    source = {"type": "git", "git": GIT}
    admin.made(JOBS, {"name": "report", "source": source, "run_on_image_change": "always"})
    return admin


def test_a_deploy_of_a_build_moves_the_image_and_turns_cd_off(report: Caller) -> None:
    first, second = built(report, A, B)
    answer = report.post(f"{JOBS}/report/deploy", json={"build": first})
    assert answer.status_code == 202
    job, decision = answer.json()["job"], answer.json()["decision"]
    assert (job["deployed"]["build"], job["deployed"]["sha"], job["cd_enabled"]) == (first, A, False)
    assert decision["verdict"] == "started"
    assert decision["sentence"].startswith(
        f"Build {first} of aaaaaaa deployed by admin token (CD is off now)"
    )
    assert report.got(f"/runs/{decision['run']}")["trigger"]["type"] == "deploy"
    report.context.clock.advance(minutes=1)  # type: ignore[attr-defined]
    latest = report.made(f"{JOBS}/report/deploy", {"build": "latest"})
    assert (latest["job"]["deployed"]["build"], latest["job"]["cd_enabled"]) == (second, False)
    report.patch(f"{JOBS}/report", json={"cd_enabled": True})
    report.context.clock.advance(minutes=1)  # type: ignore[attr-defined]
    assert report.made(f"{JOBS}/report/deploy", {"build": "latest"})["job"]["cd_enabled"] is True


def test_a_deploy_that_is_sent_twice_happens_once(report: Caller) -> None:
    (first,) = built(report, A)
    body = {"build": first}
    answers = [report.made(f"{JOBS}/report/deploy", body, Idempotency_Key="once") for _ in range(2)]
    assert answers[0] == answers[1]
    assert len(report.got("/decisions", job="report", project="acme")["items"]) == 3


@pytest.mark.parametrize("runs", ["never", "cd-promote", "always"])
@pytest.mark.parametrize("paused", [False, True])
def test_what_a_deploy_starts(report: Caller, runs: str, paused: bool) -> None:
    report.patch(f"{JOBS}/report", json={"run_on_image_change": runs, "cd_enabled": False})
    (first,) = built(report, A)
    if paused:
        report.made(f"{JOBS}/report/pause")
        refused = report.post(f"{JOBS}/report/deploy", json={"build": first})
        assert (refused.status_code, "confirm_paused" in refused.text) == (409, True)
    body = {"build": first, "confirm_paused": paused}
    decision = report.made(f"{JOBS}/report/deploy", body)["decision"]
    started = runs == "always" and not paused
    assert decision["verdict"] == ("started" if started else "deployed")
    assert (decision["run"] is not None) == started


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "build"),
        ({"build": None}, "build"),
        ({"build": 0}, "build"),
        ({"build": 77}, "build"),
        ({"build": "newest"}, "build"),
        ({"build": 1.5}, "build"),
        ({"build": True}, "build"),
        ({"image": "Not An Image"}, "image"),
        ({"build": "latest", "image": "busybox"}, "image"),
        ({"sha": A}, "sha"),
    ],
)
def test_what_can_not_be_deployed(report: Caller, body: dict[str, Any], field: str) -> None:
    answer = report.post(f"{JOBS}/report/deploy", json=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["field"].partition(".")[0] == field
    assert report.got("/decisions")["items"] == []


def test_the_latest_build_is_missed_with_a_sentence(report: Caller) -> None:
    answer = report.post(f"{JOBS}/report/deploy", json={"build": "latest"})
    assert (answer.status_code, answer.json()["detail"]) == (
        409,
        "Job report has no build of main that succeeded yet.",
    )


def test_an_image_is_deployed_by_tag_and_by_digest(admin: Caller) -> None:
    admin.made(JOBS, {"name": "once", "source": {"type": "image", "image": "busybox:1.36"}})
    deployed = admin.made(f"{JOBS}/once/deploy", {"image": "busybox:1.37"})["job"]["deployed"]
    assert deployed["image"] == f"busybox@{deployed['digest']}"  # what the tag meant at the deploy
    assert (deployed["digest"].partition(":")[0], deployed["build"]) == ("sha256", None)
    admin.context.clock.advance(minutes=1)  # type: ignore[attr-defined]
    digest = "sha256:" + "1" * 64
    deployed = admin.made(f"{JOBS}/once/deploy", {"image": f"busybox@{digest}"})["job"]["deployed"]
    assert deployed["digest"] == digest
    changed = admin.patch(f"{JOBS}/once", json={"source": {"image": "busybox:2"}}).json()
    assert changed["deployed"] is None  # the source says what runs from now on
    assert admin.patch(f"{JOBS}/once", json={"retry_limit": 1}).json()["deployed"] is None


@pytest.mark.parametrize(
    ("kind", "host", "source", "field"),
    [
        ("git", "gitlab.com", {"type": "git", "git": {"url": GIT["url"]}}, "source.git.credential"),
        ("registry", "ghcr.io", {"type": "image", "image": "busybox"}, "source.credential"),
        ("registry", "ghcr.io:5000", {"type": "image", "image": "ghcr.io/a/b"}, "source.credential"),
    ],
)
def test_a_credential_is_named_only_for_its_own_host(
    admin: Caller, kind: str, host: str, source: dict[str, Any], field: str
) -> None:
    credential = {"name": "theirs", "kind": kind, "host": host, "secret": "x"}
    admin.made(f"{PROJECT}/credentials", credential)
    named = (
        {**source, "git": {**source["git"], "credential": "theirs"}}
        if kind == "git"
        else {**source, "credential": "theirs"}
    )
    message = refused(admin.post(JOBS, json={"name": "report", "source": named}), field)
    assert host in message


def test_a_credential_in_use_gets_another_secret_but_no_other_host(
    admin: Caller, context: ServerContext
) -> None:
    path = f"{PROJECT}/credentials/forge"
    first = {"name": "forge", "kind": "git", "host": "github.com", "username": "ada", "secret": "the first"}
    made = admin.made(f"{PROJECT}/credentials", first)
    git = {"url": "https://github.com/acme/report", "credential": "forge"}
    admin.made(JOBS, {"name": "report", "source": {"type": "git", "git": git}})
    for changes, username, secret in (
        ({}, "ada", "the first"),
        ({**first, "secret": "the second"}, "ada", "the second"),
        ({"username": "grace", "secret": None}, "grace", "the second"),
    ):
        answer = admin.patch(path, json=changes)
        assert answer.json() == {**made, "username": username} == admin.got(path)
        with context.db.read() as tx:
            stored = credentials.with_id(tx, made["id"])
        assert unsealed(context.vault, stored.secret) == secret
    for field, other in (("name", "other"), ("kind", "registry"), ("host", "evil.example"), ("secret", "")):
        refused(admin.patch(path, json={"secret": "not this one", field: other}), field)
    with context.db.read() as tx:
        assert credentials.with_id(tx, made["id"]) == stored
    assert admin.with_token("operator").patch(path, json={"secret": "x"}).status_code == 403


def test_a_build_outlives_its_credential(admin: Caller, context: ServerContext) -> None:
    admin.made(
        f"{PROJECT}/credentials", {"name": "forge", "kind": "git", "host": "github.com", "secret": "x"}
    )
    git = {"url": GIT["url"], "credential": "forge"}
    admin.made(JOBS, {"name": "report", "source": {"type": "git", "git": git}})
    build = admin.made(f"{JOBS}/report/builds")
    admin.patch(f"{JOBS}/report", json={"source": {"git": {"credential": None}}})
    assert admin.delete(f"{PROJECT}/credentials/forge?confirm=forge").status_code == 204
    with context.db.read() as tx:
        assert builds.with_id(tx, build["id"]).credential_id is None


def test_the_schedule_is_shown_with_clock_changes(admin: Caller) -> None:
    schedule = {"cron": "30 2 * * *", "time_zone": "Europe/Berlin"}
    admin.made(JOBS, {"name": "nightly", "kind": "cron", "schedule": schedule})
    shown = admin.get(f"{JOBS}/nightly/schedule?from=2026-03-28T00:00:00Z&count=3").json()
    assert [(fire["at"], fire["local"]) for fire in shown["fires"]] == [
        ("2026-03-28T01:30:00Z", "2026-03-28T02:30:00+01:00"),
        ("2026-03-29T01:00:00Z", "2026-03-29T03:00:00+02:00"),
        ("2026-03-30T00:30:00Z", "2026-03-30T02:30:00+02:00"),
    ]
    assert [fire["note"] is not None for fire in shown["fires"]] == [False, True, False]
    assert shown["active"] is True
    assert len(admin.got(f"{JOBS}/nightly/schedule")["fires"]) == 10
    admin.made(f"{JOBS}/nightly/pause")
    assert admin.got(f"{JOBS}/nightly/schedule")["active"] is False


@pytest.mark.parametrize(
    "query", ["count=0", "count=1001", "count=x", "from=tomorrow", "from=2026-03-28T00:00", "to=1"]
)
def test_a_schedule_is_asked_for_properly(admin: Caller, query: str) -> None:
    admin.made(JOBS, {"name": "nightly", "kind": "cron", "schedule": {"cron": "30 2 * * *"}})
    name = query.partition("=")[0]
    refused(admin.get(f"{JOBS}/nightly/schedule?{query}"), name)


def test_a_year_without_schedules_is_refused_by_its_field(admin: Caller) -> None:
    admin.made(JOBS, {"name": "nightly", "kind": "cron", "schedule": {"cron": "30 2 * * *"}})
    assert "1970" in refused(admin.get(f"{JOBS}/nightly/schedule?from=1900-01-01T00:00:00Z"), "from")


def test_a_job_without_a_schedule_says_so(admin: Caller) -> None:
    admin.made(JOBS, {"name": "once"})
    assert admin.get(f"{JOBS}/once/schedule").status_code == 409


def test_pause_and_resume_leave_a_decision_each(admin: Caller) -> None:
    source = {"type": "git", "git": GIT}
    schedule = {"cron": "0 6 * * *"}
    admin.made(JOBS, {"name": "nightly", "kind": "cron", "source": source, "schedule": schedule})
    admin.made(f"{JOBS}/nightly/pause")
    admin.made(f"{JOBS}/nightly/pause")
    admin.context.clock.advance(hours=1)  # type: ignore[attr-defined]
    admin.made(f"{JOBS}/nightly/resume", {"cd_enabled": False})
    resumed, paused = admin.got(f"{JOBS}/nightly/why")["items"]
    assert (paused["verdict"], resumed["verdict"]) == ("paused", "resumed")
    assert paused["sentence"].startswith(
        "Paused by admin token: pushes build nothing, builds are not deployed"
    )
    assert "CD is off" in resumed["sentence"]
    assert "2026-02-01 06:00 UTC, and none that passed meanwhile is caught up" in resumed["sentence"]
    assert resumed["inputs"] == {"ci_enabled": True, "cd_enabled": False, "schedule_active": True}


def test_a_paused_job_is_not_due(admin: Caller, context: ServerContext) -> None:
    job = admin.made(JOBS, {"name": "nightly", "kind": "cron", "schedule": {"cron": "0 6 * * *"}})
    admin.made(f"{JOBS}/nightly/pause")
    with context.db.read() as tx:
        assert jobs.with_id(tx, job["id"]).next_fire_at is None


def test_a_deleted_image_job_keeps_its_history(admin: Caller) -> None:
    admin.made(JOBS, {"name": "once", "source": {"type": "image", "image": "busybox"}})
    run = admin.made(f"{JOBS}/once/runs")
    attempt_ends(admin.context, Outcome(None, 0))
    admin.delete(f"{JOBS}/once?confirm=once")
    assert admin.got(f"/runs/{run['id']}")["status"] == "succeeded"


def test_why_answers_for_any_time_whatever_happened_then(admin: Caller, context: ServerContext) -> None:
    """Skips, a gap in which the server was down, and a pause: 12:00 is when everything begins."""
    clock: Any = context.clock
    schedule = {"cron": "0 * * * *", "concurrency_policy": "forbid"}
    source = {"type": "image", "image": "busybox"}
    admin.made(JOBS, {"name": "hourly", "kind": "cron", "schedule": schedule, "source": source})
    scheduler = Scheduler(context.db, context.clock, context.names, ClockChanges(context.db, context.clock))

    def at(hour: int, minute: int = 0) -> None:
        clock.at = clock.at.replace(hour=hour, minute=minute)
        scheduler.step()

    at(13)  # a run that nobody executes
    at(14)  # held back by it
    at(17, 30)  # the server was down at 15, 16 and 17
    admin.made(f"{JOBS}/hourly/pause")
    at(19)

    def newest(time: str) -> Any:
        decision = admin.got(f"{JOBS}/hourly/why", at=f"2026-01-31T{time}:00Z")["items"][0]
        return decision["verdict"], decision["rule"]

    assert newest("13:00") == ("started", "schedule")
    assert newest("14:00") == ("skipped", "concurrency:forbid")
    for time in ("15:00", "16:20", "17:00"):
        assert newest(time) == ("missed", "missed")
    assert newest("14:30") == ("skipped", "concurrency:forbid")
    assert newest("18:00") == newest("19:00") == ("paused", "paused")


def test_ci_of_a_build_services_job_is_the_services(admin: Caller) -> None:
    admin.made(
        "/projects/acme/build-services", {"name": "shared", "git": {"url": "https://github.com/acme/shared"}}
    )
    shared = {"type": "build_service", "build_service": "shared"}
    refused = admin.post("/projects/acme/jobs", json={"name": "one", "source": shared, "ci_enabled": False})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "ci_enabled")
    admin.made("/projects/acme/jobs", {"name": "one", "source": shared})
    resumed = admin.post("/projects/acme/jobs/one/resume", json={"ci_enabled": False})
    assert (resumed.status_code, resumed.json()["errors"][0]["field"]) == (422, "ci_enabled")
