"""An attempt ends as its run does, and the counters count attempts: whatever ends them, and in whatever order."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.runs import Attempt, Container, Outcome, Reason, Run, RunStatus
from app.engines.base import StartRefused
from app.engines.fake import Fault, Script
from app.store import run_attempts, runs
from tests.support.fakes import commit
from tests.support.installation import Installation
from tests.support.loops import Server

A, B = commit("a"), commit("b")
NO_COMMAND = "There is no command to run: neither the image nor the job names one."


def queued_run(place: Installation, server: Server, script: Script, **job: object) -> None:
    place.job(**job)  # type: ignore[arg-type]
    place.engine.script("*", script)
    place.push(A, B)
    server.intake.step()
    server.builder.step()


def stopped(place: Installation, server: Server, what_happens: Callable[[], object]) -> None:
    """The queued run is executed; once all its containers run, something happens; the watcher looks until the end."""
    (run,) = place.runs()
    thread = threading.Thread(target=server.runner.step)
    thread.start()
    server.until_running(run.spec.instances)
    what_happens()
    while thread.is_alive():
        server.watcher.step()
        thread.join(0.01)


def ends(place: Installation) -> tuple[Run, list[Attempt], list[Container]]:
    """Of the only run; the counters always count its attempts."""
    (run,) = place.runs()
    with place.db.read() as tx:
        attempts = list(run_attempts.attempts_of(tx, run.id))
        containers = [each for attempt in attempts for each in run_attempts.containers_of(tx, attempt.id)]
    count = Counter(attempt.status for attempt in attempts)
    assert (run.succeeded, run.failed, run.active) == (
        count[RunStatus.SUCCEEDED],
        count[RunStatus.FAILED],
        count[RunStatus.RUNNING],
    )
    return run, attempts, containers


def cancel(
    place: Installation, reason: Reason = Reason.CANCELLED, sentence: str = "Cancelled by ada."
) -> None:
    with place.db.write() as tx:
        assert runs.cancel(tx, runs.with_id(tx, 1), reason, sentence, place.clock.now())


@pytest.mark.parametrize("code", [0, 1, 143])
@pytest.mark.parametrize("instances", [1, 3])
def test_an_attempt_that_ran_out_of_time_failed_for_it(
    place: Installation, server: Server, code: int, instances: int
) -> None:
    script = Script(exit_code=None, on_sigterm=code)
    queued_run(place, server, script, time_limit_seconds=60, retry_limit=2, instances=instances)
    stopped(place, server, lambda: place.clock.advance(61))
    run, (attempt,), containers = ends(place)
    assert (run.status, run.succeeded, run.failed) == (RunStatus.FAILED, 0, 1)
    for each in (run, attempt, *containers):
        assert (each.reason, each.exit_code) == (Reason.TIME_LIMIT, code)
    assert attempt.status is RunStatus.FAILED
    assert attempt.sentence.startswith(
        "The time limit of 60 s passed; 2 of 2 retries left unused. Exited with"
    )


@pytest.mark.parametrize("code", [0, 143])
@pytest.mark.parametrize("instances", [1, 3])
@pytest.mark.parametrize("reason", [Reason.CANCELLED, Reason.REPLACED])
def test_an_attempt_that_was_cancelled_neither_failed_nor_succeeded(
    place: Installation, server: Server, code: int, instances: int, reason: Reason
) -> None:
    queued_run(place, server, Script(exit_code=None, on_sigterm=code), retry_limit=2, instances=instances)
    stopped(place, server, lambda: cancel(place, reason, "Somebody wanted it."))
    run, (attempt,), containers = ends(place)
    assert (run.status, run.succeeded, run.failed) == (RunStatus.CANCELLED, 0, 0)
    assert attempt.status is RunStatus.CANCELLED
    for each in (run, attempt, *containers):
        assert each.reason is reason
    assert attempt.sentence.startswith("Somebody wanted it. Exited with code")


def test_a_container_that_had_ended_before_keeps_its_end(place: Installation, server: Server) -> None:
    queued_run(place, server, Script(exit_code=None), instances=2)

    def one_ends_and_then_all_are_cancelled() -> None:
        place.engine.finish("run-1-1-0", 0)
        while 0 not in next(iter(server.runner.active.all())).over:
            pass
        cancel(place)

    stopped(place, server, one_ends_and_then_all_are_cancelled)
    _, _, (first, second) = ends(place)
    assert (first.reason, second.reason) == (None, Reason.CANCELLED)


def test_the_only_attempt_is_active_while_its_instances_are(place: Installation, server: Server) -> None:
    queued_run(place, server, Script(exit_code=None), instances=3)

    def one_is_over() -> None:
        place.engine.finish("run-1-1-1", 0)
        assert ends(place)[0].active == 1
        place.engine.finish("run-1-1-0", 0)
        place.engine.finish("run-1-1-2", 4)

    stopped(place, server, one_is_over)
    run, (attempt,), _ = ends(place)
    assert (run.reason, attempt.reason, run.exit_code) == (Reason.EXIT_NONZERO, Reason.EXIT_NONZERO, 4)


@pytest.mark.parametrize("instances", [1, 3])
@pytest.mark.parametrize(
    ("refusal", "reason"),
    [
        (StartRefused(NO_COMMAND), Reason.ENGINE_FAILED),
        (StartRefused("The command can't be run: there is no ./report.", 127), Reason.EXIT_NONZERO),
    ],
)
def test_what_can_never_start_is_tried_once_and_its_log_says_why(
    place: Installation, server: Server, refusal: StartRefused, reason: Reason, instances: int
) -> None:
    queued_run(place, server, Script(start_error=refusal), retry_limit=2, instances=instances)
    server.work()
    run, (attempt,), containers = ends(place)
    for each in (run, attempt, *containers):
        assert (each.reason, each.exit_code, each.sentence) == (reason, refusal.exit_code, str(refusal))
    assert (run.failed, attempt.status) == (1, RunStatus.FAILED)
    assert place.attempt_log(run, 1).decode() == f"{refusal}\n"


@pytest.mark.parametrize("definition", [{"process": "worker"}, {"plan": "colossal"}])
def test_a_definition_that_nothing_can_be_started_with_is_no_exit_code(
    place: Installation, server: Server, definition: dict[str, object]
) -> None:
    queued_run(place, server, Script(), **definition)
    server.work()
    run, attempts, _ = ends(place)
    assert (run.reason, run.exit_code, attempts) == (Reason.ENGINE_FAILED, None, [])


def test_an_engine_that_stays_down_is_said_in_the_log_of_each_attempt(
    place: Installation,
) -> None:
    server = place.server("impatient", patience=0.0)
    queued_run(place, server, Script(), retry_limit=1)
    place.engine.fail("start", Fault.REFUSED, 2)
    server.work()
    run, attempts, _ = ends(place)
    assert [each.reason for each in attempts] == [Reason.ENGINE_FAILED] * 2
    assert (
        place.attempt_log(run, 2) == b"The engine refused to start. It was asked again and again for 0 min.\n"
    )


def broken(*_: object) -> object:
    raise RuntimeError("a bug")


def test_an_interrupted_attempt_is_active_until_it_is_given_up(
    place: Installation, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    queued_run(place, server, Script(exit_code=None))
    monkeypatch.setattr(server.runner.engine, "logs", broken, raising=False)
    server.runner.step()
    run, (attempt,), _ = ends(place)
    assert (run.status, attempt.status, run.active) == (RunStatus.QUEUED, RunStatus.RUNNING, 1)
    server.work()
    run, (attempt,), _ = ends(place)
    assert (run.reason, attempt.reason, run.failed) == (Reason.INTERRUPTED, Reason.INTERRUPTED, 1)


def test_an_interrupted_attempt_is_cancelled_with_its_run(
    place: Installation, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    queued_run(place, server, Script(exit_code=None))
    monkeypatch.setattr(server.runner.engine, "logs", broken, raising=False)
    server.runner.step()
    cancel(place)
    run, (attempt,), _ = ends(place)
    assert (run.status, run.active) == (RunStatus.CANCELLED, 0)
    assert (attempt.status, attempt.reason) == (RunStatus.CANCELLED, Reason.CANCELLED)
    assert attempt.finished_at is not None
    server.work()
    assert not place.world.containers


@given(reason=st.none() | st.sampled_from(sorted(Reason)), code=st.none() | st.integers(0, 255))
@settings(max_examples=50)
def test_an_outcome_has_a_status_of_its_own(reason: Reason | None, code: int | None) -> None:
    status = Outcome(reason, code).status
    assert (status is RunStatus.SUCCEEDED) is (reason is None)
    assert (status is RunStatus.CANCELLED) is (reason in (Reason.CANCELLED, Reason.REPLACED))
