"""An engine in memory, told what to do: the whole contract of `base`, no sleeping, no real process.

    engine = FakeEngine(clock)
    engine.script("sha256:abc*", Script(output=[b"hello\\n"], exit_code=3))    # a pattern over image or key
    engine.script("run-7-1", Script(exit_code=None))                          # runs until told
    handle = engine.start(spec, "run-7-1", token=1)
    engine.emit("run-7-1", b"more"); engine.finish("run-7-1", 0)
    assert engine.starts("run-7-1") == 1

Without a script a container prints nothing and exits 0 at once. Several `FakeEngine`s may stand on one
`World`, as several servers do on one engine.
"""

from __future__ import annotations

import enum
import hashlib
import threading
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from fnmatch import fnmatchcase

from app.domain.errors import EngineUnavailable, JobyardError
from app.domain.held_images import HeldImage
from app.domain.metrics import Sample
from app.domain.output import Seen, Stream, Unseen
from app.engines.base import (
    LOST,
    Chunk,
    Confinement,
    ContainerSpec,
    EngineInfo,
    Exit,
    ExitKind,
    Handle,
    ImageConfig,
    ImageUnavailable,
    Owned,
    RegistryLogin,
    ResolvedImage,
    StartUncertain,
    State,
    is_same,
)
from app.engines.fake_shell import FakeShell
from app.engines.shells import NO_SHELL, NOT_RUNNING, NoShell

SIGKILLED = 137
SIGTERMED = 143


@dataclass(frozen=True)
class Script:
    """What a container does. Plain bytes of `output` go to stdout, all of it before anything else happens.

    `exit_code=None` runs until `finish`, `stop` or `vanish`. `on_sigterm` is the exit code after SIGTERM; `None`
    ignores it (and the grace period passes at once). `start_error` is raised instead of starting.
    """

    output: Sequence[bytes | tuple[Stream, bytes]] = ()
    exit_code: int | None = 0
    oom_killed: bool = False
    on_sigterm: int | None = SIGTERMED
    start_error: JobyardError | None = None
    probe_exit_code: int = 0
    has_shell: bool = True
    sample: Sample | None = None


class Fault(enum.Enum):
    """How a call goes wrong."""

    REFUSED = "refused"  # nothing was done
    ANSWER_LOST = "answer lost"  # it was done, and we are not told


@dataclass
class _Container:
    handle: Handle
    spec: ContainerSpec
    script: Script
    state: State
    epoch: str = ""
    started_at: datetime | None = None
    chunks: list[Chunk] = field(default_factory=list)
    exit: Exit | None = None
    shells: list[FakeShell] = field(default_factory=list)


FAKE_BYTES = 1_000_000


class World:
    """What outlives a server: the containers, the images, and how often anything was started."""

    def __init__(self) -> None:
        self.changed = threading.Condition(threading.RLock())
        self.containers: dict[str, _Container] = {}
        self.starts: Counter[str] = Counter()
        self.scripts: list[tuple[str, Script]] = []
        self.missing_images: set[str] = set()
        self.images: dict[str, ImageConfig] = {}
        self.tags: dict[str, str] = {}  # digests, where a registry says another than the name does
        self.names: list[str] = []  # that images have
        self.cache_bytes = 0
        self.faults: defaultdict[str, deque[Fault]] = defaultdict(deque)
        self.down = False


class FakeEngine:
    """See the module's text; the methods of `Engine` first, then what tests tell it."""

    name = "fake"

    def __init__(self, clock: Callable[[], datetime], world: World | None = None, *, epoch: str = "") -> None:
        self._clock = clock
        self._epoch = epoch
        self._world = world or World()
        self._closed = False

    # -- the contract --

    def info(self) -> EngineInfo:
        with self._call("info"):
            return EngineInfo(self.name, "1", 2, 4 << 30, "Nothing really runs.", is_isolated=False)

    def confine(self) -> str:
        with self._call("confine"):
            return ""

    def confinement(self) -> Confinement:
        return Confinement()

    def unconfine(self) -> None:
        """There is nothing to undo."""

    def disk_refusal(self, size: int) -> str:  # noqa: ARG002
        return ""

    def resolve(
        self,
        reference: str,
        login: RegistryLogin | None = None,  # noqa: ARG002
        *,
        pull: bool = True,  # noqa: ARG002
    ) -> ResolvedImage:
        with self._call("resolve"):
            self._image(reference)
            digest = self._world.tags.get(reference) or _digest_of(reference)
            name = reference if reference.startswith("sha256:") else f"{reference.partition('@')[0]}@{digest}"
            return ResolvedImage(name, digest)

    def held(self, reference: str) -> ResolvedImage:
        with self._call("held"):
            self._image(reference)
            return ResolvedImage(_digest_of(reference), _digest_of(reference))

    def image_config(self, image: str) -> ImageConfig:
        with self._call("image_config"):
            return self._image(image)

    def rename_images(self, new_name: Callable[[str], str | None]) -> int:
        with self._call("rename_images"):
            given = {name: new for name in self._world.names if (new := new_name(name)) is not None}
            self._world.names = [given.get(name, name) for name in self._world.names]
            return len(given)

    def images(self) -> Sequence[HeldImage]:
        with self._call("images"):
            return [
                HeldImage((name,), frozenset({self._world.tags.get(name) or _digest_of(name)}), FAKE_BYTES)
                for name in self._world.names
            ]

    def remove_image(self, name: str) -> bool:
        with self._call("remove_image"):
            if name in self._world.names:
                self._world.names.remove(name)
            return True

    def prune_build_cache(self, keep_bytes: int) -> int:
        with self._call("prune_build_cache"):
            before, self._world.cache_bytes = (
                self._world.cache_bytes,
                min(self._world.cache_bytes, keep_bytes),
            )
            return before - self._world.cache_bytes

    def start(self, spec: ContainerSpec, key: str, token: int, *, is_new: bool = False) -> Handle:  # noqa: ARG002
        with self._call("start", lost=StartUncertain):
            place = self._place(spec, key)
            known = self._world.containers.get(place)
            if known and known.state is not State.CREATED:
                return known.handle
            self._image(spec.image)
            script = self._script_for(spec.image, key)
            handle = Handle(self.name, key, id=f"fake-{place}", name=f"jy-{key}-t{token}")
            container = _Container(handle, spec, script, State.CREATED, self._epoch)
            self._world.containers[place] = container
            if script.start_error:
                raise script.start_error
            self._run(container)
            return handle

    def logs(self, handle: Handle, seen: Seen | None = None) -> Iterator[Chunk]:
        handed_out = 0
        unseen = Unseen(seen)
        while True:
            with self._call("logs"):
                while True:
                    container = self._found(handle)
                    fresh = container.chunks[handed_out:] if container else []
                    if fresh or container is None or container.state is not State.RUNNING:
                        break
                    self._sleep_until_changed()
            for chunk in fresh:
                handed_out += 1
                if fresh_data := unseen.of(chunk.stream, chunk.data):
                    yield replace(chunk, data=fresh_data)
            if not fresh:
                return

    def wait(self, handle: Handle) -> Exit:
        with self._call("wait"):
            while True:
                container = self._found(handle)
                if container is None:
                    return Exit(ExitKind.LOST, detail=LOST)
                if container.exit:
                    return container.exit
                if container.state is State.CREATED:
                    return Exit(ExitKind.ENGINE_FAILED, detail="The container was never started.")
                self._sleep_until_changed()

    def stats(self, handle: Handle) -> Sample | None:
        with self._call("stats"):
            container = self._alive(handle)
            if container is None:
                return None
            return container.script.sample or Sample(self._clock(), 0.25, 16 << 20, 0, 0, 1)

    def probe(self, handle: Handle, argv: Sequence[str], timeout_seconds: float) -> int:  # noqa: ARG002
        with self._call("probe"):
            container = self._alive(handle)
            return container.script.probe_exit_code if container else 125

    def shell(self, handle: Handle, columns: int, rows: int) -> FakeShell:
        with self._call("shell"):
            container = self._alive(handle)
            if container is None:
                raise NoShell(NOT_RUNNING)
            if not container.script.has_shell:
                raise NoShell(NO_SHELL)
            shell = FakeShell(self._world.changed, (columns, rows), id(self))
            container.shells.append(shell)
            return shell

    def end_shells(self, handle: Handle) -> None:
        with self._call("end_shells"):
            container = self._found(handle)
            for shell in container.shells if container else ():
                if shell.opened_by != id(self):
                    shell.close()

    def address(self, handle: Handle) -> str | None:
        with self._call("address"):
            return "127.0.0.1" if self._alive(handle) else None

    def stop(self, handle: Handle, grace_seconds: float) -> None:
        with self._call("stop"):
            container = self._alive(handle)
            if container is None:
                return
            patient = grace_seconds > 0 and container.script.on_sigterm is not None
            self._end(container, container.script.on_sigterm if patient else SIGKILLED)

    def remove(self, handle: Handle) -> None:
        with self._call("remove"):
            for place, container in list(self._world.containers.items()):
                if (container.handle.id, container.epoch) == (handle.id, self._epoch):
                    del self._world.containers[place]
            self._world.changed.notify_all()

    def owned(self) -> Sequence[Owned]:
        with self._call("owned"):
            return [_owned(c) for c in self._world.containers.values() if c.epoch == self._epoch]

    def of_other_epochs(self) -> Sequence[Owned]:
        with self._call("of_other_epochs"):
            return [_owned(c) for c in self._world.containers.values() if c.epoch != self._epoch]

    def close(self) -> None:
        with self._world.changed:
            self._closed = True
            self._world.changed.notify_all()

    # -- what tests tell it and ask it --

    def script(self, pattern: str, script: Script) -> FakeEngine:
        """Containers whose image or key matches (`*`, `?`) do this; the latest match counts."""
        with self._world.changed:
            self._world.scripts.append((pattern, script))
        return self

    def image(self, reference: str, config: ImageConfig) -> FakeEngine:
        """Give an image a configuration for `image_config`."""
        with self._world.changed:
            self._world.images[reference] = config
        return self

    def tag(self, reference: str, digest: str) -> FakeEngine:
        """From now on the reference means this digest."""
        with self._world.changed:
            self._world.tags[reference] = digest
        return self

    def without_image(self, reference: str) -> FakeEngine:
        """This reference does not exist."""
        with self._world.changed:
            self._world.missing_images.add(reference)
        return self

    def with_image(self, reference: str) -> FakeEngine:
        """This reference exists again."""
        with self._world.changed:
            self._world.missing_images.discard(reference)
        return self

    def fail(self, operation: str, fault: Fault, times: int = 1) -> FakeEngine:
        """The next calls of a method, e.g. `"start"`, go wrong."""
        with self._world.changed:
            self._world.faults[operation].extend([fault] * times)
        return self

    def unavailable(self, down: bool) -> None:
        """The engine stops answering, also those who wait for it; containers run on."""
        with self._world.changed:
            self._world.down = down
            self._world.changed.notify_all()

    def create(self, spec: ContainerSpec, key: str) -> None:
        """Leave a container that was created and never started, as a server killed in between does."""
        with self._world.changed:
            handle = Handle(self.name, key, id=f"fake-{key}", name=f"jy-{key}-t0")
            self._world.containers[key] = _Container(
                handle, spec, self._script_for(spec.image, key), State.CREATED, self._epoch
            )

    def emit(self, key: str, data: bytes, stream: Stream = Stream.STDOUT) -> None:
        """The running container writes."""
        with self._world.changed:
            self._write(self._world.containers[key], stream, data)

    def answer_probes(self, key: str, exit_code: int) -> None:
        """From now on, probes of the running container come to this."""
        with self._world.changed:
            container = self._world.containers[key]
            container.script = replace(container.script, probe_exit_code=exit_code)

    def finish(self, key: str, exit_code: int = 0, *, oom_killed: bool = False) -> None:
        """The running container ends by itself."""
        with self._world.changed:
            self._end(self._world.containers[key], exit_code, oom_killed=oom_killed)

    def crash(self, key: str, detail: str = "The engine was restarted while this ran.") -> None:
        """The engine ends the running container, or can't say how it ended."""
        with self._world.changed:
            container = self._world.containers[key]
            container.exit = Exit(
                ExitKind.ENGINE_FAILED, None, False, container.started_at, self._clock(), detail
            )
            container.state = State.EXITED
            self._world.changed.notify_all()

    def vanish(self, key: str) -> None:
        """Somebody removes the container behind our back."""
        with self._world.changed:
            del self._world.containers[key]
            self._world.changed.notify_all()

    def starts(self, key: str) -> int:
        """Return how many processes were ever started for this key: never more than one, if the server is right."""
        with self._world.changed:
            return self._world.starts[key]

    def shells(self, key: str) -> Sequence[FakeShell]:
        """Return the shells that were opened in the container, also those that have ended, oldest first."""
        with self._world.changed:
            return list(self._world.containers[key].shells)

    def spec(self, key: str) -> ContainerSpec:
        """Return what the container was started with."""
        with self._world.changed:
            return self._world.containers[key].spec

    def running(self) -> list[str]:
        """Return the keys of the containers that run now, oldest first."""
        with self._world.changed:
            return [key for key, c in self._world.containers.items() if c.state is State.RUNNING]

    # -- how it works --

    @contextmanager
    def _call(self, operation: str, lost: type[JobyardError] = EngineUnavailable) -> Iterator[None]:
        with self._world.changed:
            self._check_up()
            faults = self._world.faults[operation]
            fault = faults.popleft() if faults else None
            if fault is Fault.REFUSED:
                raise EngineUnavailable(f"The engine refused to {operation}.")
            yield
            if fault is Fault.ANSWER_LOST:
                raise lost(f"The engine's answer to {operation} was lost.")

    def _check_up(self) -> None:
        if self._world.down or self._closed:
            raise EngineUnavailable("The engine does not answer.")

    def _sleep_until_changed(self) -> None:
        self._world.changed.wait()
        self._check_up()

    def _image(self, reference: str) -> ImageConfig:
        if reference in self._world.missing_images:
            raise ImageUnavailable(f"There is no image {reference}.")
        return self._world.images.get(reference, {"entrypoint": [], "command": [], "env": {}})

    def _script_for(self, image: str, key: str) -> Script:
        for pattern, script in reversed(self._world.scripts):
            if fnmatchcase(image, pattern) or fnmatchcase(key, pattern):
                return script
        return Script()

    def _place(self, spec: ContainerSpec, key: str) -> str:
        """Return where the container of this key is or will be: at its key, unless another request's container has
        it.
        """
        for place, there in self._world.containers.items():
            is_ours = there.handle.key == key and there.epoch == self._epoch
            if is_ours and is_same(there.spec.labels, spec.labels):
                return place
        free = (key, *(f"{key}@{number}" for number in range(2, len(self._world.containers) + 3)))
        return next(place for place in free if place not in self._world.containers)

    def _found(self, handle: Handle) -> _Container | None:
        return next((c for c in self._world.containers.values() if c.handle.id == handle.id), None)

    def _alive(self, handle: Handle) -> _Container | None:
        container = self._found(handle)
        return container if container and container.state is State.RUNNING else None

    def _run(self, container: _Container) -> None:
        self._world.starts[container.handle.id.removeprefix("fake-")] += 1
        container.state = State.RUNNING
        container.started_at = self._clock()
        self._world.changed.notify_all()
        for piece in container.script.output:
            stream, data = (Stream.STDOUT, piece) if isinstance(piece, bytes) else piece
            self._write(container, stream, data)
        if container.script.exit_code is not None:
            self._end(container, container.script.exit_code, oom_killed=container.script.oom_killed)

    def _write(self, container: _Container, stream: Stream, data: bytes) -> None:
        container.chunks.append(Chunk(self._clock(), stream, data))
        self._world.changed.notify_all()

    def _end(self, container: _Container, exit_code: int | None, *, oom_killed: bool = False) -> None:
        container.exit = Exit(ExitKind.EXITED, exit_code, oom_killed, container.started_at, self._clock())
        container.state = State.EXITED
        for shell in container.shells:
            shell.close()
        self._world.changed.notify_all()


def _owned(container: _Container) -> Owned:
    return Owned(container.handle, container.state, container.spec.labels, container.started_at)


def _digest_of(reference: str) -> str:
    return "sha256:" + hashlib.sha256(reference.encode()).hexdigest()
