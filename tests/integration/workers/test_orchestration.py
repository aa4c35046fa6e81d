"""From a recorded delivery to the end of its runs: real store and rules, engine in memory, loops stepped by hand."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest

from app.domain import paths
from app.domain.builds import BuildReason, BuildStatus
from app.domain.errors import GitUnavailable, UserError
from app.domain.runs import Cancel, Reason, RunStatus
from app.engines.base import ContainerSpec, StartRefused
from app.engines.fake import Fault, Script
from app.runtime.ports import ENV_PURPOSE
from app.store import builds, jobs, projects, runs
from builders.backends.base import BuildFailed, BuildTimedOut, StopSignal
from tests.support.loops import Installation, Server, commit, fail, image_of, settings_of

A, B, C, D = (commit(letter) for letter in "abcd")


class InBackground:
    """A step that blocks as long as its container lives."""

    def __init__(self, step: Callable[[], object]) -> None:
        self._thread = threading.Thread(target=step)
        self._thread.start()

    def join(self) -> None:
        self._thread.join(10)
        assert not self._thread.is_alive()


def stop_what_has_to_end(server: Server, run: InBackground) -> None:
    """As the watcher's loop: looks again until the run is over."""
    while run._thread.is_alive():
        server.watcher.step()
        run._thread.join(0.01)


# from push to run


def test_a_push_is_built_deployed_and_run(place: Installation, server: Server) -> None:
    job = place.job(env={"GREETING": "hello", "TOKEN": {"value": "built", "scope": "build"}})
    place.engine.script("*", Script(output=[b"hello\n"]))
    guid = place.push(A, B)
    server.work()
    assert place.delivery(guid).sentence == "1 of 1 source to be built, 1 job decided."
    (build,), (run,) = place.builds(), place.runs()
    assert (build.sha, build.status, build.digest) == (B, BuildStatus.SUCCEEDED, image_of(B))
    assert (run.sha, run.image, run.build_id, run.status) == (B, image_of(B), build.id, RunStatus.SUCCEEDED)
    deployed = place.job_now(job).deployed
    assert deployed is not None
    assert (deployed.sha, deployed.build_id) == (B, build.id)
    built, started = place.decisions()
    assert built.sentence == f"Push of {B[:7]} to main: build {build.id}."
    assert (built.build_id, started.run_id) == (build.id, run.id)
    assert started.sentence == run.trigger.cause
    assert place.attempt_log(run, 1) == b"hello\n"
    assert place.backend.requests[0].build_args == {
        "TOKEN": "built",
        "JOBYARD_GIT_SHA": B,
        "JOBYARD_GIT_BRANCH": "main",
    }


def test_the_container_is_told_who_it_is(place: Installation, server: Server) -> None:
    place.job(env={"GREETING": "hello", "TOKEN": {"value": "built", "scope": "build"}}, instances=2)
    place.engine.script("*", Script(exit_code=None))
    place.push(A, B)
    server.intake.step()
    server.builder.step()
    run = InBackground(server.runner.step)
    server.until_running(2)
    env = place.engine.spec("run-1-1-1").env
    for key in place.engine.running():
        place.engine.finish(key)
    run.join()
    assert env == {
        "GREETING": "hello",
        "JOBYARD_PROJECT": "reports",
        "JOBYARD_JOB": "report",
        "JOBYARD_RUN": place.runs()[0].name,
        "JOBYARD_ATTEMPT": "1",
        "JOBYARD_INSTANCE_INDEX": "1",
        "JOBYARD_INSTANCES": "2",
        "JOBYARD_GIT_SHA": B,
        "JOBYARD_GIT_BRANCH": "main",
    }


@pytest.mark.parametrize(
    ("job", "push", "rule"),
    [
        ({"ci_enabled": False}, {}, "ci_off"),
        ({"paused": True}, {}, "paused"),
        ({}, {"ref": "refs/heads/feature"}, "other_branch"),
        ({}, {"ref": "refs/tags/v1"}, "tag"),
        ({}, {"after": None}, "deleted_ref"),
        ({}, {"messages": ("Work [skip ci]", "More work")}, "commit_flag"),
        ({"build__paths": ["docs/"]}, {"files": ("docs/a.md",)}, "paths"),
        ({"build__paths": ["src/"], "build__paths_mode": "allow"}, {"files": ("docs/a.md",)}, "paths"),
    ],
)
def test_a_push_that_is_not_built_says_why_and_does_nothing_else(
    place: Installation, server: Server, job: dict[str, object], push: dict[str, object], rule: str
) -> None:
    place.job(**job)
    guid = place.push(**{"before": A, "after": B, **push})  # type: ignore[arg-type]
    server.work()
    assert place.verdicts() == [("push", "report", "skipped", rule)]
    assert place.decisions()[0].event_id == guid
    assert place.delivery(guid).status == "processed"
    assert place.builds() == []
    assert place.runs() == []


def test_files_of_a_forced_push_are_asked_of_git(place: Installation, server: Server) -> None:
    place.job(build__paths=["docs/"])
    place.repository.differing[A, B] = frozenset({"docs/a.md"})
    place.push(A, B, forced=True)
    place.push(B, C, forced=True)  # of which Git can't say what differs: it builds
    server.intake.step()
    server.intake.step()
    assert [rule for _, _, _, rule in place.verdicts()] == ["paths", "push"]


@pytest.mark.parametrize(
    ("rules", "file"),
    [
        (["*a*a*a*a*a*ab"], "a" * 200),
        (["*_*_*_*_test.go"], "_" * 255),
        (["**/a/" * 8 + "x"], "a/" * 40 + "a"),
    ],
)
def test_path_rules_that_a_backtracking_matcher_never_ends_with(
    place: Installation, server: Server, rules: list[str], file: str
) -> None:
    place.job(build__paths=rules, build__paths_mode="allow")
    place.push(A, B, files=(file,))
    server.intake.step()
    assert [rule for _, _, _, rule in place.verdicts()] == ["paths"]


def test_path_rules_that_take_too_long_let_the_push_build_and_say_so(
    place: Installation, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "WORK", 100_000)
    place.job(build__paths=["*a*a*a*b"])
    place.push(A, B, files=("a" * 2_000, "c"))
    server.intake.step()
    (decision,) = place.decisions()
    assert (decision.verdict, decision.rule) == ("built", "paths_unmatched")
    assert "changed 2 files, too much to match with the path rules in time, so it builds" in decision.sentence


def test_a_repository_that_no_job_has_is_ignored(place: Installation, server: Server) -> None:
    place.job()
    guid = place.push(A, B, url="https://github.com/acme/other.git")
    foreign = place.push(B, C, scopes=["project:99"])
    server.work()
    assert place.delivery(guid).status == place.delivery(foreign).status == "ignored"
    assert place.decisions() == []


def test_a_payload_that_cannot_be_read_fails_with_a_sentence(place: Installation, server: Server) -> None:
    place.job()
    guid = place.push(A, B, ref="main")
    server.work()
    delivery = place.delivery(guid)
    assert (delivery.status, delivery.sentence) == (
        "failed",
        "The payload's ref must be a full ref name such as refs/heads/main.",
    )


def test_the_same_delivery_twice_is_one(place: Installation, server: Server) -> None:
    place.job()
    for _ in range(2):
        place.push(A, B, guid="same")
        server.work()
    assert len(place.builds()) == len(place.runs()) == 1
    assert len(place.decisions()) == 2


@pytest.mark.parametrize("between", [[], [(B, C)], [(B, C), (C, D)]])
def test_the_same_push_by_another_hook_is_a_duplicate(
    place: Installation, server: Server, between: list[tuple[str, str]]
) -> None:
    place.job(run_on_image_change="never")
    place.push(A, B, guid="hook-1")
    for before, after in between:
        place.push(before, after)
    again = place.push(A, B, guid="hook-2")
    server.work()
    assert len(place.builds()) == 1 + len(between)
    (decided,) = [each for each in place.decisions() if each.event_id == again]
    assert (decided.verdict, decided.rule) == ("duplicate", "same_push")


def test_jobs_with_equal_sources_share_one_build(place: Installation, server: Server) -> None:
    place.job("report")
    place.job("by-ssh", source__url="git@github.com:acme/report.git")
    place.push(A, B)
    server.work()
    assert place.backend.built[B] == 1
    assert [(run.job, run.status) for run in place.runs()] == [
        ("report", RunStatus.SUCCEEDED),
        ("by-ssh", RunStatus.SUCCEEDED),
    ]
    assert [each.verdict for each in place.decisions()] == ["built", "built", "started", "started"]


def test_jobs_with_equal_secrets_in_the_build_share_one_build(place: Installation, server: Server) -> None:
    """Although no two sealed texts are equal."""

    def token(value: str) -> dict[str, object]:
        return {"TOKEN": {"value": place.box.seal(value, ENV_PURPOSE), "secret": True, "scope": "build"}}

    place.job("report", env=token("the same"))
    place.job("again", env=token("the same"))
    place.job("other", env=token("another"))
    place.push(A, B)
    server.work()
    assert sorted(run.job for run in place.runs()) == ["again", "other", "report"]
    by_job = {run.job: run.build_id for run in place.runs()}
    assert by_job["report"] == by_job["again"] != by_job["other"]
    assert place.backend.built[B] == 2


def test_a_secret_that_cannot_be_opened_does_not_hold_up_a_push(place: Installation, server: Server) -> None:
    place.job("spoilt", env={"TOKEN": {"value": "v1.no.thing", "secret": True, "scope": "build"}})
    place.job("report")
    place.push(A, B)
    server.work()
    spoilt, sound = sorted(place.builds(), key=lambda build: build.status)
    assert (spoilt.sha, spoilt.status, sound.sha, sound.status) == (B, "failed", B, "succeeded")
    assert "JOBYARD_SECRET_KEY" in spoilt.sentence


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


# what a build meets


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


# what a run meets


def pushed_run(place: Installation, server: Server, script: Script, **job: object) -> None:
    """A push has been built, and its run is queued."""
    place.job(**job)  # type: ignore[arg-type]
    place.engine.script("*", script)
    place.push(A, B)
    server.intake.step()
    server.builder.step()


def test_a_run_is_retried_with_growing_waits(place: Installation, server: Server) -> None:
    pushed_run(place, server, Script(exit_code=4), retry_limit=3)
    waits = []
    while server.runner.step():
        (run,) = place.runs()
        if run.status is RunStatus.QUEUED:
            assert run.available_at is not None
            waits.append((run.available_at - run.updated_at).total_seconds())
            assert not server.runner.step()
            place.clock.advance(waits[-1])
    assert [round(wait) for wait in waits] == [10, 20, 40]
    (run,) = place.runs()
    assert (run.status, run.reason, run.exit_code) == (RunStatus.FAILED, Reason.EXIT_NONZERO, 4)
    assert (run.attempts, run.failed) == (4, 4)


def test_the_time_limit_covers_the_waits(place: Installation, server: Server) -> None:
    pushed_run(place, server, Script(exit_code=1), retry_limit=5, time_limit_seconds=25)
    server.work()
    (run,) = place.runs()
    assert (run.status, run.reason, run.attempts) == (RunStatus.FAILED, Reason.TIME_LIMIT, 2)
    assert run.first_started_at is not None
    assert run.finished_at is not None
    assert run.finished_at - run.first_started_at >= timedelta(seconds=25)


def test_exit_0_during_the_grace_period_is_still_the_time_limit(place: Installation, server: Server) -> None:
    pushed_run(place, server, Script(exit_code=None, on_sigterm=0), retry_limit=5, time_limit_seconds=60)
    run = InBackground(server.runner.step)
    server.until_running()
    place.clock.advance(61)
    stop_what_has_to_end(server, run)
    (ended,) = place.runs()
    assert (ended.status, ended.reason, ended.attempts) == (RunStatus.FAILED, Reason.TIME_LIMIT, 1)


@pytest.mark.parametrize("seconds", [3600, -3600])
def test_a_clock_that_is_set_is_no_time_that_a_run_has_used(
    place: Installation, server: Server, seconds: float
) -> None:
    pushed_run(place, server, Script(exit_code=None, on_sigterm=0), time_limit_seconds=600)
    run = InBackground(server.runner.step)
    server.until_running()
    server.watcher.step()
    place.clock.set_by(seconds)
    place.clock.advance(500)
    server.watcher.step()
    assert not server.runner.active.all()[0].stop_is_requested
    place.clock.advance(101)
    stop_what_has_to_end(server, run)
    (ended,) = place.runs()
    assert (ended.status, ended.reason, ended.attempts) == (RunStatus.FAILED, Reason.TIME_LIMIT, 1)


def test_a_run_that_ends_after_the_clock_was_set_forward_is_in_time(
    place: Installation, server: Server
) -> None:
    pushed_run(place, server, Script(exit_code=None, on_sigterm=0), time_limit_seconds=600)
    run = InBackground(server.runner.step)
    server.until_running()
    server.watcher.step()
    place.clock.set_by(3600)
    place.engine.stop(server.runner.active.all()[0].handles[0], 1)
    run.join()
    (ended,) = place.runs()
    assert ended.reason is not Reason.TIME_LIMIT


def cancel_run(place: Installation) -> Cancel | None:
    with place.db.write() as tx:
        asked = runs.cancel(tx, runs.with_id(tx, 1), Reason.CANCELLED, "Cancelled by ada.", place.clock.now())
    return None if asked is None else asked.cancel


def test_a_queued_run_is_cancelled_at_once(place: Installation, server: Server) -> None:
    pushed_run(place, server, Script())
    assert cancel_run(place) is Cancel.OVER
    server.work()
    assert (place.runs()[0].status, place.world.starts) == (RunStatus.CANCELLED, {})


def test_a_run_that_waits_for_its_retry_is_cancelled(place: Installation, server: Server) -> None:
    pushed_run(place, server, Script(exit_code=1), retry_limit=1)
    server.runner.step()
    assert cancel_run(place) is Cancel.OVER
    server.work()
    assert (place.runs()[0].status, place.runs()[0].attempts) == (RunStatus.CANCELLED, 1)


def test_a_running_run_is_cancelled_whatever_it_exits_with(place: Installation, server: Server) -> None:
    pushed_run(place, server, Script(exit_code=None, on_sigterm=0), retry_limit=5)
    run = InBackground(server.runner.step)
    server.until_running()
    assert cancel_run(place) is Cancel.ASKED
    stop_what_has_to_end(server, run)
    (ended,) = place.runs()
    assert (ended.status, ended.reason, ended.sentence) == (
        RunStatus.CANCELLED,
        Reason.CANCELLED,
        "Cancelled by ada.",
    )
    assert not place.world.containers


def test_a_run_is_cancelled_while_the_engine_is_down(place: Installation, server: Server) -> None:
    pushed_run(place, server, Script())
    place.engine.unavailable(True)
    run = InBackground(server.runner.step)
    while not server.runner.active.all():
        pass
    cancel_run(place)
    stop_what_has_to_end(server, run)
    place.engine.unavailable(False)
    assert (place.runs()[0].status, place.world.starts) == (RunStatus.CANCELLED, {})


def test_the_engine_is_waited_for(place: Installation, server: Server) -> None:
    pushed_run(place, server, Script())
    place.engine.fail("start", Fault.REFUSED, 5)
    place.engine.fail("logs", Fault.REFUSED, 5)
    place.engine.fail("wait", Fault.ANSWER_LOST, 5)
    server.work()
    assert (place.runs()[0].status, place.runs()[0].attempts) == (RunStatus.SUCCEEDED, 1)


@pytest.mark.parametrize(
    ("is_known_to_be_down", "how_long"), [(False, "for 45 min at most"), (True, "until it answers")]
)
def test_a_start_that_waits_for_the_engine_says_so(
    place: Installation, server: Server, *, is_known_to_be_down: bool, how_long: str
) -> None:
    server.engine_is_up = not is_known_to_be_down
    pushed_run(place, server, Script(exit_code=None))
    place.engine.unavailable(True)
    run = InBackground(server.runner.step)
    while not place.runs()[0].sentence:
        pass
    waits = place.runs()[0]
    assert (waits.status, waits.sentence) == (
        RunStatus.RUNNING,
        f"The engine does not answer. It is asked again and again, {how_long}.",
    )
    place.engine.unavailable(False)
    server.until_running()
    assert place.runs()[0].sentence == ""
    place.engine.finish("run-1-1-0")
    run.join()
    assert place.runs()[0].status is RunStatus.SUCCEEDED


def test_an_engine_that_stays_down_fails_the_run(
    place: Installation,
) -> None:
    server = place.server("impatient", patience=1.0)
    pushed_run(place, server, Script())
    place.engine.unavailable(True)
    server.work(rounds=2)
    (run,) = place.runs()
    assert (run.status, run.reason, run.sentence) == (
        RunStatus.FAILED,
        Reason.ENGINE_FAILED,
        "The engine does not answer. It was asked again and again for 0 min.",
    )


def test_a_start_whose_answer_is_lost_happens_once(place: Installation, server: Server) -> None:
    pushed_run(place, server, Script(output=[b"once\n"]))
    place.engine.fail("start", Fault.ANSWER_LOST, 3)
    server.work()
    (run,) = place.runs()
    assert (run.status, dict(place.world.starts)) == (RunStatus.SUCCEEDED, {"run-1-1-0": 1})
    assert place.attempt_log(run, 1) == b"once\n"


def test_a_container_that_vanishes_fails_the_attempt(place: Installation, server: Server) -> None:
    pushed_run(place, server, Script(exit_code=None))
    run = InBackground(server.runner.step)
    server.until_running()
    place.engine.vanish("run-1-1-0")
    run.join()
    (ended,) = place.runs()
    assert (ended.status, ended.reason) == (RunStatus.FAILED, Reason.ENGINE_FAILED)


def test_a_command_that_is_not_in_the_image(place: Installation, server: Server) -> None:
    pushed_run(place, server, Script(start_error=StartRefused("There is no ./report in the image.", 127)))
    server.work()
    (run,) = place.runs()
    assert (run.reason, run.exit_code, run.sentence) == (
        Reason.EXIT_NONZERO,
        127,
        "There is no ./report in the image.",
    )


def test_out_of_memory_is_said(place: Installation, server: Server) -> None:
    pushed_run(place, server, Script(exit_code=137, oom_killed=True))
    server.work()
    assert place.runs()[0].reason is Reason.OUT_OF_MEMORY


def test_all_instances_must_succeed(place: Installation, server: Server) -> None:
    """The one that fails by itself speaks for the attempt, not those that are stopped because of it."""
    pushed_run(place, server, Script(exit_code=None, on_sigterm=1), instances=3)
    run = InBackground(server.runner.step)
    server.until_running(3)
    place.engine.finish("run-1-1-1", 137, oom_killed=True)
    stop_what_has_to_end(server, run)
    (ended,) = place.runs()
    assert (ended.status, ended.reason, ended.exit_code) == (RunStatus.FAILED, Reason.OUT_OF_MEMORY, 137)
    assert not place.world.containers
    with place.db.read() as tx:
        (attempt,) = runs.attempts_of(tx, ended.id)
        sentences = [each.sentence for each in runs.containers_of(tx, attempt.id)]
    stopped = "Stopped, as another instance had failed. Exited with code 1."
    assert sentences == [stopped, "Killed for using more memory than the plan has.", stopped]


@pytest.mark.parametrize(
    ("definition", "sentence"),
    [
        ({"command": "echo 'unclosed"}, "No closing quotation"),
        ({"process": "worker"}, "worker"),
        ({"plan": "colossal"}, "colossal"),
    ],
)
def test_a_configuration_that_cannot_run_says_so_once(
    place: Installation, server: Server, definition: dict[str, object], sentence: str
) -> None:
    pushed_run(place, server, Script(), **definition)
    server.work()
    (run,) = place.runs()
    assert run.status is RunStatus.FAILED
    assert sentence in run.sentence
    assert run.interruptions == 0
    assert place.world.starts == {}


# faults of ours


def test_a_bug_in_a_run_does_not_lose_it(
    place: Installation, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed_run(place, server, Script(output=[b"once\n"]))
    follow, times = server.runner.engine.logs, []

    def buggy(*arguments: object) -> object:
        times.append(1)
        if len(times) == 1:
            raise RuntimeError("a bug")
        return follow(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(server.runner.engine, "logs", buggy, raising=False)
    server.work()
    (run,) = place.runs()
    assert (run.status, run.attempts, run.interruptions) == (RunStatus.SUCCEEDED, 1, 1)
    assert dict(place.world.starts) == {"run-1-1-0": 1}
    assert place.attempt_log(run, 1) == b"once\n"


def test_a_bug_that_stays_ends_the_run(
    place: Installation, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def buggy(*_: object) -> object:
        raise RuntimeError("a bug")

    pushed_run(place, server, Script(exit_code=None))
    monkeypatch.setattr(server.runner.engine, "logs", buggy, raising=False)
    server.work()
    (run,) = place.runs()
    assert (run.status, run.reason) == (RunStatus.FAILED, Reason.INTERRUPTED)
    with place.db.read() as tx:
        (attempt,) = runs.attempts_of(tx, run.id)
    assert attempt.status is RunStatus.FAILED
    assert not place.world.containers


def test_a_bug_in_intake_is_tried_again_and_then_said(
    place: Installation, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def buggy(*_: object, **__: object) -> object:
        raise RuntimeError("a bug")

    place.job()
    guid = place.push(A, B)
    monkeypatch.setattr("app.commands.pushes.should_build", buggy)
    server.work()
    assert place.delivery(guid).status == "failed"
    assert place.decisions() == []


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


def test_containers_of_unknown_runs_are_left_alone(place: Installation, server: Server) -> None:
    """Perhaps an older copy of the database was restored."""
    place.engine.create(ContainerSpec("sha256:x"), "run-999-1-0")
    place.engine.create(ContainerSpec("sha256:x"), "somebody-else")
    server.reconcile()
    assert set(place.world.containers) == {"run-999-1-0", "somebody-else"}


def test_projects_do_not_mix(place: Installation, server: Server) -> None:
    with place.db.write() as tx:
        other = projects.create(tx, "other", None, place.clock.now())
    place.job()
    place.job(project_id=other.id)
    place.push(A, B)
    server.work()
    assert [(each.project, each.job) for each in place.runs()] == [("reports", "report")]
