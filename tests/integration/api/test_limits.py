"""Limits of projects through the API: set, shown, and said where they bite."""

from __future__ import annotations

import pytest

from app.store import runs
from app.web.server_context import ServerContext
from app.workers.clock_changes import ClockChanges
from app.workers.scheduler import Scheduler
from tests.support.api import Caller, build_succeeds

P = "/projects/acme"
JOBS = f"{P}/jobs"
IMAGE = {"type": "image", "image": "registry.example.com/acme/tool:1"}


def limit(admin: Caller, **limits: float | None) -> None:
    assert admin.patch(P, json={"limits": limits}).status_code == 200


def test_limits_are_set_one_by_one_and_taken_back(admin: Caller) -> None:
    assert set(admin.got(P)["limits"].values()) == {None}
    limit(admin, runs_at_once=4, cpus=2.5)
    limit(admin, runs_at_once=None, jobs=0)
    own = {name: value for name, value in admin.got(P)["limits"].items() if value is not None}
    assert own == {"cpus": 2.5, "jobs": 0}
    changes = admin.got("/audit", limit=1)["items"][0]["changes"]
    assert changes == {
        "limits.jobs": {"from": None, "to": 0},
        "limits.runs_at_once": {"from": 4, "to": None},
    }
    used = {each["limit"]: each for each in admin.got(f"{P}/usage")["items"]}
    assert used["cpus"] == {
        "limit": "cpus",
        "of": "CPUs of all running containers",
        "used": 0,
        "most": 2.5,
        "is_own": True,
    }
    assert (used["jobs"]["most"], used["jobs"]["is_own"]) == (0, True)
    assert used["runs_at_once"]["is_own"] is False
    assert used["memory_mb"]["of"] == "MiB of memory of all running containers"
    assert used["builds_at_once"]["of"] == "builds at work"
    assert used["log_mb"]["of"] == "MiB of logs"


@pytest.mark.parametrize(
    ("limits", "field"),
    [
        ({"runs_at_once": -1}, "limits.runs_at_once"),
        ({"cpus": "many"}, "limits.cpus"),
        ({"cpus": 1e9}, "limits.cpus"),
        ({"disks": 1}, "limits.disks"),
    ],
)
def test_a_limit_that_is_none_is_refused_at_its_field(
    admin: Caller, limits: dict[str, float], field: str
) -> None:
    answer = admin.patch(P, json={"limits": limits})
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_a_project_made_with_limits_has_them(admin: Caller) -> None:
    assert admin.made("/projects", {"name": "beside", "limits": {"jobs": 3}})["limits"]["jobs"] == 3


def test_who_administers_one_project_raises_no_limit_of_it(admin: Caller, context: ServerContext) -> None:
    token = admin.made("/tokens", {"name": "theirs", "role": "admin", "project": "acme"})["token"]
    theirs = Caller(context, token)
    assert theirs.patch(P, json={"webhook_secret": "another secret of the hook"}).status_code == 200
    answer = theirs.patch(P, json={"limits": {"jobs": 0}})
    assert answer.status_code == 403
    assert theirs.get(f"{P}/usage").status_code == 200


def test_no_more_jobs_than_the_project_may_have(admin: Caller) -> None:
    before = len(admin.got(JOBS)["items"])
    limit(admin, jobs=before + 1)
    admin.made(JOBS, {"name": "last"})
    answer = admin.post(JOBS, json={"name": "beyond"})
    assert answer.status_code == 409
    assert answer.json()["detail"] == (
        f"Job beyond is not made: project acme has {before + 1} of {before + 1} jobs; an administrator can raise"
        " limits.jobs."
    )
    admin.delete(f"{JOBS}/last?confirm=last")
    admin.made(JOBS, {"name": "beyond"})


def test_a_full_queue_refuses_people_and_takes_them_again_when_there_is_room(admin: Caller) -> None:
    limit(admin, queued_runs=1)
    admin.made(JOBS, {"name": "tool", "source": IMAGE})
    run = admin.made(f"{JOBS}/tool/runs")
    said = (
        "Job tool is not started: project acme has 1 of 1 runs queued; an administrator can raise limits.queued_runs,"
        " or try again when some have begun."
    )
    for path in (f"{JOBS}/tool/runs", f"/runs/{run['id']}/rerun"):
        answer = admin.post(path)
        assert (answer.status_code, answer.json()["detail"]) == (429, said)
    with admin.context.db.write() as tx:
        assert runs.claim(tx, "tests", admin.context.clock.now())
    admin.made(f"{JOBS}/tool/runs")


def test_a_job_bigger_than_its_project_is_refused_by_its_plan(admin: Caller) -> None:
    limit(admin, cpus=3, memory_mb=4096)
    answer = admin.post(JOBS, json={"name": "big", "plan": "xlarge"})
    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {
            "field": "plan",
            "message": "Plan xlarge needs 4 CPUs, and project acme may use 3 in all: choose a smaller plan, or let an"
            " administrator raise limits.cpus.",
        }
    ]
    edit = admin.post(
        "/plan", json={"settings": {"project": "acme", "fields": {"name": "big", "plan": "xlarge"}}}
    )
    assert edit.status_code == 422
    admin.made(JOBS, {"name": "tool", "source": IMAGE, "instances": 6})
    assert admin.patch(f"{JOBS}/tool", json={"instances": 7}).status_code == 422
    override = admin.post(f"{JOBS}/tool/runs", json={"plan": "medium"})
    assert (override.status_code, override.json()["errors"][0]["field"]) == (422, "plan")


def test_a_run_that_waits_for_a_limit_says_so(admin: Caller) -> None:
    limit(admin, runs_at_once=1)
    admin.made(JOBS, {"name": "tool", "source": IMAGE})
    first, second = (admin.made(f"{JOBS}/tool/runs") for _ in range(2))
    assert admin.got(f"/runs/{first['id']}")["sentence"] == ""
    with admin.context.db.write() as tx:
        assert runs.claim(tx, "tests", admin.context.clock.now())
    assert admin.got(f"/runs/{second['id']}")["sentence"] == (
        "Waits: project acme has 1 of 1 runs at work; an administrator can raise limits.runs_at_once."
    )


def test_an_image_moves_and_nothing_runs_while_the_queue_is_full(admin: Caller) -> None:
    git = {"type": "git", "git": {"url": "https://github.com/acme/report"}}
    admin.made(JOBS, {"name": "report", "source": git, "run_on_image_change": "cd-promote"})
    admin.made(JOBS, {"name": "tool", "source": IMAGE})
    limit(admin, queued_runs=1)
    admin.made(f"{JOBS}/tool/runs")
    admin.made(f"{JOBS}/report/builds")
    build_succeeds(admin.context)
    decision = admin.got("/decisions?job=report&project=acme")["items"][0]
    assert (decision["verdict"], decision["rule"]) == ("deployed", "limit:queued_runs")
    assert decision["sentence"].endswith(
        ", but project acme has 1 of 1 runs queued; an administrator can raise limits.queued_runs."
    )
    assert admin.got(f"{JOBS}/report")["deployed"] is not None
    assert admin.got(f"{JOBS}/report/runs")["items"] == []


def test_of_scheduled_runs_those_that_find_room_start_and_the_others_say_why_not(admin: Caller) -> None:
    context = admin.context
    schedule = {"cron": "*/5 * * * *"}
    for name in ("one", "two", "three"):
        admin.made(JOBS, {"name": name, "source": IMAGE, "kind": "cron", "schedule": schedule})
    admin.made("/projects", {"name": "beside"})
    admin.made(
        "/projects/beside/jobs", {"name": "four", "source": IMAGE, "kind": "cron", "schedule": schedule}
    )
    limit(admin, queued_runs=2)
    context.clock.advance(300)  # type: ignore[attr-defined]
    scheduler = Scheduler(context.db, context.clock, context.names, ClockChanges(context.db, context.clock))
    while scheduler.step():
        pass
    assert len(admin.got("/projects/beside/jobs/four/runs")["items"]) == 1
    decided = [
        admin.got("/decisions", project="acme", job=name)["items"][0] for name in ("one", "two", "three")
    ]
    assert sorted(each["verdict"] for each in decided) == ["skipped", "started", "started"]
    (skipped,) = (each for each in decided if each["verdict"] == "skipped")
    assert (skipped["rule"], skipped["run"]) == ("limit:queued_runs", None)
    assert skipped["sentence"] == (
        "Scheduled for 2026-01-31 12:05 UTC: project acme has 2 of 2 runs queued; an administrator can raise"
        " limits.queued_runs."
    )


def test_a_job_says_what_its_runs_may_less(admin: Caller) -> None:
    fields = {"non_root": True, "read_only": True, "network": "none"}
    made = admin.made(JOBS, {"name": "tool", "source": IMAGE, **fields})
    assert {name: made[name] for name in fields} == fields
    run = admin.made(f"{JOBS}/tool/runs?dry_run=1")
    assert {name: run["effective"][name] for name in fields} == fields
    check = {"type": "liveness", "protocol": "tcp", "port": 80}
    answer = admin.patch(f"{JOBS}/tool", json={"health_checks": [check]})
    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {
            "field": "health_checks.0.protocol",
            "message": "health_checks.0.protocol must be cmd where network is none: nothing reaches the container from"
            " outside.",
        }
    ]
    check = {"type": "liveness", "protocol": "cmd", "cmd": "true"}
    assert admin.patch(f"{JOBS}/tool", json={"health_checks": [check]}).status_code == 200


def test_what_all_runs_of_a_project_are_held_to(admin: Caller) -> None:
    assert admin.patch(P, json={"hardening": {"network": "none"}}).status_code == 200
    changed = admin.patch(P, json={"hardening": {"non_root": True}}).json()
    assert changed["hardening"] == {"non_root": True, "read_only": False, "network": "none"}
    theirs = admin.with_token("admin", "acme")
    assert theirs.patch(P, json={"hardening": {"non_root": False}}).status_code == 403
    assert admin.patch(P, json={"hardening": {"network": "some"}}).status_code == 422


def test_a_rehearsal_says_what_the_project_holds_a_run_to(admin: Caller) -> None:
    admin.made(JOBS, {"name": "tool", "source": IMAGE, "read_only": True})
    admin.patch(P, json={"hardening": {"non_root": True, "read_only": True}})
    found = admin.made(f"{JOBS}/tool/runs?dry_run=1")
    assert [found["effective"][name] for name in ("non_root", "read_only", "network")] == [
        True,
        True,
        "default",
    ]
    assert [found["origins"][name] for name in ("non_root", "read_only", "network")] == [
        "project",
        "job",
        "default",
    ]
