"""What outlives the servers on an engine in memory: its containers and images, and how containers behave."""

from __future__ import annotations

import enum
import hashlib
import threading
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase

from app.domain.errors import JobyardError
from app.domain.metrics import Sample
from app.domain.output import Stream
from app.engines.base import (
    Capability,
    Chunk,
    ContainerSpec,
    Exit,
    ExitKind,
    Handle,
    ImageConfig,
    ImageUnavailable,
    State,
    is_same,
)
from app.engines.fake.shell import FakeShell

SIGTERMED = 143
Now = Callable[[], datetime]


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
class Container:
    handle: Handle
    spec: ContainerSpec
    script: Script
    state: State
    epoch: str = ""
    started_at: datetime | None = None
    chunks: list[Chunk] = field(default_factory=list)
    exit: Exit | None = None
    shells: list[FakeShell] = field(default_factory=list)


class World:
    """What outlives a server: the containers, the images, and how often anything was started."""

    def __init__(self) -> None:
        self.changed = threading.Condition(threading.RLock())
        self.containers: dict[str, Container] = {}
        self.starts: Counter[str] = Counter()
        self.scripts: list[tuple[str, Script]] = []
        self.missing_images: set[str] = set()
        self.images: dict[str, ImageConfig] = {}
        self.tags: dict[str, str] = {}  # digests, where a registry says another than the name does
        self.names: list[str] = []  # that images have
        self.cache_bytes = 0
        self.faults: defaultdict[str, deque[Fault]] = defaultdict(deque)
        self.lacks: dict[Capability, str] = {}
        self.down = False

    def image(self, reference: str) -> ImageConfig:
        """Raises ImageUnavailable."""
        if reference in self.missing_images:
            raise ImageUnavailable(f"There is no image {reference}.")
        return self.images.get(reference, {"entrypoint": [], "command": [], "env": {}})

    def digest(self, reference: str) -> str:
        """Return what a registry says that the reference means."""
        return self.tags.get(reference) or digest_of(reference)

    def script_for(self, image: str, key: str) -> Script:
        for pattern, script in reversed(self.scripts):
            if fnmatchcase(image, pattern) or fnmatchcase(key, pattern):
                return script
        return Script()

    def place(self, labels: Mapping[str, str], key: str, epoch: str) -> str:
        """Return where the container of this key is or will be: at its key, unless another request's container has
        it.
        """
        for place, there in self.containers.items():
            is_ours = there.handle.key == key and there.epoch == epoch
            if is_ours and is_same(there.spec.labels, labels):
                return place
        free = (key, *(f"{key}@{number}" for number in range(2, len(self.containers) + 3)))
        return next(place for place in free if place not in self.containers)

    def found(self, handle: Handle) -> Container | None:
        return next((c for c in self.containers.values() if c.handle.id == handle.id), None)

    def alive(self, handle: Handle) -> Container | None:
        container = self.found(handle)
        return container if container and container.state is State.RUNNING else None

    def run(self, container: Container, now: Now) -> None:
        """Start a container that is there, as far as its script goes by itself."""
        self.starts[container.handle.id.removeprefix("fake-")] += 1
        container.state = State.RUNNING
        container.started_at = now()
        self.changed.notify_all()
        for piece in container.script.output:
            stream, data = (Stream.STDOUT, piece) if isinstance(piece, bytes) else piece
            self.write(container, stream, data, now)
        if container.script.exit_code is not None:
            self.end(container, container.script.exit_code, now, oom_killed=container.script.oom_killed)

    def write(self, container: Container, stream: Stream, data: bytes, now: Now) -> None:
        container.chunks.append(Chunk(now(), stream, data))
        self.changed.notify_all()

    def end(self, container: Container, exit_code: int | None, now: Now, *, oom_killed: bool = False) -> None:
        container.exit = Exit(ExitKind.EXITED, exit_code, oom_killed, container.started_at, now())
        container.state = State.EXITED
        for shell in container.shells:
            shell.close()
        self.changed.notify_all()


def digest_of(reference: str) -> str:
    return "sha256:" + hashlib.sha256(reference.encode()).hexdigest()
