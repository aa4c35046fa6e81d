"""Images that the engine lost are built again from their commits for the runs that need them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from app.commands.continuous_delivery import cancel_build
from app.commands.runs import cancel_run, run_again
from app.domain.builds import Build, BuildReason
from app.domain.errors import GitUnavailable
from app.domain.job.spec import RunOnImageChange
from app.domain.runs import Reason, RunStatus, TriggerType
from app.store import builds, jobs
from app.workers.clock_changes import ClockChanges
from app.workers.scheduler import Scheduler
from builders.backends.base import BuildFailed
from tests.support.fakes import commit, fail, image_of
from tests.support.gone_images import BY_ADA, built, deployed, lose, of_gone, run_now, start
from tests.support.installation import Installation
from tests.support.loops import Server
from tests.support.samples import settings_of

A, B, C = (commit(letter) for letter in "abc")
ON_BOTH = pytest.mark.parametrize("place", ["sqlite", "postgresql"], indirect=True)


def last_build(place: Installation) -> Build:
    return place.builds()[-1]


def test_a_run_waits_for_its_image_and_then_runs(place: Installation, server: Server) -> None:
    job = built(place, server, A, B)
    lose(place, image_of(B))
    start(place, job)
    server.runner.step()
    waits = run_now(place)
    assert (waits.status, waits.sentence) == (
        RunStatus.QUEUED,
        f"Its image is gone; build 3 makes it again from {B[:7]}.",
    )
    assert (waits.attempts, waits.active, waits.failed, waits.awaited_build_id) == (0, 0, 0, 3)
    assert not server.runner.step(), "it waits for the build, not for a time"
    server.builder.step()
    again = last_build(place)
    assert (again.sha, again.rebuild_of, again.digest) == (B, 2, image_of(B, 1))
    assert server.runner.step()
    ended = run_now(place)
    assert (ended.status, ended.attempts, ended.digest) == (RunStatus.SUCCEEDED, 1, image_of(B, 1))
    assert (ended.build_id, ended.sha) == (3, B)
    assert deployed(place, job) == (image_of(B, 1), 3, B)
    assert of_gone(place) == [("run", "report", "queued"), ("build", "report", "deployed")]
    sentence = f"The image it had is gone; build 3 made it again from {B[:7]}, and it has that now."
    assert place.decisions()[-1].sentence == sentence
    start(place, job)
    server.work()
    assert (run_now(place).digest, len(place.builds()), len(place.runs())) == (image_of(B, 1), 3, 2)


def test_what_is_made_again_as_the_very_same_image_is_deployed_as_well(
    place: Installation, server: Server
) -> None:
    """Engines make the same of the same, down to the digest, where nothing in it has a time of its own."""
    job = built(place, server, A)
    lose(place, image_of(A))
    start(place, job)
    server.runner.step()
    place.engine.with_image(image_of(A))
    server.work()
    assert (run_now(place).status, run_now(place).digest) == (RunStatus.SUCCEEDED, image_of(A))
    assert (run_now(place).build_id, deployed(place, job)) == (2, (image_of(A), 2, A))
    assert of_gone(place) == [("run", "report", "queued"), ("build", "report", "deployed")]


@ON_BOTH
def test_all_who_need_it_wait_for_one_build_whatever_starts_them(place: Installation, server: Server) -> None:
    job = built(place, server, A)
    other = place.job("other", source={"type": "none"})
    with place.db.write() as tx:
        has = place.job_now(job).deployed
        assert has is not None
        jobs.deploy(tx, other.id, has)
    lose(place, image_of(A))
    second = place.server("two", alone=False)
    for which in (job, other, job):
        start(place, which)
    for each in (server, second, server):
        each.runner.step()
    assert [run.awaited_build_id for run in place.runs()] == [2, 2, 2]
    second.work()
    assert [(run.status, run.digest) for run in place.runs()] == [(RunStatus.SUCCEEDED, image_of(A, 1))] * 3
    assert [build.id for build in place.builds()] == [1, 2]
    assert deployed(place, other) == deployed(place, job) == (image_of(A, 1), 2, A)
    assert set(place.world.starts.values()) == {1}


def test_a_scheduled_run_waits_as_well(place: Installation, server: Server) -> None:
    schedule = {"cron": "* * * * *", "time_zone": "UTC", "active": True, "concurrency_policy": "forbid"}
    built(place, server, A, kind="cron", schedule=schedule)
    lose(place, image_of(A))
    place.clock.advance(60)
    Scheduler(place.db, place.clock, place.names, ClockChanges(place.db, place.clock)).step()
    server.work()
    (run,) = place.runs()
    assert (run.trigger.type, run.status, run.build_id) == (TriggerType.SCHEDULE, RunStatus.SUCCEEDED, 2)


@pytest.mark.parametrize("changes", [{}, {"cd_enabled": False}, {"paused": True}], ids=str)
def test_what_is_deployed_moves_without_the_rules_for_images(
    place: Installation, server: Server, changes: dict[str, Any]
) -> None:
    """It is of the same commit: nothing runs because of it, and no switch holds it back."""
    job = built(place, server, A)
    with place.db.write() as tx:
        spec = replace(place.job_now(job).spec, run_on_image_change=RunOnImageChange.ALWAYS, **changes)
        jobs.redefine(tx, job.id, spec, settings_of(job), place.clock.now())
    lose(place, image_of(A))
    start(place, job, confirm_paused=True)
    server.work()
    assert deployed(place, job) == (image_of(A, 1), 2, A)
    assert len(place.runs()) == 1


def test_an_older_build_never_wins_by_it(place: Installation, server: Server) -> None:
    job = built(place, server, A)
    start(place, job)
    server.work()
    place.push(A, B)
    server.work()
    lose(place, image_of(A))
    with place.db.write() as tx:
        run_again(tx, place.names, run_now(place), "same", BY_ADA, place.clock.now(), confirm_paused=False)
    server.work()
    assert (run_now(place).status, run_now(place).sha) == (RunStatus.SUCCEEDED, A)
    assert deployed(place, job) == (image_of(B), 2, B)
    assert of_gone(place) == [("run", "report", "queued")]
    place.push(B, C)
    server.work()
    assert deployed(place, job)[2] == C


@ON_BOTH
def test_what_was_made_again_before_is_taken_at_once(place: Installation, server: Server) -> None:
    job = built(place, server, A)
    start(place, job)
    server.work()
    lose(place, image_of(A))
    start(place, job)
    server.work()
    with place.db.write() as tx:
        first = place.runs()[0]
        run_again(tx, place.names, first, "same", BY_ADA, place.clock.now(), confirm_paused=False)
    server.work()
    assert (run_now(place).status, run_now(place).build_id, len(place.builds())) == (
        RunStatus.SUCCEEDED,
        2,
        2,
    )
    decision = place.decisions()[-1]
    assert (decision.verdict, decision.sentence) == (
        "built",
        f"Its image is gone; build 2 made it again from {A[:7]}.",
    )
    lose(place, image_of(A, 1))
    with place.db.write() as tx:
        run_again(tx, place.names, first, "same", BY_ADA, place.clock.now(), confirm_paused=False)
    server.work()
    assert (run_now(place).status, run_now(place).build_id) == (RunStatus.SUCCEEDED, 3)
    assert deployed(place, job) == (image_of(A, 2), 3, A)


def test_a_build_of_the_same_that_somebody_asked_for_is_taken(place: Installation, server: Server) -> None:
    """It has the same key: a push told of the commit once more, with CD off."""
    job = built(place, server, A)
    with place.db.write() as tx:
        jobs.set_cd(tx, job.id, enabled=False, now=place.clock.now())
    place.push(A, B)
    place.push(B, A)
    server.work()
    lose(place, image_of(A))
    place.push(A, B, guid="again")
    place.push(B, A, guid="and again")
    server.work()
    start(place, job)
    server.work()
    last = [build.sha for build in place.builds()]
    assert (run_now(place).status, last.count(A), place.builds()[-1].rebuild_of) == (
        RunStatus.SUCCEEDED,
        3,
        None,
    )
    assert run_now(place).build_id == max(build.id for build in place.builds() if build.sha == A)
    assert deployed(place, job)[2] == A


@ON_BOTH
def test_a_rebuild_that_fails_is_why_the_run_fails(place: Installation, server: Server) -> None:
    job = built(place, server, A, retry_limit=3)
    lose(place, image_of(A))
    place.backend.before_end[A] = fail(BuildFailed("Step 3 failed with exit code 1."))
    start(place, job)
    server.work()
    run = run_now(place)
    assert (run.status, run.reason, run.attempts) == (RunStatus.FAILED, Reason.IMAGE_UNAVAILABLE, 0)
    assert run.sentence == (
        f"Its image is gone, and build 2, which was to make it again from {A[:7]}, failed:"
        " Step 3 failed with exit code 1."
    )
    assert of_gone(place) == [("run", "report", "queued"), ("build", "report", "skipped")]
    assert place.decisions()[-1].sentence == (
        f"Build 2, which was to make its image again from {A[:7]}, failed: the image that is deployed is gone, and the"
        " next run asks for it again."
    )
    assert deployed(place, job) == (image_of(A), 1, A)
    start(place, job)
    server.work()
    assert (run_now(place).status, run_now(place).build_id) == (RunStatus.SUCCEEDED, 3)


def test_a_rebuild_that_is_cancelled_is_said(place: Installation, server: Server) -> None:
    job = built(place, server, A)
    lose(place, image_of(A))
    start(place, job)
    server.runner.step()
    with place.db.write() as tx:
        cancel_build(
            tx,
            place.names,
            builds.with_id(tx, 2),
            BuildReason.CANCELLED,
            "Cancelled by bob.",
            place.clock.now(),
        )
    server.work()
    assert run_now(place).sentence.endswith("was cancelled: Cancelled by bob.")


def test_a_git_server_that_is_away_makes_it_wait(place: Installation, server: Server) -> None:
    job = built(place, server, A)
    lose(place, image_of(A))
    place.repository.faults = [GitUnavailable("github.com does not answer.")] * 5
    start(place, job)
    server.work(rounds=60)
    assert (run_now(place).status, run_now(place).build_id) == (RunStatus.SUCCEEDED, 2)


def test_a_run_that_waits_can_be_cancelled(place: Installation, server: Server) -> None:
    job = built(place, server, A)
    lose(place, image_of(A))
    start(place, job)
    server.runner.step()
    with place.db.write() as tx:
        cancel_run(tx, run_now(place), "ada", place.clock.now())
    assert run_now(place).status is RunStatus.CANCELLED
    server.work()
    assert (run_now(place).status, run_now(place).sentence) == (RunStatus.CANCELLED, "Cancelled by ada.")
    assert deployed(place, job) == (image_of(A, 1), 2, A)
    assert not place.world.starts


def test_all_instances_wait_together(place: Installation, server: Server) -> None:
    job = built(place, server, A, instances=3)
    lose(place, image_of(A))
    start(place, job)
    server.work()
    assert (run_now(place).status, run_now(place).attempts) == (RunStatus.SUCCEEDED, 1)
    assert sorted(place.world.starts.values()) == [1, 1, 1]
