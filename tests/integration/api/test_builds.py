"""Builds through the API."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.api import Caller, build_succeeds

JOBS = "/projects/acme/jobs"
BUILDS = f"{JOBS}/report/builds"
OLD, NEW = "a" * 40, "b" * 40


@pytest.fixture
def report(admin: Caller) -> Caller:
    source = {
        "type": "git",
        "git": {"url": "https://github.com/acme/report", "webhook_secret": "the secret of the hook"},
    }
    admin.made(JOBS, {"name": "report", "source": source, "ci_enabled": False})
    return admin


def test_a_manual_build_ignores_the_rules_and_is_decided(report: Caller) -> None:
    build = report.made(BUILDS)
    assert (build["status"], build["sha"], build["ref"]) == ("queued", None, "refs/heads/main")
    assert (build["job"], build["build_service"], build["jobs"]) == ("report", None, ["report"])
    assert build["trigger"] == {"type": "manual", "by": "admin token"}
    assert report.got(f"/builds/{build['id']}") == build == report.got(BUILDS)["items"][0]
    decision = report.got("/decisions", build=build["id"])["items"][0]
    assert (decision["verdict"], decision["rule"], decision["build"]) == ("built", "manual", build["id"])


def test_a_commit_and_another_branch_can_be_built(report: Caller) -> None:
    build = report.made(BUILDS, {"sha": NEW, "ref": "next"})
    assert (build["sha"], build["ref"]) == (NEW, "refs/heads/next")


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("sha", {"sha": "abc"}),
        ("sha", {"sha": "A" * 40}),
        ("ref", {"ref": "a..b"}),
        ("ref", {"ref": "refs/tags/v1"}),
        ("branch", {"branch": "main"}),
    ],
)
def test_what_can_not_be_built(report: Caller, field: str, body: dict[str, Any]) -> None:
    answer = report.post(BUILDS, json=body)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


@pytest.mark.parametrize("source", [{"type": "none"}, {"type": "image", "image": "busybox"}])
def test_a_job_that_nothing_is_built_for_has_no_builds(admin: Caller, source: dict[str, Any]) -> None:
    admin.made(JOBS, {"name": "report", "source": source})
    answer = admin.post(BUILDS, json={})
    assert answer.status_code == 409
    assert "no Git source" in answer.json()["detail"]
    assert admin.got(BUILDS) == {"items": [], "next": None}


def test_a_build_that_succeeded_is_deployed_and_shown(report: Caller) -> None:
    report.made(BUILDS)
    build_succeeds(report.context, sha=OLD)
    build = report.got("/builds/1")
    assert (build["status"], build["sha"], build["plan"]) == ("succeeded", OLD, {"runtime": "shell"})
    assert (build["dockerfile"], build["digest"]) == ("FROM scratch", "sha256:" + "1" * 64)
    deployed = report.got(f"{JOBS}/report")["deployed"]
    assert (deployed["build"], deployed["sha"], deployed["at"]) == (1, OLD, "2026-01-31T12:00:00Z")


def test_a_build_is_cancelled_once(report: Caller) -> None:
    report.made(BUILDS)
    cancelled = report.made("/builds/1/cancel")
    assert (cancelled["status"], cancelled["reason"], cancelled["sentence"]) == (
        "cancelled",
        "cancelled",
        "Cancelled by admin token.",
    )
    assert report.post("/builds/1/cancel").json()["detail"] == "Build 1 is over already: cancelled."


def test_a_build_sent_again_with_its_key_is_made_once(report: Caller) -> None:
    made = [report.made(BUILDS, {}, Idempotency_Key="k")["id"] for _ in range(2)]
    assert made == [1, 1]


def test_there_is_no_build_that_was_never_made(admin: Caller) -> None:
    for ref in ("1", "x", "0x1", "9" * 30, "-1"):
        assert admin.get(f"/builds/{ref}").status_code == 404
