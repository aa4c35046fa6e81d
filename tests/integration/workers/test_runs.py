"""A run from its queue to its end, whatever happens meanwhile: engine in memory, loops stepped by hand."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app.domain.runs import Cancel, Reason, RunStatus
from app.engines.base import ContainerSpec, StartRefused
from app.engines.fake import Fault, Script
from app.store import run_attempts, runs
from tests.support.background import InBackground, stop_what_has_to_end
from tests.support.fakes import commit
from tests.support.installation import Installation
from tests.support.loops import Server

A, B, C, D = (commit(letter) for letter in "abcd")


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
    assert ended.sentence == "Killed for using more memory than the plan has. It was instance 1."
    assert not place.world.containers
    with place.db.read() as tx:
        (attempt,) = run_attempts.attempts_of(tx, ended.id)
        sentences = [each.sentence for each in run_attempts.containers_of(tx, attempt.id)]
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
        (attempt,) = run_attempts.attempts_of(tx, run.id)
    assert attempt.status is RunStatus.FAILED
    assert not place.world.containers


def test_containers_of_unknown_runs_are_left_alone(place: Installation, server: Server) -> None:
    """Perhaps an older copy of the database was restored."""
    place.engine.create(ContainerSpec("sha256:x"), "run-999-1-0")
    place.engine.create(ContainerSpec("sha256:x"), "somebody-else")
    server.reconcile()
    assert set(place.world.containers) == {"run-999-1-0", "somebody-else"}
