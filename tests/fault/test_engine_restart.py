"""The container engine restarts under a running job or build: what it did is never taken for the job's own end."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from signal import SIGKILL, SIGTERM, Signals
from uuid import uuid4

import pytest

from app.domain.errors import EngineUnavailable
from app.domain.output import Seen, Stream
from app.engines.base import ContainerSpec, Engine, Exit, ExitKind, Handle
from app.engines.docker import DockerEngine
from builders.backends.base import BackendUnavailable, BuildFailed, BuildRequest, BuiltImage
from builders.backends.buildkit import BuildKitCli
from tests.support.engine_harness import utc_now
from tests.support.private_engine import PrivateEngine, private_engine
from tests.support.processes import ends
from tests.support.waiting import eventually

# Counts until its 400th line, or until it is told to stop, which it takes for a success.
COUNTS = "trap 'echo told; exit 0' TERM; n=0; while [ $n -lt 400 ]; do n=$((n+1)); echo $n; sleep 0.03; done; exit 5"
# Ends by itself, with the code 5, about a second after it has said so.
ENDS_SOON = "echo 1; sleep 1; echo 2; exit 5"


@pytest.fixture(scope="module", params=[True, False], ids=["live-restore", "no-live-restore"])
def engine_of_our_own(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PrivateEngine]:
    with private_engine(tmp_path_factory.mktemp("engine"), live_restore=request.param) as engine:
        yield engine


@pytest.fixture
def engine(engine_of_our_own: PrivateEngine) -> Iterator[DockerEngine]:
    engine = connect(engine_of_our_own)
    yield engine
    engine.close()


def connect(private: PrivateEngine, boot_id: str = "this boot") -> DockerEngine:
    return DockerEngine(
        url=private.url, installation="restarts", clock=utc_now, isolate_network=False, boot_id=boot_id
    )


def spec(private: PrivateEngine, shell: str) -> ContainerSpec:
    return ContainerSpec(private.image, command=("sh", "-c", shell), memory_bytes=64 << 20)


class Follower(threading.Thread):
    """Reads a log and waits for the end as a run does: again, after what it has, when the engine goes away."""

    def __init__(self, engine: Engine, handle: Handle) -> None:
        super().__init__()
        self._engine = engine
        self._handle = handle
        self._sizes: Counter[Stream] = Counter()
        self._output = bytearray()
        self._last_at = utc_now()
        self.notes: list[str] = []
        self.end: Exit | None = None

    @property
    def lines(self) -> list[str]:
        return self._output.decode().splitlines()

    def run(self) -> None:
        while True:
            try:
                self._read()
                self.end = self._engine.wait(self._handle)
                return
            except EngineUnavailable:
                threading.Event().wait(0.1)

    def _read(self) -> None:
        for chunk in self._engine.logs(self._handle, self._seen()):
            if chunk.stream is Stream.SYSTEM:
                self.notes.append(chunk.data.decode())
                continue
            self._sizes[chunk.stream] += len(chunk.data)
            self._last_at = chunk.at
            self._output += chunk.data

    def _seen(self) -> Seen | None:
        if not self._output:
            return None
        lines = self._output.count(b"\n")
        return Seen(self._last_at, self._sizes[Stream.STDOUT], self._sizes[Stream.STDERR], lines)


def follow(engine: Engine, handle: Handle) -> Follower:
    """Started, and past its first lines."""
    follower = Follower(engine, handle)
    follower.start()
    eventually(lambda: len(follower.lines) >= 1)
    return follower


def ended(follower: Follower) -> Exit:
    follower.join(120)
    assert follower.end is not None
    return follower.end


@pytest.mark.parametrize("how", [SIGTERM, SIGKILL])
def test_a_restart_in_the_middle_of_a_run(
    engine_of_our_own: PrivateEngine, engine: DockerEngine, how: Signals
) -> None:
    handle = engine.start(spec(engine_of_our_own, COUNTS), f"middle-{how}", 1)
    follower = follow(engine, handle)
    engine_of_our_own.end(how)
    engine_of_our_own.start()
    end = ended(follower)
    numbers = [int(line) for line in follower.lines if line != "told"]
    assert numbers == sorted(set(numbers))  # nothing twice, everything in order
    if engine_of_our_own.keeps_running:
        assert (end.kind, end.exit_code) == (ExitKind.EXITED, 5)
        assert numbers[-1] == 400
    else:
        assert end.kind is ExitKind.ENGINE_FAILED
        assert "says nothing about the job" in end.detail
    if numbers != list(range(1, numbers[-1] + 1)):
        assert any("may be missing" in note for note in follower.notes)
    engine.remove(handle)


@pytest.mark.parametrize("how", [SIGTERM, SIGKILL])
def test_an_end_while_the_engine_was_away(
    engine_of_our_own: PrivateEngine, engine: DockerEngine, how: Signals
) -> None:
    """Only an engine that leaves its containers alone can be believed then."""
    handle = engine.start(spec(engine_of_our_own, ENDS_SOON), f"away-{how}", 1)
    follower = follow(engine, handle)
    process = engine_of_our_own.process_of(handle.id)
    engine_of_our_own.end(how)
    assert ends(process, 30), "nobody is asked meanwhile"
    engine_of_our_own.start()
    end = ended(follower)
    if engine_of_our_own.keeps_running:
        assert (end.kind, end.exit_code) == (ExitKind.EXITED, 5)
        assert follower.lines == ["1", "2"] or any("may be missing" in note for note in follower.notes)
    else:
        assert end.kind is ExitKind.ENGINE_FAILED
    engine.remove(handle)


def test_a_server_that_looks_later_is_not_fooled(
    engine_of_our_own: PrivateEngine, engine: DockerEngine
) -> None:
    """Nobody watched as the engine stopped the job."""
    handle = engine.start(spec(engine_of_our_own, COUNTS), "later", 1)
    engine.close()
    engine_of_our_own.end(SIGTERM)
    engine_of_our_own.start()
    later = connect(engine_of_our_own)
    end = later.wait(handle)
    kinds = {True: ExitKind.EXITED, False: ExitKind.ENGINE_FAILED}
    assert end.kind is kinds[engine_of_our_own.keeps_running]
    later.remove(handle)
    later.close()


def test_another_boot_of_the_machine(engine_of_our_own: PrivateEngine, engine: DockerEngine) -> None:
    handle = engine.start(spec(engine_of_our_own, "sleep 0.2"), "boot", 1)
    assert engine.wait(handle).kind is ExitKind.EXITED
    engine_of_our_own.end(SIGTERM)
    engine_of_our_own.start()
    after = connect(engine_of_our_own, boot_id="the next boot")
    assert after.wait(handle).kind is ExitKind.ENGINE_FAILED
    after.remove(handle)
    after.close()


def test_ends_that_are_the_jobs_own(engine_of_our_own: PrivateEngine, engine: DockerEngine) -> None:
    for number, shell in enumerate(["exit 0", "exit 143", "kill -TERM $$; exit 3"]):
        handle = engine.start(spec(engine_of_our_own, shell), f"own-{number}", 1)
        assert engine.wait(handle).kind is ExitKind.EXITED
        engine.remove(handle)


def test_a_stop_by_hand_is_no_success(engine_of_our_own: PrivateEngine, engine: DockerEngine) -> None:
    """Exit 0 after somebody else's `docker stop`."""
    handle = engine.start(spec(engine_of_our_own, COUNTS), "by-hand", 1)
    follower = follow(engine, handle)
    somebody = connect(engine_of_our_own)
    somebody.stop(handle, 10)
    somebody.close()
    assert ended(follower).kind is ExitKind.ENGINE_FAILED
    assert follower.lines[-1] == "told"
    engine.remove(handle)


def test_a_stop_of_ours_is_reported_as_it_was(engine_of_our_own: PrivateEngine, engine: DockerEngine) -> None:
    handle = engine.start(spec(engine_of_our_own, COUNTS), "ours", 1)
    follower = follow(engine, handle)
    engine.stop(handle, 10)
    end = ended(follower)
    assert (end.kind, end.exit_code) == (ExitKind.EXITED, 0)
    engine.remove(handle)


def build(
    private: PrivateEngine, context: Path, shell: str, on_output: Callable[[bytes], None]
) -> BuiltImage:
    text = f"FROM busybox:latest\nRUN echo {uuid4()} && {shell}\n"
    return BuildKitCli(private.url).build(
        BuildRequest(context=context, dockerfile_text=text),
        on_output=on_output,
        on_step=lambda _: None,
        should_stop=threading.Event(),
        time_limit_seconds=120,
    )


@pytest.mark.parametrize("how", [SIGTERM, SIGKILL])
def test_a_restart_in_the_middle_of_a_build(
    engine_of_our_own: PrivateEngine, tmp_path: Path, how: Signals
) -> None:
    """It is the engine's fault, also where it is back by the time that anybody asks; the build can be made again."""
    output = bytearray()

    def restart_once(chunk: bytes) -> None:
        begun = b"begun" in output
        output.extend(chunk)
        if not begun and b"begun" in output:
            engine_of_our_own.end(how)
            engine_of_our_own.start()

    with pytest.raises(BackendUnavailable, match="went away"):
        build(engine_of_our_own, tmp_path, "echo be''gun && sleep 60", restart_once)
    assert build(engine_of_our_own, tmp_path, "true", output.extend).digest.startswith("sha256:")


def test_what_a_step_says_of_an_engine_is_its_own(engine_of_our_own: PrivateEngine, tmp_path: Path) -> None:
    shell = "echo 'Cannot connect to the Docker daemon. Is the docker daemon running?' && exit 3"
    with pytest.raises(BuildFailed, match=r"exit code 3: Cannot connect to the Docker daemon"):
        build(engine_of_our_own, tmp_path, shell, lambda _: None)
