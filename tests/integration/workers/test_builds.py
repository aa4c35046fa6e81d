"""A build from its queue to its end, whatever happens meanwhile: loops stepped by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.domain.builds import BuildReason, BuildStatus
from app.domain.errors import EngineUnavailable, GitUnavailable, UserError
from app.domain.runs import RunStatus
from app.domain.sealing import Owner
from app.store import builds, jobs
from builders.backends.base import BuildFailed, BuildTimedOut, StopSignal
from tests.support.fakes import commit, fail
from tests.support.installation import Installation
from tests.support.loops import Server
from tests.support.samples import settings_of

A, B, C, D = (commit(letter) for letter in "abcd")


def test_a_build_that_is_being_cancelled_is_not_joined(place: Installation, server: Server) -> None:
    place.job("report")

    def cancel_and_push_again(_: StopSignal) -> None:
        with place.db.write() as tx:
            builds.cancel(
                tx, builds.with_id(tx, 1), BuildReason.CANCELLED, "Cancelled by ada.", place.clock.now()
            )
        place.push(B, A, guid="back", forced=True)
        place.push(A, B, guid="forth")
        server.intake.step()
        server.intake.step()
        server.watcher.step()

    place.backend.before_end[B].append(cancel_and_push_again)
    place.push(A, B, guid="hook-1")
    server.work()
    assert [build.status for build in place.builds() if build.sha == B] == ["cancelled", "succeeded"]


def test_the_engine_is_confined_before_each_build(place: Installation, server: Server) -> None:
    place.job()
    built: list[int] = []
    server.builder = replace(server.builder, confine=lambda: built.append(len(place.backend.requests)))
    place.push(A, B)
    server.work()
    place.push(B, C)
    server.work()
    assert built == [0, 1]


def test_an_engine_that_can_not_be_asked_to_confine_is_an_outage(place: Installation, server: Server) -> None:
    place.job()

    def lost() -> None:
        raise EngineUnavailable("The container engine does not answer.")

    server.builder = replace(server.builder, confine=lost)
    place.push(A, B)
    server.intake.step()
    server.builder.step()
    (build,) = place.builds()
    assert build.status is BuildStatus.QUEUED
    assert "The container engine does not answer." in build.sentence
    assert place.backend.requests == []


def test_an_old_slow_build_never_overtakes(place: Installation, server: Server) -> None:
    job = place.job()
    place.push(A, B)
    place.push(B, C)
    server.intake.step()
    server.intake.step()
    place.backend.before_end[B].append(lambda _: server.builder.step())  # C's build ends while B's goes on
    server.work()
    deployed = place.job_now(job).deployed
    assert deployed is not None
    assert deployed.sha == C
    assert [run.sha for run in place.runs()] == [C]
    last = place.decisions()[-1]
    assert (last.verdict, last.rule) == ("available", "older_build")
    assert f"Build 1 of {B[:7]} succeeded: the newer commit {C[:7]} is deployed already" in last.sentence


def test_a_push_heard_of_late_does_not_overtake(place: Installation, server: Server) -> None:
    """The deliveries of three pushes arrive as 3, 1, 2: Git knows that the first two are contained in the third."""
    job = place.job()
    place.repository.history = [A, B, C, D]
    for before, after in ((C, D), (A, B), (B, C)):
        place.push(before, after)
        server.work()
    deployed = place.job_now(job).deployed
    assert deployed is not None
    assert deployed.sha == D
    assert [run.sha for run in place.runs()] == [D]


def test_only_older_queued_builds_are_superseded(place: Installation, server: Server) -> None:
    job = place.job(source__builds_in_flight="latest", run_on_image_change="never")
    place.repository.history = [A, B, C, D]
    for before, after in ((C, D), (B, C), (A, B)):  # the newest is heard of first
        place.push(before, after)
        server.intake.step()
    assert {build.sha: build.status for build in place.builds()}[D] == BuildStatus.QUEUED
    server.work()
    deployed = place.job_now(job).deployed
    assert deployed is not None
    assert deployed.sha == D


def test_a_superseded_build_is_decided_for_its_jobs(place: Installation, server: Server) -> None:
    place.job(source__builds_in_flight="latest")
    place.push(A, B)
    place.push(B, C)
    server.intake.step()
    server.intake.step()
    old, new = place.builds()
    assert (old.status, old.reason, new.status) == (
        BuildStatus.CANCELLED,
        BuildReason.SUPERSEDED,
        BuildStatus.QUEUED,
    )
    assert ("build", "report", "skipped", "build_failed") in place.verdicts()


@pytest.mark.parametrize(("policy", "waiting"), [("latest", [C]), ("all", [B, C])])
def test_a_build_that_jobs_share_is_superseded_for_all_or_none(
    place: Installation, server: Server, policy: str, waiting: list[str]
) -> None:
    place.job("first", source__builds_in_flight="latest")
    place.job("second", source__builds_in_flight=policy)
    place.push(A, B)
    place.push(B, C)
    server.intake.step()
    server.intake.step()
    assert [build.sha for build in place.builds() if build.status is BuildStatus.QUEUED] == waiting
    dropped = [build.reason for build in place.builds() if build.status is BuildStatus.CANCELLED]
    assert dropped == [BuildReason.SUPERSEDED] * (2 - len(waiting))


@pytest.mark.parametrize(
    ("error", "reason", "sentence"),
    [
        (BuildFailed("Step 2 of 3 failed: exit 1."), "build_failed", "Step 2 of 3 failed: exit 1."),
        (BuildTimedOut(), "time_limit", "The build's time limit of 3600 s passed."),
        (RuntimeError("a bug"), "engine_failed", "Jobyard failed while building"),
    ],
)
def test_a_failed_build_is_said_where_the_user_looks(
    place: Installation, server: Server, error: Exception, reason: str, sentence: str
) -> None:
    job = place.job()
    place.push(A, B)
    server.work()
    place.backend.before_end[C] = fail(error)
    place.push(B, C)
    server.work()
    failed = place.builds()[-1]
    assert (failed.status, failed.reason) == (BuildStatus.FAILED, reason)
    assert failed.sentence.startswith(sentence)
    assert sentence.encode() in place.build_log(failed)
    assert place.verdicts()[-1] == ("build", "report", "skipped", "build_failed")
    deployed = place.job_now(job).deployed
    assert deployed is not None
    assert deployed.sha == B
    assert len(place.runs()) == 1


def test_an_unrecognised_repository_says_what_was_looked_for(place: Installation, server: Server) -> None:
    place.job()
    place.repository.files[B] = {"README.md": "nothing to run"}
    place.push(A, B)
    server.work()
    (build,) = place.builds()
    assert (build.status, build.reason) == (BuildStatus.FAILED, BuildReason.NOT_RECOGNISED)
    assert build.sentence.encode() in place.build_log(build)


def test_a_commit_that_is_gone_is_not_asked_for_again(place: Installation, server: Server) -> None:
    place.job()
    place.repository.faults = [UserError("There is no commit b.")]
    place.push(A, B)
    server.work()
    assert (place.builds()[0].status, place.builds()[0].tries) == (BuildStatus.FAILED, 0)


def test_a_queued_build_is_cancelled_at_once(place: Installation, server: Server) -> None:
    place.job()
    place.push(A, B)
    server.intake.step()
    with place.db.write() as tx:
        builds.cancel(
            tx, builds.with_id(tx, 1), BuildReason.CANCELLED, "Cancelled by ada.", place.clock.now()
        )
    server.work()
    assert place.builds()[0].status is BuildStatus.CANCELLED
    assert place.backend.requests == []


def test_a_running_build_is_cancelled(place: Installation, server: Server) -> None:
    def cancel(stop: StopSignal) -> None:
        with place.db.write() as tx:
            builds.cancel(
                tx, builds.with_id(tx, 1), BuildReason.CANCELLED, "Cancelled by ada.", place.clock.now()
            )
        server.watcher.step()
        assert stop.is_set()

    place.job()
    place.backend.before_end[B].append(cancel)
    place.push(A, B)
    server.work()
    (build,) = place.builds()
    assert (build.status, build.sentence) == (BuildStatus.CANCELLED, "Cancelled by ada.")
    assert place.verdicts()[-1] == ("build", "report", "skipped", "build_failed")
    assert place.runs() == []


def test_a_cancelled_build_is_not_tried_again(place: Installation, server: Server) -> None:
    def cancel(_: StopSignal) -> None:
        with place.db.write() as tx:
            builds.cancel(
                tx, builds.with_id(tx, 1), BuildReason.CANCELLED, "Cancelled by ada.", place.clock.now()
            )
        raise GitUnavailable("github.com does not answer.")

    place.job()
    place.backend.before_end[B].append(cancel)
    place.push(A, B)
    server.work()
    assert place.builds()[0].status is BuildStatus.CANCELLED
    assert place.backend.built[B] == 0


def test_a_changed_branch_is_said_and_not_deployed(place: Installation, server: Server) -> None:
    job = place.job()
    place.push(A, B)
    server.intake.step()
    with place.db.write() as tx:
        source = settings_of(job, url="https://github.com/acme/report.git", branch="release")
        jobs.redefine(tx, job.id, job.spec, source, place.clock.now())
    server.work()
    assert place.job_now(job).deployed is None
    decision = place.decisions()[-1]
    assert (decision.verdict, decision.rule) == ("available", "other_branch")


def test_a_store_that_fails_while_a_build_ends_does_not_lose_it(
    place: Installation, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.job()
    place.push(A, B)
    server.intake.step()
    with monkeypatch.context() as patched:
        patched.setattr("app.workers.build.builder.after_build", None)
        with pytest.raises(TypeError):
            server.builder.step()
    assert place.builds()[0].status is BuildStatus.RUNNING
    server.work()
    assert [run.status for run in place.runs()] == [RunStatus.SUCCEEDED]


def test_what_a_step_said_is_told_without_secrets(place: Installation, server: Server) -> None:
    sealed = place.box.seal("hunter22hunter22", Owner.group(place.project.id, 1).variable("TOKEN"))
    place.job(env={"TOKEN": {"value": sealed, "secret": True, "scope": "build"}})
    place.backend.before_end[B] = fail(BuildFailed("It failed: error: 401 for hunter22hunter22."))
    place.push(A, B)
    server.work()
    [build] = place.builds()
    assert build.sentence == "It failed: error: 401 for ***."
