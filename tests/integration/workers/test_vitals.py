"""Health, metrics and forced cancels of runs on an engine in memory; the clock is moved by hand."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from app.domain.errors import EngineUnavailable
from app.domain.health import CheckStatus
from app.domain.job.checks import CheckType, Protocol
from app.domain.job.codec import check_from_json
from app.domain.job.effective import merge
from app.domain.metrics import Sample
from app.domain.runs import Attempt, Cancel, Container, Reason, Run, RunStatus, Trigger, TriggerType
from app.engines.base import ContainerSpec, Handle
from app.engines.fake import FakeEngine, Fault, Script
from app.runtime.threads import Crew
from app.store import runs
from app.workers.run.active import ActiveRun
from app.workers.run.health_checks import HealthChecks
from app.workers.run.metrics import Sampler
from app.workers.run.probes import probe
from tests.support.engine_harness import eventually
from tests.support.loops import Installation, Killed, Server, image_of
from tests.support.yard import START, StillClock

FOREVER = Script(output=[b"up\n"], exit_code=None)
CHECK = {
    "protocol": "cmd",
    "path": None,
    "port": None,
    "cmd": ["test", "-f", "/up"],
    "initial_delay_seconds": 5,
    "period_seconds": 10,
    "timeout_seconds": 1,
    "failure_threshold": 2,
    "success_threshold": 1,
}
LIVENESS = {**CHECK, "type": "liveness"}
STARTUP = {**CHECK, "type": "startup"}


class AtOnce(Crew):
    """Works in the caller's thread."""

    def __init__(self) -> None:
        super().__init__("at once", 0)

    def give(self, key: Hashable, call: Callable[[], None]) -> bool:
        call()
        return True


class Floor:
    """A server with one run that goes on until its containers end; loops are turned by hand."""

    def __init__(self, place: Installation, **fields: Any) -> None:
        self.place = place
        self.clock = StillClock()
        place.clock = self.clock  # type: ignore[assignment]
        place.engine = FakeEngine(self.clock.now, place.world).script("run-*", FOREVER)
        job = place.job(**{"retry_backoff": "none", **fields})
        with place.db.write() as tx:
            self.run_id = runs.enqueue(
                tx,
                name="report-1",
                project_id=place.project.id,
                job_id=job.id,
                trigger=Trigger(TriggerType.API, by="ada"),
                spec=merge(job.spec.run).spec,
                now=self.clock.now(),
                image=image_of("1"),
                digest=image_of("1"),
            )
        self.serve("first").reconcile()

    def serve(self, name: str) -> Server:
        self.server = self.place.server(name)
        active, engine = self.server.runner.active, self.place.engine
        self.health = HealthChecks(self.place.db, self.clock, engine, active, self.place.logbook, AtOnce())
        self.sampler = Sampler(self.clock, engine, active, self.place.logbook, timedelta(seconds=2), AtOnce())
        return self.server

    @property
    def run(self) -> Run:
        with self.place.db.read() as tx:
            return runs.with_id(tx, self.run_id)

    @property
    def attempts(self) -> list[tuple[Attempt, list[Container]]]:
        with self.place.db.read() as tx:
            return [
                (each, list(runs.containers_of(tx, each.id))) for each in runs.attempts_of(tx, self.run_id)
            ]

    @property
    def active(self) -> ActiveRun:
        (active,) = self.server.runner.active.all()
        return active

    def key(self, attempt: int = 1, instance: int = 0) -> str:
        return f"run-{self.run_id}-{attempt}-{instance}"

    @contextmanager
    def running(self, containers: int = 1) -> Iterator[None]:
        """An attempt goes on inside, and is over afterwards."""

        def step() -> None:
            with suppress(Killed):
                self.server.runner.step()

        thread = threading.Thread(target=step, daemon=True)
        thread.start()
        eventually(lambda: any(len(each.handles) == containers for each in self.server.runner.active.all()))
        yield
        thread.join(20)
        assert not thread.is_alive(), "the attempt goes on"

    def pass_time(self, seconds: float) -> None:
        """Look whenever a look is due, as the loop does."""
        end = self.clock.now() + timedelta(seconds=seconds)
        while self.clock.now() < end:
            self.health.step()  # an answer rings for another look
            wait = min(self.health.step(), self.sampler.step())
            self.clock.advance(seconds=min(wait, (end - self.clock.now()).total_seconds()))

    def watch(self) -> None:
        self.server.watcher.step()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Installation]:
    root = tmp_path / "place"
    root.mkdir()
    place = Installation(root)
    yield place
    place.close()


class TestHealth:
    def test_a_failing_check_ends_the_attempt_as_unhealthy_and_it_is_tried_again(
        self, place: Installation
    ) -> None:
        floor = Floor(place, health_checks=[LIVENESS], retry_limit=1)
        place.engine.script("run-*", Script(exit_code=None, on_sigterm=0))
        with floor.running():
            floor.pass_time(20)
            floor.watch()
            assert floor.active.unhealthy == {}
            place.engine.answer_probes(floor.key(), 1)
            floor.pass_time(20)
            floor.watch()
        ((attempt, (container,)),) = floor.attempts
        sentence = "The liveness check (the command 'test -f /up') failed 2 times in a row, at last with: exit code 1."
        assert (attempt.reason, attempt.sentence) == (Reason.UNHEALTHY, sentence)
        assert (container.reason, container.exit_code) == (Reason.UNHEALTHY, 0), (
            "an exit with 0 changes nothing"
        )
        assert (floor.run.status, floor.run.failed) == (RunStatus.QUEUED, 1)
        place.engine.script("run-*", Script())
        floor.server.runner.step()
        assert floor.run.status is RunStatus.SUCCEEDED

    def test_results_are_kept_with_the_attempt(self, place: Installation) -> None:
        floor = Floor(place, health_checks=[STARTUP, LIVENESS])
        with floor.running():
            place.engine.answer_probes(floor.key(), 1)
            floor.pass_time(6)
            place.engine.answer_probes(floor.key(), 0)
            floor.pass_time(400)
            place.engine.finish(floor.key())
        found = place.logbook.vitals(floor.run_id, 1).health(0)
        startup, liveness = found[CheckType.STARTUP], found[CheckType.LIVENESS]
        assert [(each.at, each.passed, each.words) for each in startup.answers] == [
            (START + timedelta(seconds=5), False, "exit code 1"),
            (START + timedelta(seconds=15), True, "exit code 0"),
        ]
        assert startup.tally.status is liveness.tally.status is CheckStatus.PASSING
        assert liveness.tally.passes == 40
        assert len(liveness.answers) == 20, "only the last ones are kept"
        assert liveness.answers[-1].at == START + timedelta(seconds=405)

    def test_what_ended_before_it_was_judged_keeps_its_own_end(self, place: Installation) -> None:
        floor = Floor(place, health_checks=[LIVENESS])
        with floor.running():
            place.engine.answer_probes(floor.key(), 1)
            floor.pass_time(14)
            place.engine.finish(floor.key(), 0)
            floor.pass_time(20)
        assert floor.run.status is RunStatus.SUCCEEDED

    def test_an_engine_that_does_not_answer_is_not_the_jobs_failure(self, place: Installation) -> None:
        floor = Floor(place, health_checks=[LIVENESS])
        with floor.running():
            place.engine.fail("probe", Fault.REFUSED, times=5)
            floor.pass_time(100)
            assert floor.active.unhealthy == {}
            place.engine.finish(floor.key())
        assert len(place.logbook.vitals(floor.run_id, 1).health(0)[CheckType.LIVENESS].answers) == 5

    def test_one_unhealthy_instance_ends_the_attempt_and_stops_the_others(self, place: Installation) -> None:
        floor = Floor(place, health_checks=[LIVENESS], instances=3)
        with floor.running(containers=3):
            place.engine.answer_probes(floor.key(instance=1), 1)
            floor.pass_time(20)
            assert set(floor.active.unhealthy) == {1}
            floor.watch()
            eventually(lambda: floor.active.pointless == {0, 2})
            floor.clock.advance(seconds=1)
            floor.watch()
        ((attempt, containers),) = floor.attempts
        assert attempt.reason is Reason.UNHEALTHY
        assert [each.exit_code for each in containers] == [143, 143, 143]
        assert floor.run.reason is Reason.UNHEALTHY

    def test_a_cancelled_run_is_not_asked_any_more(self, place: Installation) -> None:
        floor = Floor(place, health_checks=[LIVENESS])
        place.engine.script("run-*", Script(exit_code=None))
        with floor.running():
            place.engine.answer_probes(floor.key(), 1)
            floor.active.request_stop()
            floor.pass_time(100)
            assert floor.active.unhealthy == {}
            place.engine.finish(floor.key(), 0)

    def test_a_judgement_outlives_the_server(self, place: Installation) -> None:
        """Stored before the container is stopped: another server that finds it ended by SIGTERM says why."""
        floor = Floor(place, health_checks=[LIVENESS])
        first = floor.server
        with floor.running():
            place.engine.answer_probes(floor.key(), 1)
            floor.pass_time(20)
            assert floor.active.unhealthy
            with place.db.read() as tx:
                run = runs.with_id(tx, floor.run_id)
                (attempt,) = runs.attempts_of(tx, run.id)
                (container,) = runs.containers_of(tx, attempt.id)
            assert container.reason is Reason.UNHEALTHY
            first.fuse.blows_at = 0  # dead from here on
            place.engine.stop(Handle.from_json(container.handle or {}), 10)
        second = floor.serve("second")
        second.reconcile()
        assert (floor.run.status, floor.run.reason) == (RunStatus.FAILED, Reason.UNHEALTHY)
        assert "liveness check" in floor.run.sentence

    def test_another_server_goes_on_counting(self, place: Installation) -> None:
        floor = Floor(place, health_checks=[LIVENESS])
        with floor.running():
            place.engine.answer_probes(floor.key(), 1)
            floor.pass_time(6)
            again = HealthChecks(
                place.db, floor.clock, place.engine, floor.server.runner.active, place.logbook, AtOnce()
            )
            floor.clock.advance(seconds=10)
            again.step()
            assert set(floor.active.unhealthy) == {0}
            floor.watch()


@contextmanager
def listening(answer: bytes | None, *, drip: bool = False) -> Iterator[tuple[int, list[bytes]]]:
    """A port on this machine; what comes in is kept, and answered at once or a byte at a time until it is hung up."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    asked.append(connection.recv(1000))
                    try:
                        for byte in answer or b"":
                            connection.sendall(bytes([byte]))
                            if drip:
                                threading.Event().wait(0.05)
                        if answer is None:
                            connection.recv(1)
                    except OSError:
                        continue

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1], asked
        server.shutdown(socket.SHUT_RDWR)
    thread.join(10)


class TestProbing:
    @pytest.fixture
    def container(self) -> tuple[FakeEngine, Handle]:
        engine = FakeEngine(StillClock().now).script("*", FOREVER)
        return engine, engine.start(ContainerSpec(image_of("1")), "run-1-1-0", 1)

    def ask(self, container: tuple[FakeEngine, Handle], **fields: Any) -> tuple[bool, str]:
        engine, handle = container
        check = check_from_json({"type": "liveness", "timeout_seconds": 1, "path": "/", **fields})
        answer = probe(engine, handle, check, StillClock().now)
        assert answer is not None
        return answer.passed, answer.words

    @pytest.mark.parametrize(
        ("status", "passed"), [(200, True), (204, True), (302, True), (399, True), (400, False), (503, False)]
    )
    def test_http_passes_from_200_to_399(self, container: Any, status: int, passed: bool) -> None:
        reply = f"HTTP/1.1 {status} So\r\nLocation: http://127.0.0.1:1/\r\n\r\n".encode()
        with listening(reply) as (port, asked):
            found = self.ask(container, protocol=Protocol.HTTP, port=port, path="/up?deep=1 2")
        assert found == (passed, f"status {status}")
        assert len(asked) == 1, "redirects are not followed"
        assert asked[0].startswith(b"GET /up?deep=1%202 HTTP/1.1\r\n")

    def test_http_that_is_none(self, container: Any) -> None:
        with listening(b"SSH-2.0-hello\r\n\r\n") as (port, _):
            found = self.ask(container, protocol=Protocol.HTTP, port=port)
        assert found == (False, "an answer that is not HTTP")

    def test_hung_up(self, container: Any) -> None:
        with listening(b"") as (port, _):
            found = self.ask(container, protocol=Protocol.HTTP, port=port)
        assert found == (False, "the connection was closed")

    @pytest.mark.parametrize("answer", [None, b"HTTP/1.1 200 OK\r\n" + b"X-Slow: yes\r\n" * 20])
    def test_the_whole_answer_has_to_come_in_time(self, container: Any, answer: bytes | None) -> None:
        with listening(answer, drip=True) as (port, _):
            found = self.ask(container, protocol=Protocol.HTTP, port=port)
        assert found == (False, "no answer within 1 s")

    def test_tcp(self, container: Any) -> None:
        with listening(b"") as (port, _):
            assert self.ask(container, protocol=Protocol.TCP, port=port) == (True, "accepted")
        assert self.ask(container, protocol=Protocol.TCP, port=port) == (False, "connection refused")

    def test_cmd(self, container: Any) -> None:
        engine, _ = container
        assert self.ask(container, protocol=Protocol.CMD, cmd=("true",)) == (True, "exit code 0")
        engine.answer_probes("run-1-1-0", 3)
        assert self.ask(container, protocol=Protocol.CMD, cmd=("false",)) == (False, "exit code 3")
        engine.answer_probes("run-1-1-0", 124)
        assert self.ask(container, protocol=Protocol.CMD, cmd=("sleep",)) == (False, "no answer within 1 s")

    @pytest.mark.parametrize("protocol", list(Protocol))
    def test_a_container_that_has_ended_gives_no_answer(self, container: Any, protocol: Protocol) -> None:
        engine, handle = container
        engine.finish("run-1-1-0")
        check = check_from_json(
            {"type": "liveness", "protocol": protocol, "path": "/", "port": 1, "cmd": ["true"]}
        )
        assert probe(engine, handle, check, StillClock().now) is None

    def test_an_engine_that_is_away(self, container: Any) -> None:
        container[0].unavailable(True)
        with pytest.raises(EngineUnavailable):
            self.ask(container, protocol=Protocol.CMD, cmd=("true",))


class TestMetrics:
    def test_every_two_seconds_for_each_instance(self, place: Installation) -> None:
        floor = Floor(place, instances=2)
        sample = Sample(START, 0.51, 20 << 20, 1000, 2000, 3)
        place.engine.script("run-*-1", Script(exit_code=None, sample=sample))
        with floor.running(containers=2):
            floor.pass_time(7)
            for instance in (0, 1):
                place.engine.finish(floor.key(instance=instance))
        vitals = place.logbook.vitals(floor.run_id, 1)
        assert [(each.at - START).total_seconds() for each in vitals.samples(0)] == [0.3, 2.3, 4.3, 6.3]
        assert vitals.samples(1) == [sample] * 4
        assert vitals.samples(2) == []

    def test_long_runs_are_kept_in_few_samples(self, place: Installation) -> None:
        floor = Floor(place)
        with floor.running():
            floor.pass_time(2 * 1001)
            place.engine.finish(floor.key())
        samples = place.logbook.vitals(floor.run_id, 1).samples(0)
        assert 500 <= len(samples) <= 502
        assert samples[1].at - samples[0].at == timedelta(seconds=4)

    def test_an_engine_that_is_away_leaves_a_gap(self, place: Installation) -> None:
        floor = Floor(place)
        with floor.running():
            floor.pass_time(1)
            place.engine.fail("stats", Fault.REFUSED)
            floor.pass_time(5)
            place.engine.finish(floor.key())
        samples = place.logbook.vitals(floor.run_id, 1).samples(0)
        assert [(each.at - START).total_seconds() for each in samples] == [0.3, 4.3]

    def test_what_is_over_at_once_is_not_asked(self, place: Installation) -> None:
        floor = Floor(place)
        with floor.running():
            floor.pass_time(0)
            place.engine.finish(floor.key())
        assert place.logbook.vitals(floor.run_id, 1).samples(0) == []


class TestCrew:
    def test_a_slow_one_does_not_pile_up_and_holds_up_nobody_else(self) -> None:
        done, slow = threading.Semaphore(0), threading.Event()
        crew = Crew("test", 2, done.release)
        calls: list[str] = []
        assert crew.give("slow", lambda: calls.append(f"slow {slow.wait(20)}"))
        assert not crew.give("slow", lambda: calls.append("again"))
        for number in range(3):
            assert crew.give("quick", lambda number=number: calls.append(f"quick {number}"))
            assert done.acquire(timeout=20)
        slow.set()
        assert done.acquire(timeout=20)
        assert calls == ["quick 0", "quick 1", "quick 2", "slow True"]
        assert crew.give("slow", lambda: calls.append("later"))
        assert done.acquire(timeout=20)

    def test_a_fault_ends_nothing(self, caplog: pytest.LogCaptureFixture) -> None:
        done = threading.Semaphore(0)
        crew = Crew("test", 1, done.release)
        for _ in range(2):
            assert crew.give("one", lambda: 1 // 0)
            assert done.acquire(timeout=20)
        assert "met a fault of Jobyard" in caplog.text


class TestForcedCancel:
    def cancel(self, floor: Floor, reason: Reason = Reason.CANCELLED, sentence: str = "") -> Cancel | None:
        with floor.place.db.write() as tx:
            sentence = sentence or "Cancelled by ada."
            asked = runs.cancel(tx, runs.with_id(tx, floor.run_id), reason, sentence, floor.clock.now())
        return None if asked is None else asked.cancel

    def test_the_second_kills_at_once(self, place: Installation) -> None:
        floor = Floor(place, grace_period_seconds=600)
        stops: list[float] = []
        asked = threading.Event()

        class Stubborn(FakeEngine):
            def stop(self, handle: Handle, grace_seconds: float) -> None:
                stops.append(grace_seconds)
                asked.set()
                if grace_seconds == 0:
                    super().stop(handle, 0)

        place.engine = Stubborn(floor.clock.now, place.world)
        floor.serve("first")
        with floor.running():
            assert self.cancel(floor) is Cancel.ASKED
            floor.watch()
            assert asked.wait(20)
            floor.watch()
            assert self.cancel(floor, sentence="Cancelled by ada. Forced by bob.") is Cancel.FORCED
            assert self.cancel(floor) is None, "more than force can't be"
            floor.watch()
        assert stops == [600, 0]
        assert (floor.run.status, floor.run.reason) == (RunStatus.CANCELLED, Reason.CANCELLED)
        assert floor.run.sentence == "Cancelled by ada. Forced by bob."
        assert floor.run.cancel_forced_at == floor.clock.now()
        assert self.cancel(floor) is None

    def test_a_replacement_does_not_force(self, place: Installation) -> None:
        floor = Floor(place)
        with floor.running():
            assert self.cancel(floor, Reason.REPLACED) is Cancel.ASKED
            assert self.cancel(floor, Reason.REPLACED) is None
            floor.watch()
        assert floor.run.reason is Reason.REPLACED
        assert floor.run.cancel_forced_at is None

    def test_a_queued_run_is_over_at_once(self, place: Installation) -> None:
        floor = Floor(place)
        assert self.cancel(floor) is Cancel.OVER
        assert floor.run.status is RunStatus.CANCELLED
