"""Builds wait out an outage, and servers that are killed lose nothing; what crashes servers is found out."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from app.domain.builds import Build, BuildReason, BuildStatus
from app.domain.crashes import GIVEN_UP_AFTER, SUSPECTED_AFTER
from app.domain.errors import EngineUnavailable, GitUnavailable, TransientError
from app.domain.outages import UNANSWERED_LIMIT
from app.domain.runs import Reason, Run, RunStatus
from app.engines.fake import Fault, Script
from app.store import builds, deliveries, run_attempts, runs
from app.workers.run.patience import Patience
from builders.backends.base import BackendUnavailable
from tests.support.clock import Clock
from tests.support.fakes import commit, fail
from tests.support.installation import Installation
from tests.support.loops import Server

A, B, C = (commit(letter) for letter in "abc")


def build_now(place: Installation, number: int = 0) -> Build:
    return place.builds()[number]


def pushed(place: Installation, server: Server) -> None:
    place.job()
    place.push(A, B)
    server.intake.step()


# what is away


@pytest.mark.parametrize(
    "error",
    [BackendUnavailable("The engine does not answer."), EngineUnavailable("The engine does not answer.")],
)
def test_a_build_waits_for_an_engine_without_a_worker(
    place: Installation, server: Server, error: Exception
) -> None:
    pushed(place, server)
    place.backend.before_end[B] = fail(error) * (UNANSWERED_LIMIT - 1)
    pauses = []
    for _ in range(UNANSWERED_LIMIT - 1):
        assert server.builder.step()
        waits = build_now(place)
        assert waits.available_at is not None
        assert (waits.status, waits.started_at) == (BuildStatus.QUEUED, None)
        pause = round((waits.available_at - place.clock.now()).total_seconds())
        assert waits.sentence == f"The engine does not answer. Tried again in {pause} s."
        assert not server.builder.step()
        pauses.append(pause)
        place.clock.advance(pause)
    assert pauses[:4] == [5, 10, 20, 40]
    assert timedelta(seconds=sum(pauses)) > timedelta(minutes=40)
    server.work()
    assert build_now(place).status is BuildStatus.SUCCEEDED
    assert place.build_log(build_now(place)).count(b"The engine does not answer.") == UNANSWERED_LIMIT - 1
    assert len(place.runs()) == 1


def test_a_build_waits_without_an_end_for_an_engine_that_is_known_to_be_down(
    place: Installation, server: Server
) -> None:
    pushed(place, server)
    server.engine_is_up = False
    away = BackendUnavailable("The engine does not answer.")
    place.backend.before_end[B] = fail(away) * (3 * UNANSWERED_LIMIT)
    while place.backend.before_end[B]:
        if not server.builder.step():
            assert build_now(place).sentence == "The engine does not answer. Tried again in 30 s."
            place.clock.advance(30)
    waits = build_now(place)
    assert (waits.status, waits.tries) == (BuildStatus.QUEUED, 0), "what comes next has all its tries"
    server.work()
    assert build_now(place).status is BuildStatus.SUCCEEDED


def test_a_run_waits_without_an_end_for_an_engine_that_is_known_to_be_down(
    place: Installation,
) -> None:
    server = place.server("impatient", patience=0.0)
    pushed(place, server)
    assert server.builder.step()
    server.engine_is_up = False
    place.engine.script("*", Script(output=[b"whole\n"]))
    place.engine.fail("resolve", Fault.REFUSED, 2 * UNANSWERED_LIMIT)
    for operation in ("start", "logs", "wait"):
        place.engine.fail(operation, Fault.REFUSED, 5)
    server.work(rounds=400)
    (run,) = place.runs()
    assert (run.status, run.attempts, run.tries) == (RunStatus.SUCCEEDED, 1, 0)
    assert place.attempt_log(run, 1) == b"whole\n"


def test_outages_that_are_far_apart_do_not_add_up() -> None:
    clock = Clock()
    patience = Patience(clock, 600.0, lambda: True)
    for _ in range(3):
        patience.ask()
        clock.advance(hours=1)  # in which the engine had something to say
        assert not patience.is_over(is_to_end=False)
        patience.ask()
        assert not patience.is_over(is_to_end=False)


def test_a_run_that_is_to_end_does_not_wait_for_ever() -> None:
    clock = Clock()
    patience = Patience(clock, 600.0, lambda: False)
    for is_to_end in (False, True):
        for _ in range(12):
            patience.ask()
            clock.advance(minutes=1)
            over = patience.is_over(is_to_end=is_to_end)
    assert over


@pytest.mark.parametrize("of_git", [True, False])
def test_after_the_last_try_it_says_for_how_long_it_was_tried(
    place: Installation, server: Server, *, of_git: bool
) -> None:
    pushed(place, server)
    if of_git:
        place.repository.faults = [GitUnavailable("github.com does not answer.")] * UNANSWERED_LIMIT
    else:
        away = BackendUnavailable("github.com does not answer.")
        place.backend.before_end[B] = fail(away) * UNANSWERED_LIMIT
    while build_now(place).status in builds.OPEN:
        if not server.builder.step():
            place.clock.advance(60)
    ended = build_now(place)
    reason = BuildReason.SOURCE_UNAVAILABLE if of_git else BuildReason.ENGINE_FAILED
    assert (ended.status, ended.reason) == (BuildStatus.FAILED, reason)
    assert ended.sentence.startswith("github.com does not answer. Tried 15 times in 4")
    assert ended.sentence.endswith(" min. Start the build again once that is over.")
    assert place.verdicts()[-1] == ("build", "report", "skipped", "build_failed")


def test_while_it_waits_it_can_be_cancelled_and_holds_up_no_newer_push(
    place: Installation, server: Server
) -> None:
    place.job(source__builds_in_flight="all")
    place.push(A, B)
    place.backend.before_end[B] = fail(BackendUnavailable("Away.")) * 9
    server.turn()
    place.push(B, C)
    server.turn()
    assert [build.status for build in place.builds()] == [BuildStatus.QUEUED, BuildStatus.SUCCEEDED]
    with place.db.write() as tx:
        now = place.clock.now()
        asked = builds.cancel(tx, builds.with_id(tx, 1), BuildReason.CANCELLED, "Cancelled by ada.", now)
    assert asked is not None
    assert asked.status is BuildStatus.CANCELLED
    server.work()
    assert build_now(place).sentence == "Cancelled by ada."


def test_a_build_that_runs_again_does_not_say_that_it_waits(place: Installation, server: Server) -> None:
    pushed(place, server)
    said: list[str] = []
    away: TransientError = EngineUnavailable("Away.")
    place.backend.before_end[B] = [*fail(away), lambda _: said.append(build_now(place).sentence)]
    server.work()
    assert said == [""]


# servers that are killed


def claim_all(place: Installation, server: Server) -> tuple[list[Build], list[Run]]:
    """Everything that is due is in the server's hand. Those that it took over are, too."""
    with place.db.write() as tx:
        now = place.clock.now()
        claimed = []
        while build := builds.claim(tx, server.name, now):
            claimed.append(build)
            assert builds.save_plan(tx, build, sha=build.sha or "", plan=None, dockerfile=None)
        for run in iter(lambda: runs.claim(tx, server.name, now), None):
            run_attempts.begin_attempt(tx, run, now)
        for row_id, _ in deliveries.next_waiting(tx, now, asks_git=False, limit=9):
            deliveries.claim(tx, row_id, server.name)
        held = runs.page(tx, limit=100, statuses=[RunStatus.RUNNING])
        return claimed, [run for run in held if runs.is_claimed(tx, run)]


def test_a_server_that_is_killed_again_and_again_loses_nothing(place: Installation) -> None:
    """36 kills; everything is in hand at each that may be: deliveries, builds and runs."""
    for name in ("first", "second"):
        place.job(name, env={"NAME": {"value": name, "scope": "build"}})
    first = place.server("first")
    first.reconcile()
    place.push(A, B, guid="decided")
    first.intake.step()
    first.builder.step()  # one build succeeds, and starts a run
    place.push(B, C, guid="held")
    for number in range(36):
        killed = place.server(f"killed-{number}")
        killed.reconciler.step()
        claim_all(place, killed)
        place.clock.advance(8)
    place.server("last").work(rounds=200)
    assert {build.status for build in place.builds()} == {BuildStatus.SUCCEEDED}
    assert len(place.builds()) == 4
    assert [(run.status, run.attempts) for run in place.runs()] == [(RunStatus.SUCCEEDED, 1)] * len(
        place.runs()
    )
    assert (place.delivery("held").status, place.delivery("held").tries) == ("processed", 1)


def test_a_build_that_takes_the_server_down_is_given_up_and_no_other(place: Installation) -> None:
    for name in ("killer", "other"):
        place.job(name, env={"NAME": {"value": name, "scope": "build"}})
    place.push(A, B)
    first = place.server("first")
    first.intake.step()
    killed = 0
    sentences = []
    while build_now(place).status in builds.OPEN:
        server = place.server(f"server-{killed}")
        for _ in range(100):
            server.reconciler.step()
            sentences.append(build_now(place).sentence)
            claimed, _ = claim_all(place, server)
            if any(build.id == 1 for build in claimed):
                break
            with place.db.write() as tx:
                for build in claimed:
                    assert builds.succeed(tx, build, image="i", digest="d", now=place.clock.now())
            if build_now(place).status not in builds.OPEN:
                break
            place.clock.advance(20)
        killed += 1
    killer, other = place.builds()
    assert (killer.status, killer.reason) == (BuildStatus.FAILED, BuildReason.INTERRUPTED)
    assert killer.sentence.startswith("The server was killed, or failed, 8 times during this build, although")
    assert killed == GIVEN_UP_AFTER + 1
    assert (other.status, other.crashes) == (BuildStatus.SUCCEEDED, SUSPECTED_AFTER)
    assert (
        "The server was killed, or failed, 3 times during this build, which may be the cause: building again when "
        "the server has stayed up for 15 s."
    ) in sentences


def test_a_run_that_takes_the_server_down_is_given_up_and_no_other(place: Installation) -> None:
    for name in ("one", "killer", "three"):
        place.job(name)
    first = place.server("first")
    first.reconcile()
    place.push(A, B)
    first.intake.step()
    first.builder.step()
    killer_id = place.runs()[1].id
    killed = 0
    while any(run.status in runs.OPEN for run in place.runs()) and killed < 20:
        server = place.server(f"server-{killed}")
        for _ in range(100):
            server.reconciler.step()
            _, held = claim_all(place, server)
            now_held = [(run.id, run.crashes) for run in held if owner_of(place, run) == server.name]
            if any(id_ == killer_id and crashes < GIVEN_UP_AFTER for id_, crashes in now_held):
                break
            while server.adopted:
                server.adopted.pop(0)()
            if not any(run.status in runs.OPEN for run in place.runs()):
                break
            place.clock.advance(20)
        killed += 1
    one, killer, three = place.runs()
    assert (one.status, three.status) == (RunStatus.SUCCEEDED, RunStatus.SUCCEEDED)
    assert (killer.status, killer.reason) == (RunStatus.FAILED, Reason.INTERRUPTED)
    assert killer.sentence.startswith(
        "The server was killed, or failed, 8 times while it worked on this run,"
    )


def owner_of(place: Installation, run: Run) -> str | None:
    with place.db.read() as tx:
        query = text("SELECT owner FROM run WHERE id = :id")
        return tx.connection().execute(query, {"id": run.id}).scalar_one()  # type: ignore[no-any-return]


def test_a_server_that_is_told_to_stop_is_no_reason_for_suspicion(place: Installation) -> None:
    pushed(place, place.server("first"))
    for number in range(GIVEN_UP_AFTER + 1):
        server = place.server(f"stopped-{number}")
        server.reconciler.step()
        claimed, _ = claim_all(place, server)
        assert [build.crashes for build in claimed] == [0]
        server.reconciler.release()
    place.server("last").work()
    assert build_now(place).status is BuildStatus.SUCCEEDED


def test_a_run_under_which_many_servers_were_killed_is_acquitted_by_one_that_stays_up(
    place: Installation, server: Server
) -> None:
    pushed(place, server)
    server.builder.step()
    for number in range(5):
        killed = place.server(f"killed-{number}")
        killed.reconciler.step()
        claim_all(place, killed)
        place.clock.advance(600)
    last = place.server("last")
    for _ in range(6):
        last.reconciler.step()
        place.clock.advance(120)
    assert [run.crashes for run in place.runs()] == [0]
