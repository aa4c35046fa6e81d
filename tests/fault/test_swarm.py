"""A Swarm whose nodes are killed, cut off and brought back; its engines are of this test's own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from app.domain.errors import EngineUnavailable
from app.domain.output import Stream
from app.engines.base import (
    ContainerSpec,
    Engine,
    Exit,
    ExitKind,
    Handle,
    StartRefused,
    StartUncertain,
    State,
)
from app.engines.fake import Script
from app.engines.swarm.starting import Patience
from tests.support.swarm_harness import Swarm, SwarmHarness, swarm, swarm_harness
from tests.support.waiting import eventually

pytestmark = pytest.mark.xdist_group("swarm")  # which is one, and slow to make
LOST_SECONDS = 30.0  # in which a Swarm of these settings says that a node is gone, with much to spare
COUNTS = "n=0; while true; do echo line $n; n=$((n+1)); sleep 0.2; done"
HUGE = 1000.0  # CPUs


@pytest.fixture(scope="module")
def nodes() -> Iterator[Swarm]:
    with swarm() as made:
        yield made


@pytest.fixture
def harness(nodes: Swarm) -> Iterator[SwarmHarness]:
    with swarm_harness(nodes) as made:
        yield made


@pytest.fixture
def worker(nodes: Swarm) -> Iterator[int]:
    """The number of a node which the test may do anything to."""
    yield 3
    nodes.repair(3)


def on(nodes: Swarm, number: int, harness: SwarmHarness, **fields: object) -> ContainerSpec:
    """What counts on this node, for ever."""
    nodes.label(number, "test", nodes.name(number))
    return harness.spec(COUNTS, Script(), node_labels={"test": nodes.name(number)}, **fields)


class Reader:
    """Reads an output in a thread of its own, as far as the engine lets it."""

    def __init__(self, engine: Engine, handle: Handle) -> None:
        self.lines: list[str] = []
        self.notes: list[str] = []
        self._thread = threading.Thread(target=self._read, args=(engine, handle), daemon=True)
        self._thread.start()

    def _read(self, engine: Engine, handle: Handle) -> None:
        with suppress(EngineUnavailable):
            self._take(engine, handle)

    def _take(self, engine: Engine, handle: Handle) -> None:
        rest = b""
        for chunk in engine.logs(handle):
            if chunk.stream is Stream.SYSTEM:
                self.notes.append(chunk.data.decode())
            else:
                *lines, rest = (rest + chunk.data).split(b"\n")
                self.lines += [line.decode() for line in lines]

    def has(self, number: int) -> None:
        eventually(lambda: len(self.lines) >= number, LOST_SECONDS)

    def end(self) -> None:
        self._thread.join(LOST_SECONDS)
        assert not self._thread.is_alive()

    def require_no_gap(self) -> None:
        assert self.lines == [f"line {number}" for number in range(len(self.lines))]


def ended(harness: SwarmHarness, handle: Handle, seconds: float = LOST_SECONDS) -> Exit:
    with ThreadPoolExecutor() as pool:
        return pool.submit(harness.another().wait, handle).result(seconds)


def test_a_plan_is_run_on_nodes_with_its_labels(nodes: Swarm, harness: SwarmHarness) -> None:
    for number in (2, 3):
        handle = harness.engine.start(on(nodes, number, harness), f"on-{number}", 1)
        assert handle.node == nodes.name(number)


def test_nodes_are_told_with_what_is_reserved_of_them(nodes: Swarm, harness: SwarmHarness) -> None:
    def reserved() -> dict[str, float]:
        return {node.name: round(node.reserved_cpus, 2) for node in harness.engine.info().nodes}

    names = [nodes.name(number) for number in nodes.numbers]
    eventually(lambda: reserved() == dict.fromkeys(names, 0.0), LOST_SECONDS)
    handle = harness.engine.start(on(nodes, 2, harness, cpus=0.3), "a", 1)
    eventually(lambda: reserved() == {**dict.fromkeys(names, 0.0), nodes.name(2): 0.3}, LOST_SECONDS)
    assert all(node.takes_work and node.memory_bytes for node in harness.engine.info().nodes)
    harness.engine.remove(handle)


def test_a_node_that_dies_loses_a_run_which_may_overlap(
    nodes: Swarm, harness: SwarmHarness, worker: int
) -> None:
    handle = harness.engine.start(on(nodes, worker, harness, may_overlap=True), "a", 1)
    reader = Reader(harness.engine, handle)
    reader.has(3)
    nodes.kill(worker)
    reader.end()
    assert any("may be missing" in note for note in reader.notes)
    found = ended(harness, handle)
    assert found.kind is ExitKind.LOST
    assert nodes.name(worker) in found.detail
    assert {node.name for node in harness.engine.info().nodes if not node.takes_work} == {nodes.name(worker)}
    again = harness.engine.start(harness.spec("echo elsewhere", Script()), "b", 1)
    assert again.node != nodes.name(worker)
    assert b"".join(chunk.data for chunk in harness.engine.logs(again)) == b"elsewhere\n"
    assert harness.engine.owned() == [each for each in harness.engine.owned() if each.handle == again]


def test_a_node_that_comes_back_ends_what_was_given_up(
    nodes: Swarm, harness: SwarmHarness, worker: int
) -> None:
    handle = harness.engine.start(on(nodes, worker, harness, may_overlap=True), "a", 1)
    assert nodes.containers(worker)
    nodes.cut_off(worker)
    assert ended(harness, handle).kind is ExitKind.LOST
    assert nodes.containers(worker)
    nodes.heal(worker)
    eventually(lambda: not nodes.containers(worker), LOST_SECONDS)


def test_a_run_that_may_not_overlap_goes_on_with_its_node(
    nodes: Swarm, harness: SwarmHarness, worker: int
) -> None:
    handle = harness.engine.start(on(nodes, worker, harness), "a", 1)
    reader = Reader(harness.engine, handle)
    reader.has(3)
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(harness.another().wait, handle)
        nodes.cut_off(worker)
        eventually(lambda: reader.notes, LOST_SECONDS)
        assert "docker node rm" in reader.notes[0]
        assert not waiting.done()
        nodes.heal(worker)
        reader.has(len(reader.lines) + 30)
        harness.engine.stop(handle, 3)
        assert waiting.result(LOST_SECONDS).exit_code in (137, 143)
    reader.end()
    reader.require_no_gap()


def test_a_short_cut_costs_no_line_and_brings_none_twice(
    nodes: Swarm, harness: SwarmHarness, worker: int
) -> None:
    """Shorter than a Swarm takes to find that a node is gone."""
    handle = harness.engine.start(on(nodes, worker, harness), "a", 1)
    reader = Reader(harness.engine, handle)
    reader.has(3)
    nodes.cut_off(worker)
    before = nodes.lines(worker)
    eventually(lambda: nodes.lines(worker) > before + 8, LOST_SECONDS)
    nodes.heal(worker)
    reader.has(before + 15)
    assert nodes.is_ready(worker)
    harness.engine.stop(handle, 3)
    reader.end()
    reader.require_no_gap()


def test_a_run_that_may_not_overlap_ends_with_a_node_that_is_removed(
    nodes: Swarm, harness: SwarmHarness, worker: int
) -> None:
    handle = harness.engine.start(on(nodes, worker, harness), "a", 1)
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(harness.another().wait, handle)
        stopping = pool.submit(harness.engine.stop, handle, 3)
        nodes.cut_off(worker)
        eventually(lambda: not nodes.is_ready(worker), LOST_SECONDS)
        assert not waiting.done()
        assert not stopping.done()
        nodes.remove(worker)
        assert waiting.result(LOST_SECONDS).kind is ExitKind.LOST
        stopping.result(LOST_SECONDS)


def test_what_no_node_has_room_for_waits_and_then_fails(harness: SwarmHarness) -> None:
    engine = harness.another(patience=Patience(start=3, call=0.5))
    spec = harness.spec("exit 0", Script(), cpus=HUGE)
    with pytest.raises(StartUncertain, match=r"No node of the Swarm takes this container: no suitable node"):
        engine.start(spec, "a", 1)
    assert [each.state for each in engine.owned()] == [State.RUNNING]

    said: list[str] = []

    def is_refused() -> bool:
        try:
            engine.start(spec, "a", 1)
        except StartUncertain:
            return False
        except StartRefused as error:
            said.append(str(error))
        return True

    eventually(is_refused, LOST_SECONDS)
    assert said[0].startswith(
        "The container did not start within 3 s. No node of the Swarm takes this container: no suitable node"
    )
    assert engine.owned() == []


def test_what_has_not_begun_is_stopped_for_good(harness: SwarmHarness) -> None:
    engine = harness.another(patience=Patience(call=0.5))
    with pytest.raises(StartUncertain):
        engine.start(harness.spec("exit 0", Script(), cpus=HUGE), "a", 1)
    (left,) = engine.owned()
    engine.stop(left.handle, 1)
    assert [each.state for each in engine.owned()] == [State.EXITED]
    assert engine.wait(left.handle).kind is ExitKind.ENGINE_FAILED


def test_a_manager_that_dies_and_comes_back_has_lost_nothing(nodes: Swarm, harness: SwarmHarness) -> None:
    handle = harness.engine.start(on(nodes, 2, harness), "a", 1)
    reader = Reader(harness.engine, handle)
    reader.has(3)
    nodes.kill(1)
    with pytest.raises(EngineUnavailable):
        harness.engine.wait(handle)
    nodes.start(1)
    nodes.expect_ready(2)
    again = Reader(harness.another(), handle)
    again.has(10)
    harness.another().stop(handle, 3)
    again.end()
    again.require_no_gap()


def test_a_leader_that_dies_is_replaced_and_nothing_is_lost() -> None:
    with swarm(managers=3) as nodes, swarm_harness(nodes) as harness:
        engine = harness.another(url=nodes.url(2))
        handle = engine.start(on(nodes, 3, harness), "a", 1)
        Reader(engine, handle).has(3)
        nodes.kill(1)  # the others agree on a new leader after some 25 s

        def answers() -> bool:
            with suppress(EngineUnavailable):
                return bool(engine.info().version)
            return False

        eventually(answers, 60)
        assert [each.state for each in engine.owned()] == [State.RUNNING]
        reader = Reader(engine, handle)
        reader.has(60)
        reader.require_no_gap()
        engine.stop(handle, 3)
        assert engine.wait(handle).exit_code in (137, 143)
        engine.remove(handle)
        nodes.start(1)
