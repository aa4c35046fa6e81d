"""Jobs through the API: what goes in comes out, secrets don't, and changes are merged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.domain.runs import Outcome
from app.store import jobs
from app.web.server_context import ServerContext
from tests.support.api import Caller, attempt_ends, build_succeeds
from tests.support.sealed import unsealed

JOBS = "/projects/acme/jobs"
GIT = {
    "type": "git",
    "git": {"url": "https://github.com/acme/report", "webhook_secret": "the secret of the hook"},
}
REPORT: dict[str, Any] = {
    "name": "report",
    "source": GIT,
    "env": {"MODE": "daily", "TOKEN": {"value": "token value", "secret": True, "scope": "both"}},
}


def test_a_job_has_every_field_filled_in(admin: Caller) -> None:
    job = admin.made(JOBS, {"name": "later"})
    assert job == admin.got(f"{JOBS}/later")
    assert job["source"] == {"type": "none"}
    assert (job["kind"], job["plan"], job["instances"], job["retry_limit"]) == ("manual", "small", 1, 0)
    assert (job["deployed"], job["next_fire_at"], job["last_run"]) == (None, None, None)
    assert job["created_at"] == "2026-01-31T12:00:00Z"


def test_a_git_job_has_its_build_settings(admin: Caller) -> None:
    job = admin.made(JOBS, REPORT)
    assert job["source"]["git"]["branch"] == "main"
    assert job["source"]["build"]["commit_flags"] == ["[skip ci]", "[ci skip]", "[no ci]", "[skip jobyard]"]
    assert job["webhook_url"] == "https://jobyard.example.com/webhooks/github"
    assert job["warnings"] == []


def test_secrets_are_in_no_answer_and_not_in_the_database(admin: Caller, tmp_path: Path) -> None:
    job = admin.made(JOBS, REPORT)
    assert job["env"]["TOKEN"] == {"value": None, "secret": True, "scope": "both"}
    assert job["source"]["git"]["webhook_secret"] is None
    assert job["source"]["git"]["has_webhook_secret"] is True
    admin.made(f"{JOBS}/report/builds")
    build_succeeds(admin.context)
    admin.made(f"{JOBS}/report/runs", {"env": {"OTHER": {"value": "other value", "secret": True}}})
    stored = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    for secret in (b"token value", b"the secret of the hook", b"other value"):
        assert secret not in stored
    everything = [f"{JOBS}", f"{JOBS}/report", f"{JOBS}/report/runs", f"{JOBS}/report/builds", "/decisions"]
    for path in everything:
        assert not any(
            secret in admin.get(path).text
            for secret in ("token value", "the secret of the hook", "other value")
        )


def test_secrets_are_sealed_for_their_purpose(admin: Caller, context: ServerContext) -> None:
    admin.made(JOBS, REPORT)
    with context.db.read() as tx:
        job = jobs.named(tx, "acme", "report")
    assert unsealed(context.vault, job.env["TOKEN"].value) == "token value"
    assert job.source is not None
    assert unsealed(context.vault, job.source.webhook_secret or "") == "the secret of the hook"
    assert "token value" not in repr(job)


def test_a_git_job_that_no_secret_speaks_for_is_made_with_a_warning(admin: Caller) -> None:
    source = {"type": "git", "git": {"url": "git@github.com:acme/report.git"}}
    job = admin.made(JOBS, {"name": "report", "source": source})
    assert len(job["warnings"]) == 1
    assert "source.git.webhook_secret" in job["warnings"][0]
    assert (
        admin.patch("/projects/acme", json={"webhook_secret": "a secret for all of acme"}).status_code == 200
    )
    assert admin.got(f"{JOBS}/report")["warnings"] == []


def test_a_patch_changes_what_it_names(admin: Caller) -> None:
    before = admin.made(JOBS, REPORT)
    patch = {
        "retry_limit": 3,
        "source": {"git": {"branch": "next"}, "build": {"paths": ["docs/"]}},
        "env": {"NEW": "1", "MODE": None},
    }
    after = admin.patch(f"{JOBS}/report", json=patch).json()
    expected = {**before, "retry_limit": 3}
    expected["source"] = {
        **before["source"],
        "git": {**before["source"]["git"], "branch": "next"},
        "build": {**before["source"]["build"], "paths": ["docs/"]},
    }
    expected["env"] = {"TOKEN": before["env"]["TOKEN"], "NEW": "1"}
    assert after == expected == admin.got(f"{JOBS}/report")


@pytest.mark.parametrize(
    ("given", "value", "scope"),
    [
        ({"value": None, "secret": True, "scope": "both"}, "token value", "both"),
        ({"secret": True}, "token value", "both"),
        ({"scope": "run"}, "token value", "run"),
        ({"value": "changed"}, "changed", "both"),
        ("changed", "changed", "both"),
    ],
)
def test_a_secret_stays_secret_and_keeps_what_is_not_given(
    admin: Caller, context: ServerContext, given: Any, value: str, scope: str
) -> None:
    admin.made(JOBS, REPORT)
    answer = admin.patch(f"{JOBS}/report", json={"env": {"TOKEN": given}})
    assert answer.json()["env"]["TOKEN"] == {"value": None, "secret": True, "scope": scope}
    with context.db.read() as tx:
        stored = jobs.named(tx, "acme", "report").env["TOKEN"]
    assert unsealed(context.vault, stored.value) == value


def test_a_secret_is_not_shown_by_calling_it_none(admin: Caller) -> None:
    admin.made(JOBS, REPORT)
    answer = admin.patch(f"{JOBS}/report", json={"env": {"TOKEN": {"secret": False}}})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "env.TOKEN.value"


@pytest.mark.parametrize("given", [{}, {"webhook_secret": None}])
def test_the_webhook_secret_is_kept_unless_another_is_given(
    admin: Caller, context: ServerContext, given: dict[str, Any]
) -> None:
    admin.made(JOBS, REPORT)
    admin.patch(f"{JOBS}/report", json={"source": {"git": {"branch": "next", **given}}})
    assert _webhook_secret(context) == "the secret of the hook"
    admin.patch(f"{JOBS}/report", json={"source": {"git": {"webhook_secret": "another secret of it"}}})
    assert _webhook_secret(context) == "another secret of it"


def _webhook_secret(context: ServerContext) -> str:
    with context.db.read() as tx:
        source = jobs.named(tx, "acme", "report").source
    assert source is not None
    return unsealed(context.vault, source.webhook_secret or "")


def test_a_patch_that_contradicts_what_is_stored_changes_nothing(admin: Caller) -> None:
    before = admin.made(JOBS, REPORT)
    answer = admin.patch(f"{JOBS}/report", json={"kind": "cron", "retry_limit": 5})
    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {
            "field": "schedule",
            "message": 'schedule is missing: a job of kind cron needs one, such as {"cron": "0 6 * * *"}.',
        }
    ]
    assert admin.got(f"{JOBS}/report") == before


def test_a_shell_wraps_a_command_or_a_process(admin: Caller) -> None:
    """And is refused once there is neither."""
    admin.made(JOBS, {**REPORT, "shell": True, "command": "echo $HOME"})
    for patch in ({"command": None}, {"command": None, "entrypoint": "tini"}):
        answer = admin.patch(f"{JOBS}/report", json=patch)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "command")
    assert admin.patch(f"{JOBS}/report", json={"command": None, "process": "worker"}).status_code == 200
    assert admin.patch(f"{JOBS}/report", json={"process": None, "shell": False}).status_code == 200


@pytest.mark.parametrize(
    ("patch", "field"),
    [
        ({"name": "other"}, "name"),
        ({"id": 7}, "id"),
        ({"deployed": None}, "deployed"),
        ({"source": {"type": "image", "image": "busybox"}}, "source.type"),
        ({"source": {"type": "none"}}, "source.type"),
        ({"source": None}, "source"),
        ({"env": None}, "env"),
        ({"env": ["A"]}, "env"),
        ({"env": {"TOKEN": 5}}, "env.TOKEN"),
    ],
)
def test_what_a_patch_can_not_do(admin: Caller, patch: dict[str, Any], field: str) -> None:
    admin.made(JOBS, REPORT)
    answer = admin.patch(f"{JOBS}/report", json=patch)
    assert answer.status_code == 422, answer.text
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_a_job_without_a_source_gets_one_later(admin: Caller) -> None:
    admin.made(JOBS, {"name": "later"})
    job = admin.patch(f"{JOBS}/later", json={"source": GIT}).json()
    assert job["source"]["git"]["url"] == "https://github.com/acme/report"
    assert job["source"]["git"]["has_webhook_secret"] is True


def test_a_cron_job_tells_its_next_fire(admin: Caller) -> None:
    schedule = {"cron": "30 13 * * *", "time_zone": "Europe/Berlin"}
    job = admin.made(JOBS, {"name": "nightly", "kind": "cron", "schedule": schedule})
    assert job["next_fire_at"] == "2026-01-31T12:30:00Z"
    quiet = admin.patch(f"{JOBS}/nightly", json={"schedule": {"active": False}}).json()
    assert quiet["next_fire_at"] is None
    assert quiet["schedule"]["cron"] == "30 13 * * *"


def test_a_pause_keeps_what_was_set_and_resuming_may_change_it(admin: Caller) -> None:
    schedule = {"cron": "0 6 * * *"}
    job = admin.made(JOBS, {**REPORT, "kind": "cron", "schedule": schedule, "ci_enabled": False})
    paused = admin.made(f"{JOBS}/report/pause")
    assert paused == {**job, "paused": True, "next_fire_at": None}
    assert admin.made(f"{JOBS}/report/resume") == job
    admin.context.clock.advance(minutes=1)  # type: ignore[attr-defined]
    admin.made(f"{JOBS}/report/pause")
    changed = admin.made(
        f"{JOBS}/report/resume", {"ci_enabled": True, "cd_enabled": False, "schedule_active": False}
    )
    assert (changed["paused"], changed["ci_enabled"], changed["cd_enabled"]) == (False, True, False)
    assert changed["schedule"]["active"] is False


def test_an_operator_resumes_as_it_was_and_changes_no_switch(admin: Caller) -> None:
    """To turn CI, CD or the schedule on or off is to change the job, whatever is resumed with it."""
    admin.made(JOBS, {**REPORT, "kind": "cron", "schedule": {"cron": "0 6 * * *"}, "ci_enabled": False})
    operator = admin.with_token("operator", "acme")
    operator.made(f"{JOBS}/report/pause")
    for switch in ({"ci_enabled": True}, {"cd_enabled": False}, {"schedule_active": False}):
        answer = operator.post(f"{JOBS}/report/resume", json=switch)
        assert answer.status_code == 403
        assert answer.json()["detail"] == "This needs the role admin; operator-acme has operator."
        assert admin.got(f"{JOBS}/report")["paused"] is True
    same = {"ci_enabled": False, "cd_enabled": True, "schedule_active": True}
    assert operator.made(f"{JOBS}/report/resume", same)["paused"] is False


def test_a_pause_by_a_change_is_a_decision_as_well(admin: Caller) -> None:
    admin.made(JOBS, {"name": "report"})
    for paused in (True, True, False):
        answer = admin.patch(f"{JOBS}/report", json={"paused": paused, "retry_limit": 2})
        assert (answer.json()["paused"], answer.json()["retry_limit"]) == (paused, 2)
    found = admin.got(f"{JOBS}/report/why")["items"]
    assert [each["verdict"] for each in found] == ["resumed", "paused"]


def test_what_is_held_from_the_start_or_by_a_change_says_so(admin: Caller) -> None:
    schedule = {"cron": "* * * * *"}
    cron = {**REPORT, "kind": "cron", "schedule": schedule}
    admin.made(JOBS, {**cron, "name": "paused", "paused": True})
    admin.made(JOBS, {**cron, "name": "inactive", "schedule": {**schedule, "active": False}})
    admin.made(JOBS, {**cron, "name": "changed"})
    for active in (False, False, True):
        assert admin.patch(f"{JOBS}/changed", json={"schedule": {"active": active}}).status_code == 200
    said = {
        name: [each["sentence"] for each in admin.got(f"{JOBS}/{name}/why")["items"]]
        for name in ("paused", "inactive", "changed")
    }
    assert said["paused"] == ["Made paused by admin token: nothing starts by itself until it is resumed."]
    inactive = "Schedule set inactive by admin token: neither it nor a new image starts a run."
    assert said["inactive"] == [inactive]
    assert said["changed"] == ["Schedule set active by admin token.", inactive]


def test_resuming_the_schedule_of_a_manual_job_is_refused(admin: Caller) -> None:
    admin.made(JOBS, REPORT)
    answer = admin.post(f"{JOBS}/report/resume", json={"schedule_active": True})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "schedule_active"


def test_a_name_is_taken_once_and_free_again_when_deleted(admin: Caller) -> None:
    admin.made(JOBS, REPORT)
    assert admin.post(JOBS, json=REPORT).status_code == 409
    assert admin.delete(f"{JOBS}/report").status_code == 422
    assert admin.delete(f"{JOBS}/report?confirm=other").status_code == 422
    assert admin.delete(f"{JOBS}/report?confirm=report").status_code == 204
    assert admin.get(f"{JOBS}/report").status_code == 404
    assert admin.made(JOBS, REPORT)["name"] == "report"


def test_a_job_with_a_live_run_is_not_deleted(admin: Caller) -> None:
    admin.made(JOBS, {"name": "once", "source": {"type": "image", "image": "busybox:1.36"}})
    run = admin.made(f"{JOBS}/once/runs")
    answer = admin.delete(f"{JOBS}/once?confirm=once")
    assert answer.status_code == 409
    assert run["name"] in answer.json()["detail"]
    attempt_ends(admin.context, Outcome(None, 0))
    assert admin.delete(f"{JOBS}/once?confirm=once").status_code == 204
    assert admin.got(f"/runs/{run['name']}")["job"] == "once"


def test_a_job_tells_its_last_run(admin: Caller) -> None:
    for name in ("one", "two"):
        admin.made(JOBS, {"name": name, "source": {"type": "image", "image": "busybox"}})
        admin.made(f"{JOBS}/{name}/runs")
    newest = admin.made(f"{JOBS}/one/runs")
    listed = {job["name"]: job["last_run"] for job in admin.got(JOBS)["items"]}
    assert listed["one"]["name"] == newest["name"]
    assert listed["two"]["status"] == "queued"


def test_lists_are_paged_newest_first(admin: Caller) -> None:
    for number in range(5):
        admin.made(JOBS, {"name": f"job-{number}"})
    first = admin.got(JOBS, limit=2)
    second = admin.got(JOBS, limit=2, cursor=first["next"])
    third = admin.got(JOBS, limit=2, cursor=second["next"])
    names = [[job["name"] for job in page["items"]] for page in (first, second, third)]
    assert names == [["job-4", "job-3"], ["job-2", "job-1"], ["job-0"]]
    assert third["next"] is None
    assert admin.got(JOBS, limit=5)["next"] is None


def test_credentials_are_named_in_sources_and_kept_while_in_use(admin: Caller) -> None:
    path = "/projects/acme/credentials"
    made = admin.made(path, {"name": "forge", "kind": "git", "host": "github.com", "secret": "forge secret"})
    assert made["secret"] is None
    git = {**GIT["git"], "credential": "forge"}  # type: ignore[dict-item]
    admin.made(JOBS, {"name": "report", "source": {"type": "git", "git": git}})
    assert admin.delete(f"{path}/forge?confirm=forge").status_code == 409
    admin.patch(f"{JOBS}/report", json={"source": {"git": {"credential": None}}})
    assert admin.delete(f"{path}/forge?confirm=forge").status_code == 204
    assert admin.got(path)["items"] == []


def test_why_tells_the_latest_decisions_up_to_a_time(admin: Caller) -> None:
    admin.made(JOBS, REPORT)
    admin.made(f"{JOBS}/report/builds")
    admin.context.clock.advance(hours=1)  # type: ignore[attr-defined]
    admin.made(f"{JOBS}/report/builds")
    told = admin.got(f"{JOBS}/report/why")["items"]
    assert [decision["event"]["id"] for decision in told] == ["build:2", "build:1"]
    earlier = admin.got(f"{JOBS}/report/why", at="2026-01-31T12:30:00Z")["items"]
    assert [decision["event"]["id"] for decision in earlier] == ["build:1"]
    assert earlier[0]["sentence"] == "Build 1 of the head of main asked for by admin token."
