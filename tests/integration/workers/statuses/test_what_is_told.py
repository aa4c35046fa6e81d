"""What the commits of pushes are said to be at their forge, from the push to the end of the run."""

from __future__ import annotations

from typing import Any

import pytest

from app.commands.builds import request_build
from app.commands.continuous_delivery import cancel_build
from app.commands.runs import run_again
from app.domain.builds import BuildReason
from app.domain.commit_statuses import Statuses
from app.domain.runs import Trigger, TriggerType
from app.store import projects
from tests.support.api import Caller
from tests.support.fakes import commit
from tests.support.github_api import GitHubDouble
from tests.support.installation import Installation
from tests.support.loops import Server
from tests.support.samples import URL
from tests.support.told_forge import PUBLIC_URL, ToldForge

A, B = commit("a"), commit("b")
REPORT = "jobyard/report"


def set_to(place: Installation, statuses: Statuses) -> None:
    with place.db.write() as tx:
        projects.set_commit_statuses(tx, place.project.id, statuses)


def test_a_push_is_pending_from_its_decision_to_the_end_of_its_run(
    place: Installation, server: Server, github: GitHubDouble, told: ToldForge
) -> None:
    place.job()
    place.push(None, A)
    server.intake.step()
    told.tell()
    assert github.shown(A) == {REPORT: ("pending", "Build 1 is queued.", f"{PUBLIC_URL}/builds/1")}
    server.builder.step()
    told.tell()
    (run,) = place.runs()
    assert github.shown(A) == {REPORT: ("pending", f"Run {run.name} is queued.", f"{PUBLIC_URL}/runs/1")}
    server.work()
    told.tell()
    assert github.shown(A) == {REPORT: ("success", f"Run {run.name} succeeded.", f"{PUBLIC_URL}/runs/1")}
    assert github.states() == ["pending", "pending", "success"]


def test_of_a_burst_only_the_end_is_posted(
    place: Installation, server: Server, github: GitHubDouble, told: ToldForge
) -> None:
    place.job()
    place.push(None, A)
    server.work()
    told.tell()
    assert github.states() == ["success"]


def test_what_is_not_built_is_success_with_the_reason(
    place: Installation, server: Server, github: GitHubDouble, told: ToldForge
) -> None:
    place.job(source__branch="main")
    place.push(None, A, ref="refs/heads/feature")
    server.work()
    told.tell()
    page = f"{PUBLIC_URL}/projects/reports/jobs/report/decisions"
    assert github.shown(A) == {
        REPORT: ("success", f"Push of {A[:7]} to feature: only main is tracked.", page)
    }


def test_a_repository_s_own_file_that_is_wrong_is_a_failure(
    place: Installation, server: Server, github: GitHubDouble, told: ToldForge
) -> None:
    place.repository.files[A] = {"jobyard.yaml": "jobs: []"}
    service = {"name": "images", "git": {"url": URL}, "config_file": True}
    Caller(place.web).made("/projects/reports/build-services", service)
    place.push(None, A)
    server.work()
    told.tell()
    [(state, sentence, _)] = github.shown(A).values()
    assert (state, sentence) == (
        "failure",
        f"jobyard.yaml at {A[:7]} is wrong, so nothing is built: line 1: jobs must not be empty.",
    )


def test_a_skip_takes_the_place_of_no_build(
    place: Installation, server: Server, github: GitHubDouble, told: ToldForge
) -> None:
    place.job()
    place.push(None, A, ref="refs/heads/feature", guid="one")
    server.work()
    place.push(None, A, guid="two")
    server.intake.step()
    told.tell()
    assert github.states() == ["pending"], "the commit is built on main"
    place.push(None, A, ref="refs/heads/other", guid="three")
    server.intake.step()
    told.tell()
    assert github.states() == ["pending"]


def test_tags_and_deleted_branches_have_no_status(
    place: Installation, server: Server, github: GitHubDouble, told: ToldForge
) -> None:
    place.job()
    place.push(None, A, ref="refs/tags/v1")
    place.push(A, None)
    server.work()
    told.tell()
    assert github.posted == []


def test_each_job_has_its_own(
    place: Installation, server: Server, github: GitHubDouble, told: ToldForge
) -> None:
    place.job()
    place.job("other", build__paths=["docs/**"], build__paths_mode="allow")
    place.push(None, A)
    place.push(A, B)
    server.work()
    told.tell()
    assert {context: each[0] for context, each in github.shown(B).items()} == {
        REPORT: "success",
        "jobyard/other": "success",
    }
    assert "jobyard/other" in github.shown(B)


def test_a_build_that_is_called_off_is_no_success(
    place: Installation, server: Server, github: GitHubDouble, told: ToldForge
) -> None:
    place.job()
    place.push(None, A)
    server.intake.step()
    (build,) = place.builds()
    with place.db.write() as tx:
        cancel_build(
            tx,
            place.names,
            build,
            BuildReason.SUPERSEDED,
            "Superseded by build 2 of a newer push.",
            place.clock.now(),
        )
    told.tell()
    said = "Build 1 was cancelled: Superseded by build 2 of a newer push."
    assert github.shown(A) == {REPORT: ("error", said, f"{PUBLIC_URL}/builds/1")}


def test_two_statuses_where_the_project_wants_two(
    place: Installation, server: Server, github: GitHubDouble, told: ToldForge
) -> None:
    set_to(place, Statuses.TWO)
    place.job()
    place.push(None, A)
    server.intake.step()
    told.tell()
    of_build = f"{PUBLIC_URL}/builds/1"
    assert github.shown(A) == {
        REPORT: ("pending", "Build 1 is queued.", of_build),
        f"{REPORT}/run": ("pending", "The run waits for build 1.", of_build),
    }
    server.work()
    told.tell()
    (run,) = place.runs()
    assert github.shown(A) == {
        REPORT: ("success", "Build 1 succeeded.", of_build),
        f"{REPORT}/run": ("success", f"Run {run.name} succeeded.", f"{PUBLIC_URL}/runs/1"),
    }


def test_nothing_is_kept_where_statuses_are_off(
    place: Installation, server: Server, github: GitHubDouble, told: ToldForge
) -> None:
    set_to(place, Statuses.OFF)
    place.job()
    place.push(None, A)
    server.work()
    told.tell()
    assert github.asked == []
    assert told.statuses() == []


def test_a_build_by_hand_moves_the_status_again(
    place: Installation, server: Server, github: GitHubDouble, told: ToldForge
) -> None:
    job = place.job()
    place.push(None, A)
    server.work()
    told.tell()
    with place.db.write() as tx:
        request_build(tx, place.job_now(job), sha=A, branch=None, who="ada", now=place.clock.now())
    told.tell()
    assert github.shown(A)[REPORT][:2] == ("pending", "Build 2 is queued.")
    server.work()
    told.tell()
    assert github.shown(A)[REPORT][0] == "success"
    assert github.shown(A)[REPORT][2] == f"{PUBLIC_URL}/runs/2"


def test_a_build_of_a_branch_s_head_by_hand_is_pending_from_when_its_commit_is_known(
    place: Installation, server: Server, github: GitHubDouble, told: ToldForge
) -> None:
    job = place.job()
    place.repository.history.append(A)
    with place.db.write() as tx:
        request_build(tx, place.job_now(job), sha=None, branch=None, who="ada", now=place.clock.now())
    seen = []

    def look(_should_stop: object) -> None:
        told.tell()
        seen.append(github.shown(A)[REPORT][:2])

    place.backend.before_end[A].append(look)
    server.work()
    told.tell()
    assert seen == [("pending", "Build 1 is running.")]
    assert github.shown(A)[REPORT][0] == "success"


def test_a_build_of_a_branch_s_head_that_nothing_can_be_planned_for_is_a_failure(
    place: Installation, server: Server, github: GitHubDouble, told: ToldForge
) -> None:
    job = place.job()
    place.repository.history.append(A)
    place.repository.files[A] = {}
    with place.db.write() as tx:
        request_build(tx, place.job_now(job), sha=None, branch=None, who="ada", now=place.clock.now())
    server.work()
    told.tell()
    state, sentence, _ = github.shown(A)[REPORT]
    assert (state, sentence.startswith("Build 1 failed")) == ("failure", True)


def test_a_run_of_what_is_deployed_by_now_says_nothing_of_an_older_commit(
    place: Installation, server: Server, github: GitHubDouble, told: ToldForge
) -> None:
    place.job()
    place.push(None, A)
    server.work()
    first, *_ = place.runs()
    place.push(A, B)
    server.work()
    told.tell()
    before = github.shown(A)[REPORT]
    with place.db.write() as tx:
        trigger = Trigger(TriggerType.API, "ada")
        run_again(tx, place.names, first, "current", trigger, place.clock.now(), confirm_paused=False)
    told.tell()
    assert github.shown(A)[REPORT] == before


@pytest.mark.parametrize("config", ["same", "current"])
def test_a_run_started_again_moves_the_status_again(
    place: Installation, server: Server, github: GitHubDouble, told: ToldForge, config: Any
) -> None:
    place.job()
    place.push(None, A)
    server.work()
    told.tell()
    (run,) = place.runs()
    trigger = Trigger(TriggerType.API, "ada")
    with place.db.write() as tx:
        run_again(tx, place.names, run, config, trigger, place.clock.now(), confirm_paused=False)
    told.tell()
    again = place.runs()[-1]
    assert github.shown(A)[REPORT][:2] == ("pending", f"Run {again.name} is queued.")
    server.work()
    told.tell()
    assert github.shown(A)[REPORT][:2] == ("success", f"Run {again.name} succeeded.")


def test_where_nothing_runs_the_decision_about_the_image_is_told(
    place: Installation, server: Server, github: GitHubDouble, told: ToldForge
) -> None:
    place.job(run_on_image_change="never")
    place.push(None, A)
    server.work()
    told.tell()
    decided = next(each for each in place.decisions() if each.event_type == "build")
    assert github.shown(A) == {REPORT: ("success", decided.sentence, f"{PUBLIC_URL}/builds/1")}


def test_a_job_of_an_app_waits_for_the_deployment(
    place: Installation, server: Server, github: GitHubDouble, told: ToldForge
) -> None:
    place.app("shop", place.job())
    place.push(None, A)
    server.intake.step()
    server.builder.step()
    told.tell()
    assert github.shown(A) == {
        REPORT: ("pending", "Deployment 1 is under way.", f"{PUBLIC_URL}/deployments/1")
    }
    server.work()
    told.tell()
    (run,) = place.runs()
    assert github.shown(A)[REPORT][:2] == ("success", f"Run {run.name} succeeded.")


def test_projects_that_share_a_repository_have_statuses_of_their_own(
    place: Installation, server: Server, github: GitHubDouble, told: ToldForge
) -> None:
    with place.db.write() as tx:
        other = projects.create(tx, "staging", None, place.clock.now())
    place.job()
    place.job(project_id=other.id)
    place.project = other
    told.allow()
    scopes: Any = [f"project:{each}" for each in (1, other.id)]
    place.push(None, A, scopes=scopes)
    server.work()
    told.tell()
    assert sorted(github.shown(A)) == [REPORT, "jobyard/staging/report"]


def test_a_build_that_is_removed_before_its_end_is_told(
    place: Installation, server: Server, github: GitHubDouble, told: ToldForge
) -> None:
    place.job()
    place.push(None, A)
    server.intake.step()
    with place.db.write() as tx:
        tx.connection().exec_driver_sql("DELETE FROM decision")
        tx.connection().exec_driver_sql("DELETE FROM build")
    told.tell()
    said = "What became of build 1 is not known any more: it was removed."
    assert github.shown(A)[REPORT][:2] == ("error", said)
