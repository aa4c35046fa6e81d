"""Health checks of runs on an engine in memory, and what a probe asks; the clock is moved by hand."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from app.domain.errors import EngineUnavailable
from app.domain.health import CheckStatus
from app.domain.job.checks import CheckType, Protocol
from app.domain.job.codec import check_from_json
from app.domain.runs import Reason, RunStatus
from app.engines.base import Capability, ContainerSpec, Handle
from app.engines.fake import FakeEngine, Fault, Script
from app.store import run_attempts, runs
from app.workers.run.health_checks import HealthChecks
from app.workers.run.probes import probe
from tests.support.clock import START, Clock
from tests.support.fakes import image_of
from tests.support.installation import Installation
from tests.support.monitored_run import FOREVER, AtOnce, MonitoredRun
from tests.support.waiting import eventually

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


class TestHealth:
    @pytest.mark.parametrize("has_addresses", [True, False])
    def test_a_failing_check_ends_the_attempt_as_unhealthy_and_it_is_tried_again(
        self, place: Installation, *, has_addresses: bool
    ) -> None:
        if not has_addresses:
            place.engine.without(Capability.ADDRESS, "Its containers are out of reach.")
        monitored = MonitoredRun(place, health_checks=[LIVENESS], retry_limit=1)
        place.engine.script("run-*", Script(exit_code=None, on_sigterm=0))
        with monitored.running():
            monitored.pass_time(20)
            monitored.watch()
            assert monitored.active.unhealthy == {}
            place.engine.answer_probes(monitored.key(), 1)
            monitored.pass_time(20)
            monitored.watch()
        ((attempt, (container,)),) = monitored.attempts
        sentence = "The liveness check (the command 'test -f /up') failed 2 times in a row, at last with: exit code 1."
        assert (attempt.reason, attempt.sentence) == (Reason.UNHEALTHY, sentence)
        assert (container.reason, container.exit_code) == (Reason.UNHEALTHY, 0), (
            "an exit with 0 changes nothing"
        )
        assert (monitored.run.status, monitored.run.failed) == (RunStatus.QUEUED, 1)
        place.engine.script("run-*", Script())
        monitored.server.runner.step()
        assert monitored.run.status is RunStatus.SUCCEEDED

    @pytest.mark.parametrize(
        ("check", "lacking", "words"),
        [
            (LIVENESS, Capability.PROBE, "the command 'test -f /up'"),
            (
                {**LIVENESS, "protocol": "tcp", "port": 80, "cmd": None},
                Capability.ADDRESS,
                "a connection to port 80",
            ),
        ],
    )
    def test_one_that_the_engine_can_not_ask_starts_nothing(
        self, place: Installation, check: dict[str, Any], lacking: Capability, words: str
    ) -> None:
        place.engine.without(lacking, "Its containers are out of reach.")
        monitored = MonitoredRun(place, health_checks=[check])
        monitored.server.runner.step()
        assert monitored.run.status is RunStatus.FAILED
        assert monitored.run.sentence == (
            f"The health check of {words} can't be asked. Its containers are out of reach."
        )
        assert place.engine.owned() == []

    def test_results_are_kept_with_the_attempt(self, place: Installation) -> None:
        monitored = MonitoredRun(place, health_checks=[STARTUP, LIVENESS])
        with monitored.running():
            place.engine.answer_probes(monitored.key(), 1)
            monitored.pass_time(6)
            place.engine.answer_probes(monitored.key(), 0)
            monitored.pass_time(400)
            place.engine.finish(monitored.key())
        found = place.log_storage.vitals(monitored.run_id, 1).health(0)
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
        monitored = MonitoredRun(place, health_checks=[LIVENESS])
        with monitored.running():
            place.engine.answer_probes(monitored.key(), 1)
            monitored.pass_time(14)
            place.engine.finish(monitored.key(), 0)
            monitored.pass_time(20)
        assert monitored.run.status is RunStatus.SUCCEEDED

    def test_an_engine_that_does_not_answer_is_not_the_jobs_failure(self, place: Installation) -> None:
        monitored = MonitoredRun(place, health_checks=[LIVENESS])
        with monitored.running():
            place.engine.fail("probe", Fault.REFUSED, times=5)
            monitored.pass_time(100)
            assert monitored.active.unhealthy == {}
            place.engine.finish(monitored.key())
        assert len(place.log_storage.vitals(monitored.run_id, 1).health(0)[CheckType.LIVENESS].answers) == 5

    def test_one_unhealthy_instance_ends_the_attempt_and_stops_the_others(self, place: Installation) -> None:
        monitored = MonitoredRun(place, health_checks=[LIVENESS], instances=3)
        with monitored.running(containers=3):
            place.engine.answer_probes(monitored.key(instance=1), 1)
            monitored.pass_time(20)
            assert set(monitored.active.unhealthy) == {1}
            monitored.watch()
            eventually(lambda: monitored.active.pointless == {0, 2})
            monitored.clock.advance(seconds=1)
            monitored.watch()
        ((attempt, containers),) = monitored.attempts
        assert attempt.reason is Reason.UNHEALTHY
        assert [each.exit_code for each in containers] == [143, 143, 143]
        assert monitored.run.reason is Reason.UNHEALTHY

    def test_a_cancelled_run_is_not_asked_any_more(self, place: Installation) -> None:
        monitored = MonitoredRun(place, health_checks=[LIVENESS])
        place.engine.script("run-*", Script(exit_code=None))
        with monitored.running():
            place.engine.answer_probes(monitored.key(), 1)
            monitored.active.request_stop()
            monitored.pass_time(100)
            assert monitored.active.unhealthy == {}
            place.engine.finish(monitored.key(), 0)

    def test_a_judgement_outlives_the_server(self, place: Installation) -> None:
        """Stored before the container is stopped: another server that finds it ended by SIGTERM says why."""
        monitored = MonitoredRun(place, health_checks=[LIVENESS])
        first = monitored.server
        with monitored.running():
            place.engine.answer_probes(monitored.key(), 1)
            monitored.pass_time(20)
            assert monitored.active.unhealthy
            with place.db.read() as tx:
                run = runs.with_id(tx, monitored.run_id)
                (attempt,) = run_attempts.attempts_of(tx, run.id)
                (container,) = run_attempts.containers_of(tx, attempt.id)
            assert container.reason is Reason.UNHEALTHY
            first.fuse.blows_at = 0  # dead from here on
            place.engine.stop(Handle.from_json(container.handle or {}), 10)
        second = monitored.serve("second")
        second.reconcile()
        assert (monitored.run.status, monitored.run.reason) == (RunStatus.FAILED, Reason.UNHEALTHY)
        assert "liveness check" in monitored.run.sentence

    def test_another_server_goes_on_counting(self, place: Installation) -> None:
        monitored = MonitoredRun(place, health_checks=[LIVENESS])
        with monitored.running():
            place.engine.answer_probes(monitored.key(), 1)
            monitored.pass_time(6)
            again = HealthChecks(
                place.db,
                monitored.clock,
                place.engine,
                monitored.server.runner.active,
                place.log_storage,
                AtOnce(),
            )
            monitored.clock.advance(seconds=10)
            again.step()
            assert set(monitored.active.unhealthy) == {0}
            monitored.watch()


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
        engine = FakeEngine(Clock().now).script("*", FOREVER)
        return engine, engine.start(ContainerSpec(image_of("1")), "run-1-1-0", 1)

    def ask(self, container: tuple[FakeEngine, Handle], **fields: Any) -> tuple[bool, str]:
        engine, handle = container
        check = check_from_json({"type": "liveness", "timeout_seconds": 1, "path": "/", **fields})
        answer = probe(engine, handle, check, Clock().now)
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
        assert probe(engine, handle, check, Clock().now) is None

    def test_an_engine_that_is_away(self, container: Any) -> None:
        container[0].unavailable(True)
        with pytest.raises(EngineUnavailable):
            self.ask(container, protocol=Protocol.CMD, cmd=("true",))
