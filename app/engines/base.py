"""The engine contract: what runs containers, and what it promises.

An engine is used from many threads at once; every method blocks until it has its answer or raises. `Handle`s are
plain data: they are stored, and any other process may go on with them later.

    start ──▶ handle ──▶ logs ∥ wait ∥ stats ──▶ exit ──▶ remove
                 └────── stop (any time, any number of times)

1. **One start per key.** `key` names one container of one attempt. Whatever happens (lost answers, a kill between any
   two calls, a second server), at most one process is ever started for it. `start` first looks for containers that
   carry the key: one that has ever left `created` is adopted, never started again; one that is only created is renamed
   to a name never used before (`token` and a counter are in it), its siblings are removed, and it is started *by that
   name*, so that a start request sent earlier under an older name finds nothing. A container of another epoch is
   nobody's here, nor is one with a label that says something else than the specification's (`is_same`): ids, and so
   keys, come again where a database was restored.
2. **Nothing is lost from the log, and nothing comes twice.** Output is attached before the process starts. The first
   `logs` call in the process that started the container gets every byte from the first on; a later call, perhaps in
   another process, says what it has `seen` and gets what lies beyond, from the engine's own copy as far as it has one;
   where output may be missing, a `Stream.SYSTEM` chunk says so. `logs` ends by itself when the process has ended and
   all is read. It must be consumed: a reader who stops reading stops the job.
3. **`wait` tells the job's doing from the engine's.** `Exit.kind` is `EXITED` only if the process really ran to an
   end: the container is exited, was started and finished in that order. A container that is gone is `LOST`.
   `wait` may run beside `logs`, before it or after it, and again later.
4. **`stop` and `remove` succeed on what is gone.** `stop` sends SIGTERM, waits `grace_seconds`, then SIGKILL, and
   returns when the container is not running any more. `remove` only ever removes containers that carry our labels.
5. **`owned` lists every container of this installation's epoch**, in any state, and nothing else's. An epoch is what
   lies between two restores of an installation's data; the first one's name is empty. `of_other_epochs` lists this
   installation's other containers, to be told of: another server may look after them.
6. **Faults are typed**: `EngineUnavailable` when the engine doesn't answer (try again), `ImageUnavailable` when the
   image can't be had, `StartRefused` when the engine answers that this specification can't run (the user's to mend).
7. **What is asked for is kept, or nothing starts.** An engine that can't keep a specification's `hardening` raises
   `StartRefused`, with the name of what it can't. `disk_bytes` is the server's wish: it is kept where it can be.
8. **What an engine can't do it says beforehand.** `lacks` names it, with a sentence. Asked for it all the same, `stats`
   and `address` return None, `probe` says that it could not (125), `shell` raises NoShell with that sentence.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypedDict

from app.domain.errors import TransientError, UserError
from app.domain.held_images import CacheUse, HeldImage
from app.domain.job.spec import Hardening
from app.domain.metrics import Sample
from app.domain.output import Seen, Stream
from app.engines.shells import Shell


class Capability(enum.StrEnum):
    """What an engine may be without (`Engine.lacks`)."""

    STATS = "stats"  # what a container uses
    PROBE = "probe"  # commands beside the process
    SHELL = "shell"
    KILL = "kill"  # a grace period that is shorter than the one of the start
    ADDRESS = "address"  # the container's ports, from this machine
    NON_ROOT = "non_root"  # these three are the parts of `hardening`, by the names that it has for them
    READ_ONLY = "read_only"
    NETWORK = "network"


class ImageUnavailable(UserError):
    """The image does not exist (it `is_missing`), or we may not have it. Trying again changes nothing."""

    def __init__(self, message: str, *, is_missing: bool = True) -> None:
        super().__init__(message)
        self.is_missing = is_missing


class StartRefused(UserError):
    """The engine understood and refused, e.g. the command is not in the image. `exit_code` as a shell would give it."""

    def __init__(self, message: str, exit_code: int | None = None) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class StartUncertain(TransientError):
    """The answer to a start was lost; look again with the same key."""


class StartWaits(StartUncertain):
    """The container was made and has not begun yet, the sentence says why; ask again at once whether it has."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of output as the process wrote it; the boundaries between pieces have no meaning."""

    at: datetime
    stream: Stream
    data: bytes


@dataclass(frozen=True)
class RegistryLogin:
    username: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class ContainerSpec:
    """What an engine is asked to run, as a value that a pure function turns into the engine's request.

    `command` replaces the image's command and `entrypoint` its entrypoint (which also drops the image's command);
    `None` keeps the image's own.
    """

    image: str  # "sha256:…" for an image the engine holds, "name@sha256:…" for one it can pull
    command: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    env: Mapping[str, str] = field(default_factory=dict, repr=False)  # may hold secrets
    cpus: float = 0.5
    memory_bytes: int = 512 * 1024 * 1024
    pids_limit: int = 512
    disk_bytes: int = 0  # of its own files, where the engine can (`disk_refusal`); 0: any number
    hardening: Hardening = field(default_factory=Hardening)
    labels: Mapping[str, str] = field(default_factory=dict)
    stop_grace_seconds: int = 30
    login: RegistryLogin | None = None  # for an image that the engine pulls as it starts
    time_limit_seconds: int | None = None  # of the run, for an engine that can end it without a server
    node_labels: Mapping[str, str] = field(default_factory=dict)  # of the nodes that it may run on
    may_overlap: bool = False  # may another run beside it where a machine that is gone may still run it


@dataclass(frozen=True, slots=True)
class Handle:
    """What any process needs to find a container again; it is stored with the attempt.

    `node` names the machine that it is on, where an engine has several.
    """

    engine: str
    key: str
    id: str
    name: str
    node: str = ""

    def to_json(self) -> dict[str, str]:
        where = {"node": self.node} if self.node else {}
        return {"engine": self.engine, "key": self.key, "id": self.id, "name": self.name, **where}

    @classmethod
    def from_json(cls, data: Mapping[str, str]) -> Handle:
        return cls(data["engine"], data["key"], data["id"], data["name"], data.get("node", ""))


class State(enum.StrEnum):
    CREATED = "created"  # never started
    RUNNING = "running"
    EXITED = "exited"


@dataclass(frozen=True, slots=True)
class Owned:
    """A container of this installation as the engine sees it now. `created_at` is None where the engine doesn't
    tell.
    """

    handle: Handle
    state: State
    labels: Mapping[str, str]
    created_at: datetime | None = None


def require_kept(hardening: Hardening, lacks: Mapping[Capability, str]) -> None:
    """Raise StartRefused for hardening that an engine which lacks this can't keep."""
    if missing := [lacks[Capability(name)] for name in hardening.asked if name in lacks]:
        raise StartRefused(" ".join(missing))


def is_same(found: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Return whether no label differs between the two. A missing label is no difference: older versions set fewer."""
    return all(found.get(name, value) == value for name, value in wanted.items())


class ExitKind(enum.StrEnum):
    EXITED = "exited"  # the process ended by itself or by a signal: `exit_code` is its own
    ENGINE_FAILED = (
        "engine_failed"  # the engine ended it or can't say: restarted, crashed, contradictory state
    )
    LOST = "lost"  # there is no such container any more: removed behind our back


LOST = (
    "The container is not in the engine any more, so how it ended is not known: it was removed or lost there."
)


@dataclass(frozen=True, slots=True)
class Exit:
    """How a container ended. `exit_code` is 128 + N for signal N; `detail` is a sentence for people."""

    kind: ExitKind
    exit_code: int | None = None
    oom_killed: bool = False
    started_at: datetime | None = None
    finished_at: datetime | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ResolvedImage:
    """What a reference means: `image` is what a `ContainerSpec` takes, `digest` identifies the content
    (`sha256:…`).
    """

    image: str
    digest: str


@dataclass(frozen=True, slots=True)
class Node:
    """A machine of an engine's: its size, what of that is reserved by whomever, whether it takes containers, and how
    many it has. `state` is in the engine's words.
    """

    name: str
    state: str
    takes_work: bool
    cpus: float
    memory_bytes: int
    reserved_cpus: float
    reserved_memory_bytes: int
    containers: int


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What answers as the engine; `cpus` and `memory_bytes` are 0 where it does not tell. `isolation` is a sentence for
    people where something is amiss with it; without any isolation, `is_isolated` is False. `nodes` are told by an
    engine that has several and may ask for them.
    """

    name: str
    version: str
    cpus: int
    memory_bytes: int
    isolation: str = ""
    is_isolated: bool = True
    directory: str = ""  # where images and containers are, as the engine calls it
    cgroup_driver: str = ""  # what sets up their control groups, as it calls that
    id: str = ""  # tells it from all others, whatever way leads to it
    nodes: Sequence[Node] = ()


@dataclass(frozen=True, slots=True)
class Confinement:
    """How far an engine enforces what containers may reach. `trouble` is a sentence about what it can't enforce;
    `commands` does that by hand, where there is such a way; `is_set` says that it is being enforced.
    """

    trouble: str = ""
    commands: str = ""
    is_set: bool = False


class ImageConfig(TypedDict):
    """What an image says of the process that it is made for."""

    entrypoint: list[str]
    command: list[str]
    env: dict[str, str]


class Engine(Protocol):
    """What the server asks of an engine; the module's text says what each call promises."""

    name: str

    def info(self) -> EngineInfo:
        """Return soon what answers there. Raises EngineUnavailable with a sentence naming the setting to change."""

    def lacks(self) -> Mapping[Capability, str]:
        """Return what this engine can't do, each with a sentence for people (rule 8). It asks nobody."""

    def confine(self) -> str:
        """See that containers and builds reach no more than they may, as far as that is the engine's to enforce.

        Returns a sentence about what should be enforced and is not, or nothing. Called again it mends what others
        undid. Containers that this engine starts are confined by then. Raises EngineUnavailable.
        """

    def confinement(self) -> Confinement:
        """Return how far `confine` could enforce it now, and change nothing. Raises EngineUnavailable."""

    def unconfine(self) -> None:
        """Leave nothing behind of `confine`, unless a container is running that needs it. Raises EngineUnavailable."""

    def disk_refusal(self, size: int) -> str:
        """Return a sentence why containers can't be held to so many bytes of files of their own (`disk_bytes`); nothing
        where they can. Those that can't start without that bound. Raises EngineUnavailable.
        """

    def resolve(
        self, reference: str, login: RegistryLogin | None = None, *, pull: bool = True
    ) -> ResolvedImage:
        """Resolve a tag or digest to what it means now: at its registry, or, where none answers, to the engine's
        own image.

        Unless told not to `pull`, the engine has the image afterwards, however long that takes. Raises
        ImageUnavailable (no such image, no access) or EngineUnavailable.
        """

    def held(self, reference: str) -> ResolvedImage:
        """Return the engine's own image of that name, whatever a registry has. Raises ImageUnavailable,
        EngineUnavailable.
        """

    def image_config(self, image: str) -> ImageConfig:
        """Return what the image itself says. Raises ImageUnavailable."""

    def start(self, spec: ContainerSpec, key: str, token: int, *, is_new: bool = False) -> Handle:
        """Start once per key (rule 1). `token` grows with each claim of the attempt.

        `is_new` says that the caller has just made the key up, so that a first look can be spared. Being wrong about
        it costs a container that is created and removed again; only who made the key up may say it, since callers
        who all do would contend for one start.

        A container that waits long, e.g. for room on a node, is told of every few seconds by StartWaits.

        Raises ImageUnavailable, StartRefused, EngineUnavailable, StartUncertain.
        """

    def environment(self, key: str, labels: Mapping[str, str]) -> Mapping[str, str] | None:
        """Return the variables of the container that a start with this key and a specification with these labels would
        adopt, as it was made with them; None where there is none. Raises EngineUnavailable.
        """

    def logs(self, handle: Handle, seen: Seen | None = None) -> Iterator[Chunk]:
        """Yield output until the container's end (rule 2). Raises EngineUnavailable if it breaks: call again with
        what was seen.
        """

    def wait(self, handle: Handle) -> Exit:
        """Block until the container has ended (rule 3). Raises EngineUnavailable if the engine goes away meanwhile."""

    def stats(self, handle: Handle) -> Sample | None:
        """Return a reading of what the container uses now, or None if it is not running."""

    def probe(self, handle: Handle, argv: Sequence[str], timeout_seconds: float) -> int:
        """Run a command beside the process in its container and return its exit code (124 when its time was over)."""

    def shell(self, handle: Handle, columns: int, rows: int) -> Shell:
        """Open a shell beside the process in its container, on a terminal of this size. Raises NoShell,
        EngineUnavailable.
        """

    def end_shells(self, handle: Handle) -> None:
        """End the shells in the container that no process has open any more, as its server was killed: all but those
        of this engine. Raises EngineUnavailable.
        """

    def address(self, handle: Handle) -> str | None:
        """Return the address at which this machine reaches the container's ports, or None if it is not running."""

    def stop(self, handle: Handle, grace_seconds: float) -> None:
        """End the container (rule 4)."""

    def remove(self, handle: Handle) -> None:
        """Remove the container (rule 4)."""

    def owned(self) -> Sequence[Owned]:
        """Return all containers of this installation's epoch (rule 5)."""

    def of_other_epochs(self) -> Sequence[Owned]:
        """Return this installation's containers of all other epochs (rule 5)."""

    def rename_images(self, new_name: Callable[[str], str | None]) -> int:
        """Give images the names that `new_name` returns for theirs (None keeps one) and return how many names were
        given.

        An image has the new name before it loses the old one. Raises EngineUnavailable: called again, it goes on.
        """

    def images(self) -> Sequence[HeldImage]:
        """Return the images that have names. Raises EngineUnavailable."""

    def remove_image(self, name: str) -> bool:
        """Take a name from an image, which goes with its last; False if a container has it.

        A name that is gone already is no error. Raises EngineUnavailable.
        """

    def prune_build_cache(self, keep_bytes: int) -> int:
        """Remove from the cache of builds what it has beyond so many bytes, least recently used first, and return the
        bytes that went. Raises EngineUnavailable.
        """

    def build_cache(self) -> CacheUse:
        """Return what the cache of builds takes. An engine may need minutes to find out. Raises EngineUnavailable."""

    def close(self) -> None:
        """Release connections; containers are left alone."""
