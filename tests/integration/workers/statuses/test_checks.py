"""Checks that a GitHub App shows instead of statuses: queued, in progress, completed, with the tail of a log."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from sqlmodel import text

from app.bootstrap.forges import make_forge_apis
from app.commands.app_tokens import AppTokens
from app.commands.github_apps import AppDraft, define_app
from app.commands.log_tails import LogTails
from app.domain.commit_statuses import CommitStatus, StatusState
from app.forges.api import Access
from app.forges.github_checks import GitHubChecks
from app.store import builds, commit_statuses, deliveries, projects
from app.store.commit_statuses import Status
from app.store.deliveries import NewDelivery
from app.workers.statuses import StatusWorker
from builders.backends.base import BuildFailed
from tests.support.fakes import commit, fail
from tests.support.github import APP_ID, PEM, GitHub
from tests.support.installation import URL, Installation
from tests.support.loops import Server

A = commit("a")
PUBLIC = "https://ci.acme.example"


@pytest.fixture
def double(place: Installation) -> GitHub:
    return GitHub(place.clock)


@pytest.fixture
def worker(place: Installation, double: GitHub) -> StatusWorker:
    with place.db.write() as tx:
        project = projects.with_id(tx, place.project.id)
        draft = AppDraft("octo", "github.com", APP_ID, PEM)
        define_app(tx, place.box, project, draft, place.clock.now())
    return StatusWorker(
        place.db,
        place.clock,
        place.box,
        make_forge_apis(),
        double.send,
        PUBLIC,
        tokens=AppTokens(place.clock, double.send),
        tail=LogTails(place.db, place.log_storage),
    )


def tell(worker: StatusWorker) -> None:
    for _ in range(20):
        if not worker.step():
            return
    raise AssertionError("it never ends")


def statuses(place: Installation) -> Sequence[Status]:
    with place.db.read() as tx:
        ids = range(1, 100)
        return commit_statuses.about(tx, builds=ids, runs=ids, decisions=ids)


def test_one_check_run_goes_from_queued_to_its_end_and_says_why_it_failed(
    place: Installation, server: Server, worker: StatusWorker, double: GitHub
) -> None:
    place.job()
    place.push(None, A)
    server.intake.step()
    tell(worker)
    [check] = double.checks
    assert (check["name"], check["head_sha"], check["status"]) == ("jobyard/report", A, "queued")
    assert (check["external_id"], check["details_url"]) == ("build 1", f"{PUBLIC}/builds/1")

    place.backend.before_end[A] = fail(BuildFailed("Step 2 of 3 failed: exit 1."))
    server.builder.step()
    tell(worker)
    [check] = double.checks
    assert (check["status"], check["conclusion"]) == ("completed", "failure")
    assert "Step 2 of 3 failed: exit 1." in check["output"]["title"]
    assert check["output"]["summary"].endswith("```text\n#1 FROM busybox\n```")
    assert statuses(place)[0].said == ""


def test_what_is_skipped_is_a_check_that_lets_required_ones_pass(
    place: Installation, server: Server, worker: StatusWorker, double: GitHub
) -> None:
    place.job(ci_enabled=False)
    place.push(None, A)
    server.intake.step()
    tell(worker)
    [check] = double.checks
    assert (check["status"], check["conclusion"]) == ("completed", "skipped")
    assert check["output"]["summary"] == statuses(place)[0].noted


def test_an_app_that_may_not_show_checks_posts_statuses(
    place: Installation, server: Server, worker: StatusWorker, double: GitHub
) -> None:
    double.permissions = {"contents": "read", "metadata": "read", "statuses": "write"}
    place.job()
    place.push(None, A)
    server.intake.step()
    tell(worker)
    assert [body["state"] for path, body in double.posted if path.endswith(A)] == ["pending"]


def test_a_suspended_app_is_told_of_and_nothing_more_is_tried(
    place: Installation, server: Server, worker: StatusWorker, double: GitHub
) -> None:
    double.is_suspended = True
    place.job()
    place.push(None, A)
    server.intake.step()
    tell(worker)
    [status] = statuses(place)
    assert (status.is_given_up, status.said) == (
        True,
        "The installation of GitHub App octo on acme is suspended: unsuspend it at GitHub.",
    )


def asked(**fields: Any) -> Any:
    status = CommitStatus("jobyard/report", StatusState.ERROR, "Build 7 was cancelled.", sentence="Build 7 …")
    return GitHubChecks().status(Access("https://x", "t"), "acme/report", A, replace(status, **fields))


def test_what_was_not_carried_to_its_end_is_cancelled_and_a_later_post_changes_the_same() -> None:
    request = asked()
    assert (request.method, request.url) == ("POST", "https://x/repos/acme/report/check-runs")
    assert request.json["conclusion"] == "cancelled"
    again = asked(posted_as="12")
    assert (again.method, again.url) == ("PATCH", "https://x/repos/acme/report/check-runs/12")
    assert "head_sha" not in again.json
    fenced = asked(lines=["````text", "x"]).json["output"]["summary"]
    assert fenced.endswith("`````text\n````text\nx\n`````")


def rerequested(place: Installation, server: Server, event: str = "check_run", **fields: Any) -> str:
    """Somebody presses GitHub's button; what came of it."""
    about = {"head_sha": A, "name": "jobyard/report", **fields}
    repository = {"full_name": "acme/report", "clone_url": URL}
    payload = {"action": "rerequested", event: about, "repository": repository}
    with place.db.read() as tx:
        guid = f"again-{len(deliveries.page(tx, 100))}"
    body = json.dumps(payload).encode()
    scopes = (f"project:{place.project.id}",)
    now = place.clock.now()
    deliveries.record(place.db, [NewDelivery("github", guid, event, False, scopes, body, "acme/report", now)])
    assert server.intake.step()
    with place.db.read() as tx:
        found = deliveries.find(tx, guid, "github")
    assert found.status == ("failed" if about["head_sha"] is None else "processed")
    return found.sentence


def test_githubs_button_starts_what_the_page_would(
    place: Installation, server: Server, worker: StatusWorker, double: GitHub
) -> None:
    place.job()
    place.push(None, A)
    server.intake.step()
    place.backend.before_end[A] = fail(BuildFailed("no such package"))
    server.builder.step()
    tell(worker)
    assert rerequested(place, server) == "Build 1 is made again as build 2."
    with place.db.read() as tx:
        assert builds.with_id(tx, 2).trigger.by == "somebody at GitHub"
    tell(worker)
    assert [each["status"] for each in double.checks] == ["completed", "queued"]
    server.builder.step()
    tell(worker)
    assert [each["status"] for each in double.checks] == ["completed", "queued"]
    assert "report-00001" in double.checks[-1]["output"]["title"]  # the run that the second build started
    assert rerequested(place, server) == "Run report-00001 is started again as report-00002."
    nothing = f"Nothing of commit {A[:7]} is there that could be started again."
    assert rerequested(place, server, event="check_suite") == nothing  # nothing failed
    assert rerequested(place, server, head_sha="f" * 40) == nothing.replace(A[:7], "fffffff")


def test_what_was_skipped_has_nothing_to_start_again(
    place: Installation, server: Server, worker: StatusWorker
) -> None:
    place.job(ci_enabled=False)
    place.push(None, A)
    server.intake.step()
    tell(worker)
    assert rerequested(place, server) == (
        "Nothing was built or run for jobyard/report, so nothing is started again."
    )


def test_a_build_of_a_pull_request_is_not_made_again_with_secrets(
    place: Installation, server: Server, worker: StatusWorker
) -> None:
    place.job()
    place.push(None, A)
    server.intake.step()
    tell(worker)
    said = rerequested(place, server, head_sha=None)
    assert said == "The payload's check_run.head_sha must be a commit."
    with place.db.write() as tx:
        tx.connection().execute(text("UPDATE job SET deleted_at = created_at"))
    assert rerequested(place, server).startswith("jobyard/report is not started again: ")
    with place.db.write() as tx:
        tx.connection().execute(text("UPDATE job SET deleted_at = NULL"))
        tx.connection().execute(text("UPDATE build SET ref = 'refs/pull/7/merge'"))
    assert rerequested(place, server) == (
        "Build 1 is of no branch: replay its delivery to have it built again."
    )
