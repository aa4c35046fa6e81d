"""Runs through the API: started with overrides, rehearsed, repeated, cancelled."""

from __future__ import annotations

from typing import Any

import pytest

from app.domain.runs import Outcome, Reason
from app.store import run_attempts, runs
from app.web.server_context import ServerContext
from tests.support.api import Caller, attempt_ends, build_succeeds
from tests.support.sealed import unsealed

JOBS = "/projects/acme/jobs"
RUNS = f"{JOBS}/report/runs"
BAD_EXIT = Outcome(Reason.EXIT_NONZERO, 3, "The process ended with 3.")


@pytest.fixture
def built(admin: Caller) -> Caller:
    """A job with one succeeded build, deployed."""
    source = {
        "type": "git",
        "git": {"url": "https://github.com/acme/report", "webhook_secret": "the secret of the hook"},
    }
    env = {"MODE": "daily", "TOKEN": {"value": "job token", "secret": True, "scope": "both"}}
    admin.made(JOBS, {"name": "report", "source": source, "env": env, "retry_limit": 1})
    admin.made(f"{JOBS}/report/builds")
    build_succeeds(admin.context)
    return admin


def test_a_run_is_made_of_the_job_and_what_is_overridden(built: Caller) -> None:
    run = built.made(
        RUNS, {"env": {"MODE": None, "DAY": "1"}, "command": ["python", "x.py"], "retry_limit": 0}
    )
    assert (run["status"], run["project"], run["job"], run["name"]) == (
        "queued",
        "acme",
        "report",
        "report-00001",
    )
    assert run["trigger"] == {
        "type": "api",
        "by": "admin token",
        "scheduled_for": None,
        "cause": "Started by the API by admin token with command, retry_limit, env.MODE, env.DAY changed.",
    }
    assert run["effective"]["env"] == {"TOKEN": {"value": None, "secret": True, "scope": "both"}, "DAY": "1"}
    assert run["effective"]["command"] == ["python", "x.py"]
    assert run["overridden"] == ["command", "retry_limit", "env.MODE", "env.DAY"]
    assert built.got(f"{JOBS}/report")["env"]["MODE"] == "daily"
    assert built.got(f"/runs/{run['id']}") == built.got(f"/runs/{run['name']}") == run
    told = built.got("/decisions", run=run["name"])["items"]
    assert [(each["verdict"], each["run"], each["event"]["type"]) for each in told] == [
        ("started", run["id"], "manual")
    ]


def test_a_rehearsal_says_where_each_value_is_from_and_starts_nothing(built: Caller) -> None:
    overrides = {"env": {"MODE": None, "TOKEN": "this time"}, "time_limit_seconds": None, "plan": "large"}
    answer = built.post(f"{RUNS}?dry_run=1", json=overrides)
    assert answer.status_code == 200
    told = answer.json()
    assert told["effective"]["plan"] == "large"
    assert told["effective"]["build"] == 1
    assert told["effective"]["env"] == {"TOKEN": {"value": None, "secret": True, "scope": "both"}}
    origins = told["origins"]
    assert [origins[name] for name in ("image", "plan", "retry_limit", "instances", "env.MODE", "env.TOKEN")] == [
        "deployed", "override", "job", "default", "override", "override"
    ]  # fmt: skip
    assert "this time" not in answer.text
    assert built.got(RUNS)["items"] == []


def test_a_secret_overridden_by_plain_text_stays_secret(built: Caller, context: ServerContext) -> None:
    run = built.made(RUNS, {"env": {"TOKEN": "this time", "MODE": {"value": "x", "secret": True}}})
    with context.db.read() as tx:
        env = runs.with_id(tx, run["id"]).spec.env
    assert env["TOKEN"].scope == "both"
    assert unsealed(context.vault, env["TOKEN"].value) == "this time"
    assert unsealed(context.vault, env["MODE"].value) == "x"


def test_a_run_takes_a_build_or_a_commit_or_an_image_of_its_own(built: Caller) -> None:
    built.made(f"{JOBS}/report/builds", {"sha": "b" * 40})
    build_succeeds(built.context, digest_="sha256:" + "2" * 64)
    by_build = built.made(RUNS, {"build": 1})
    by_sha = built.made(RUNS, {"sha": "bbbbbbb"})
    by_image = built.made(RUNS, {"image": "busybox:1.36"})
    assert (by_build["build"], by_build["sha"], by_build["digest"]) == (1, "a" * 40, "sha256:" + "1" * 64)
    assert (by_sha["build"], by_sha["sha"]) == (2, "b" * 40)
    assert (by_image["image"], by_image["digest"], by_image["build"]) == ("busybox:1.36", None, None)


def test_a_build_that_is_another_jobs_or_not_done_is_no_override(built: Caller) -> None:
    git = {"url": "https://github.com/acme/other"}
    built.made(JOBS, {"name": "other", "source": {"type": "git", "git": git}})
    built.made(f"{JOBS}/other/builds")
    built.made(f"{JOBS}/report/builds")
    told = [built.post(RUNS, json={"build": build}).json()["detail"] for build in (2, 3)]
    assert told == [
        "build must be one made for job report, which build 2 is not.",
        "build must be one that succeeded; build 3 is queued.",
    ]


def test_a_shell_for_one_run_needs_something_to_wrap(built: Caller) -> None:
    """A command or a process, of this run or of the job."""
    said = "command is missing: shell wraps a command or a process"
    for given in ({}, {"entrypoint": "tini"}, {"command": None}):
        answer = built.post(RUNS, json={"shell": True, **given})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "command")
        assert answer.json()["detail"].startswith(said)
    assert built.made(RUNS, {"shell": True, "command": "echo $HOME"})["effective"]["shell"]
    assert built.made(RUNS, {"shell": True, "process": "worker"})["effective"]["shell"]
    assert built.made(RUNS, {"shell": False})["effective"]["shell"] is False
    assert built.patch(f"{JOBS}/report", json={"command": "echo $HOME"}).status_code == 200
    assert built.made(RUNS, {"shell": True})["effective"]["command"] == "echo $HOME"
    assert built.post(RUNS, json={"shell": True, "command": None}).status_code == 422


@pytest.mark.parametrize(
    "source", [{"type": "none"}, {"type": "git", "git": {"url": "https://example.com/a/b"}}]
)
def test_without_an_image_there_is_nothing_to_run(admin: Caller, source: dict[str, Any]) -> None:
    admin.made(JOBS, {"name": "report", "source": source})
    answer = admin.post(RUNS)
    assert answer.status_code == 409
    assert "no image" in answer.json()["detail"]
    assert admin.post(f"{RUNS}?dry_run=true").json()["effective"]["image"] is None


def test_a_paused_job_runs_when_that_is_confirmed(built: Caller) -> None:
    built.made(f"{JOBS}/report/pause")
    refused = built.post(RUNS, json={})
    assert refused.status_code == 409
    assert "confirm_paused" in refused.json()["detail"]
    run = built.made(RUNS, {"confirm_paused": True})
    assert built.post(f"/runs/{run['id']}/rerun", json={}).status_code == 409
    assert built.made(f"/runs/{run['id']}/rerun", {"confirm_paused": True})["status"] == "queued"


def test_a_queued_run_is_cancelled_once(built: Caller) -> None:
    run = built.made(RUNS)
    cancelled = built.made(f"/runs/{run['id']}/cancel")
    assert (cancelled["status"], cancelled["reason"]) == ("cancelled", "cancelled")
    assert cancelled["sentence"] == "Cancelled by admin token."
    again = built.post(f"/runs/{run['id']}/cancel")
    assert again.status_code == 409
    assert again.json()["detail"] == f"Run {run['name']} is over already: cancelled."


def test_each_cancel_is_one_decision_that_says_by_whom(built: Caller) -> None:
    run = built.made(RUNS)
    with built.context.db.write() as tx:
        assert runs.claim(tx, "tests", built.context.clock.now())
        assert run_attempts.begin_attempt(tx, runs.with_id(tx, run["id"]), built.context.clock.now())
    operator = built.with_token("operator")
    for _ in range(3):  # asked, forced, and once more for nothing
        operator.made(f"/runs/{run['id']}/cancel")
    found = built.got("/decisions", run=run["name"])["items"]
    assert [(each["verdict"], each["rule"]) for each in found] == [
        ("cancelled", "cancel_forced"),
        ("cancelled", "cancel"),
        ("started", "api"),
    ]
    assert [each["event"] for each in found[:2]] == [
        {"type": "manual", "id": f"cancel_forced:{run['id']}"},
        {"type": "manual", "id": f"cancel:{run['id']}"},
    ]
    assert found[1]["inputs"] == {"run": run["name"], "by": "token operator-all", "status": "running"}
    why = built.got("/projects/acme/jobs/report/why")["items"][:2]
    assert why == [{**each, "commit_status": None} for each in found[:2]]


def test_attempts_are_shown_newest_first_with_their_containers(built: Caller) -> None:
    run = built.made(RUNS)
    attempt_ends(built.context, BAD_EXIT)
    waiting = built.got(f"/runs/{run['id']}")
    assert (waiting["status"], waiting["attempts"], waiting["failed"]) == ("queued", 1, 1)
    assert waiting["available_at"] == "2026-01-31T12:00:10Z"
    built.context.clock.advance(seconds=10)  # type: ignore[attr-defined]
    attempt_ends(built.context, Outcome(None, 0))
    done = built.got(f"/runs/{run['id']}")
    assert (done["status"], done["succeeded"], done["duration_seconds"]) == ("succeeded", 1, 10.0)
    attempts = built.got(f"/runs/{run['id']}/attempts")["items"]
    assert [(each["number"], each["status"], each["exit_code"]) for each in attempts] == [
        (2, "succeeded", 0),
        (1, "failed", 3),
    ]
    assert attempts[1]["containers"][0]["sentence"] == "The process ended with 3."


def test_running_again_takes_the_same_or_what_is_current(built: Caller) -> None:
    run = built.made(RUNS, {"env": {"MODE": "once"}, "build": 1})
    built.made(f"{JOBS}/report/builds", {"sha": "b" * 40})
    build_succeeds(built.context, digest_="sha256:" + "2" * 64)
    same = built.made(f"/runs/{run['name']}/rerun", {"config": "same"})
    current = built.made(f"/runs/{run['name']}/rerun", {"config": "current"})
    assert (same["build"], same["effective"]["env"]["MODE"], same["overridden"]) == (
        1,
        "once",
        ["build", "env.MODE"],
    )
    assert (current["build"], current["effective"]["env"]["MODE"], current["overridden"]) == (
        None,
        "daily",
        [],
    )
    assert current["trigger"]["cause"] == (
        f"Run {run['name']} started again by the API by admin token, with what the job has now."
    )


def test_a_run_of_a_deleted_job_is_read_but_not_repeated(built: Caller) -> None:
    run = built.made(RUNS)
    built.made(f"/runs/{run['id']}/cancel")
    assert built.delete(f"{JOBS}/report?confirm=report").status_code == 204
    assert built.got(f"/runs/{run['id']}")["status"] == "cancelled"
    answer = built.post(f"/runs/{run['id']}/rerun", json={})
    assert (answer.status_code, answer.json()["detail"]) == (409, "Job report was deleted.")


def test_a_request_sent_again_with_its_key_makes_one_run(built: Caller) -> None:
    key = {"Idempotency-Key": "4711"}
    first = built.post(RUNS, json={"env": {"DAY": "1"}}, headers=key)
    again = built.post(RUNS, json={"env": {"DAY": "1"}}, headers=key)
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json() == again.json()
    other = built.post(RUNS, json={"env": {"DAY": "2"}}, headers=key)
    assert other.status_code == 422
    assert other.json()["errors"][0]["field"] == "Idempotency-Key"
    assert len(built.got(RUNS)["items"]) == 1
    assert built.post(f"{JOBS}/report/builds", json={}, headers=key).status_code == 202
    somebody = built.with_token("operator")
    assert somebody.post(RUNS, json={"env": {"DAY": "2"}}, headers=key).status_code == 202
    built.context.clock.advance(days=2)  # type: ignore[attr-defined]
    assert built.post(RUNS, json={"env": {"DAY": "2"}}, headers=key).status_code == 202
    assert len(built.got(RUNS)["items"]) == 3


@pytest.mark.parametrize("key", ["", "a b", "x" * 256])
def test_a_key_that_is_none_is_refused(built: Caller, key: str) -> None:
    answer = built.post(RUNS, json={}, headers={"Idempotency-Key": key})
    assert answer.status_code == 422
    assert built.got(RUNS)["items"] == []


def test_a_refused_request_leaves_its_key_free(admin: Caller) -> None:
    admin.made(JOBS, {"name": "report"})
    key = {"Idempotency-Key": "4711"}
    assert admin.post(RUNS, json={}, headers=key).status_code == 409
    admin.patch(f"{JOBS}/report", json={"source": {"type": "image", "image": "busybox"}})
    assert admin.post(RUNS, json={}, headers=key).status_code == 202


def test_there_is_no_run_that_was_never_made(admin: Caller) -> None:
    for ref in ("1", "report-00001", "9" * 30, "٣", "%00"):
        assert admin.get(f"/runs/{ref}").status_code == 404
