"""The Docker engine with a faulty line to the real one: at most one start, and no line of output twice or
missing."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.domain.errors import EngineUnavailable
from app.domain.output import Seen
from app.engines.base import Chunk, ExitKind, Handle, State, Stream
from app.engines.docker import DockerEngine
from app.engines.fake import Script
from tests.support.engine_harness import DockerHarness, docker_harness, utc_now
from tests.support.engine_proxy import Call, EngineProxy, Fault, Truncate
from tests.support.waiting import eventually

ONCE = ("echo started", Script())


@pytest.fixture
def harness() -> Iterator[DockerHarness]:
    with docker_harness() as harness:
        yield harness


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[EngineProxy]:
    with EngineProxy(tmp_path) as proxy:
        yield proxy


@pytest.fixture
def engine(harness: DockerHarness, proxy: EngineProxy) -> DockerEngine:
    """Reaches the real engine through the proxy."""
    return harness.through(proxy.url)


def text(chunks: Iterator[Chunk]) -> bytes:
    return b"".join(chunk.data for chunk in chunks if chunk.stream is not Stream.SYSTEM)


def starts(harness: DockerHarness) -> int:
    """How often the process ran: what all containers of the installation wrote, by the engine's own
    record."""
    engine = harness.another()
    return sum(text(engine.logs(owned.handle)).count(b"started\n") for owned in engine.owned())


def start_in_the_end(harness: DockerHarness, engine: DockerEngine) -> Handle:
    """As a caller does: again after an error, at the next claim."""
    for token in range(1, 20):
        try:
            return engine.start(harness.spec(*ONCE), "a", token)
        except EngineUnavailable:
            continue
    raise AssertionError("it never started")


def calls_of_a_start(harness: DockerHarness, proxy: EngineProxy, engine: DockerEngine) -> int:
    engine.start(harness.spec("exit 0", Script()), "measure", 1)
    count = len(proxy.calls)
    proxy.calls.clear()
    return count


@pytest.mark.parametrize("fault", [Fault.ERROR, Fault.RESET_BEFORE, Fault.RESET_AFTER])
def test_any_one_call_of_a_start_may_fail(harness: DockerHarness, proxy: EngineProxy, fault: Fault) -> None:
    count = calls_of_a_start(harness, proxy, harness.through(proxy.url))
    assert count >= 6  # version, network, list, create, list, attach, start
    for number in range(count):
        proxy.calls.clear()
        proxy.rule = lambda call, number=number: fault if call.number == number else None
        engine = harness.through(proxy.url)
        handle = start_in_the_end(harness, engine)
        assert text(engine.logs(handle)) == b"started\n", f"call {number}"
        assert engine.wait(handle).exit_code == 0
        assert starts(harness) == 1, f"call {number}"
        for owned in engine.owned():
            engine.remove(owned.handle)


@pytest.mark.parametrize("seed", range(4))
def test_many_calls_may_fail(harness: DockerHarness, proxy: EngineProxy, seed: int) -> None:
    chance = random.Random(seed)
    faults = [Fault.ERROR, Fault.RESET_BEFORE, Fault.RESET_AFTER, Fault.LATE]
    proxy.rule = lambda _call: chance.choice(faults) if chance.random() < 0.3 else None
    handle = start_in_the_end(harness, harness.through(proxy.url))
    proxy.release()
    assert harness.engine.wait(handle).exit_code == 0
    proxy.release()
    assert starts(harness) == 1


def test_a_start_that_lands_late_runs_nothing(
    harness: DockerHarness, proxy: EngineProxy, engine: DockerEngine
) -> None:
    first_start: list[Call] = []

    def late(call: Call) -> Fault | None:
        if call.is_start and not first_start:
            first_start.append(call)
            return Fault.LATE
        return None

    proxy.rule = late
    handle = engine.start(harness.spec(*ONCE), "a", 1)
    ended = engine.wait(handle)
    proxy.release()
    assert b"404 Not Found" in proxy.late_answers[0]
    assert text(engine.logs(handle)) == b"started\n"
    assert engine.wait(handle) == ended
    assert starts(harness) == 1


@pytest.mark.parametrize("route", ["create", "attach", "start"])
def test_a_server_that_dies_in_the_middle_is_taken_over(
    harness: DockerHarness, proxy: EngineProxy, engine: DockerEngine, route: str
) -> None:
    """It is seen last when it asks for something, which lands after another server has run the job."""
    stuck: list[Call] = []

    def rule(call: Call) -> Fault | None:
        if stuck:
            return Fault.STALL
        if call.path.endswith(f"/{route}"):
            stuck.append(call)
            return Fault.LATE
        return None

    proxy.rule = rule
    with ThreadPoolExecutor() as pool:
        dying = pool.submit(engine.start, harness.spec(*ONCE), "a", 1)
        eventually(lambda: bool(stuck))
        handle = harness.engine.start(harness.spec(*ONCE), "a", 2)
        assert text(harness.engine.logs(handle)) == b"started\n"
        assert harness.engine.wait(handle).exit_code == 0
        proxy.release()
        proxy.down()
        assert dying.exception(60)
    assert starts(harness) == 1
    assert [o.handle for o in harness.engine.owned() if o.state is not State.CREATED] == [handle]


@pytest.mark.parametrize("length", [0, 4, 20, 5_000])
def test_output_is_whole_although_its_connection_breaks(
    harness: DockerHarness, proxy: EngineProxy, engine: DockerEngine, length: int
) -> None:
    """Also in the middle of a frame; the process runs on and the engine is there all the time."""
    lines = b"".join(b"%d\n" % number for number in range(1, 20_001))
    proxy.rule = lambda call: Truncate(length) if call.path.endswith("/attach") else None
    handle = engine.start(harness.spec("seq 1 20000; sleep 0.5; echo end", Script()), "a", 1)
    chunks = list(engine.logs(handle))
    assert text(iter(chunks)) == lines + b"end\n"
    assert not [chunk for chunk in chunks if chunk.stream is Stream.SYSTEM]


def test_output_goes_on_after_the_engine_was_away(
    harness: DockerHarness, proxy: EngineProxy, engine: DockerEngine
) -> None:
    shell = "echo one; until test -e /tmp/go; do sleep 0.05; done; echo two; exit 5"
    handle = engine.start(harness.spec(shell, Script()), "a", 1)
    chunks = engine.logs(handle)
    assert next(chunks).data == b"one\n"
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(engine.wait, handle)
        eventually(lambda: any(call.path.endswith("/wait") for call in proxy.calls))
        proxy.down()
        with pytest.raises(EngineUnavailable):
            list(chunks)
        with pytest.raises(EngineUnavailable):
            waiting.result(20)
    proxy.up()
    assert harness.engine.probe(handle, ["touch", "/tmp/go"], 20) == 0
    rest = list(engine.logs(handle, Seen(utc_now(), stdout_bytes=4, stderr_bytes=0, lines=1)))
    assert rest[0].stream is Stream.SYSTEM
    assert b"may be missing" in rest[0].data
    assert text(iter(rest)) == b"two\n"
    assert engine.wait(handle).exit_code == 5


def test_an_engine_that_never_answers_is_unavailable_in_time(
    harness: DockerHarness, proxy: EngineProxy
) -> None:
    proxy.rule = lambda _call: Fault.STALL
    engine = DockerEngine(url=proxy.url, installation="x", clock=utc_now, timeout_seconds=0.3)
    handle = Handle("docker", "a", "a", "a")
    calls = [
        engine.info,
        engine.owned,
        lambda: engine.start(harness.spec(*ONCE), "a", 1),
        lambda: engine.wait(handle),
        lambda: list(engine.logs(handle)),
        lambda: engine.stop(handle, 0),
        lambda: engine.remove(handle),
    ]
    with ThreadPoolExecutor(len(calls)) as pool:
        for answer in [pool.submit(call) for call in calls]:
            assert isinstance(answer.exception(30), EngineUnavailable)
    engine.close()


def test_an_engine_that_is_down_says_what_to_do(tmp_path: Path) -> None:
    engine = DockerEngine(url=f"unix://{tmp_path}/none.sock", installation="x", clock=utc_now)
    with pytest.raises(
        EngineUnavailable, match=r"none\.sock does not answer: start it, or set JOBYARD_ENGINE"
    ):
        engine.info()


def test_removal_behind_our_back_while_the_line_breaks_is_lost(
    harness: DockerHarness, proxy: EngineProxy, engine: DockerEngine
) -> None:
    handle = engine.start(harness.spec("sleep 1000", Script()), "a", 1)
    harness.remove_behind_our_back(handle)
    proxy.cut()
    assert text(engine.logs(handle)) == b""
    assert engine.wait(handle).kind is ExitKind.LOST


def test_a_container_that_ends_while_it_is_measured_gives_no_reading(
    harness: DockerHarness, proxy: EngineProxy, engine: DockerEngine
) -> None:
    handle = engine.start(harness.spec("sleep 1000", Script()), "a", 1)
    assert engine.stats(handle)
    proxy.rule = lambda call: Fault.EMPTY if call.path.endswith("/stats") else None
    assert engine.stats(handle) is None
    proxy.rule = lambda call: Truncate(1) if call.path.endswith("/stats") else None
    with pytest.raises(EngineUnavailable):
        engine.stats(handle)
