"""What a history's servers deal with: an engine whose containers last for a while, a backend, a disk, a database."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import Any

import pytest

import app.logs.writer
import app.runtime.disk
import app.workers.reconciler
from app.disk import unavailable
from app.domain.errors import EngineUnavailable, JobyardError
from app.domain.output import Stream
from app.engines.base import ContainerSpec, Handle, StartUncertain, State
from app.engines.fake import FakeEngine, Script, World
from app.engines.fake.world import Container, Now
from app.store.database import Database, StoreUnavailable, Tx
from builders.backends.base import (
    BackendUnavailable,
    BuildCancelled,
    BuildRequest,
    BuiltImage,
    Step,
    StopSignal,
)
from tests.support.fakes import Backend, image_of
from tests.support.mortal import Fuse, MortalDatabase
from tests.support.simulation.hub import Hub, SimClock
from tests.support.truth import Facts

FIRST_LINES, LAST_LINE = (b"one\n", b"two\n"), b"three\n"
WHOLE_LOG = b"".join((*FIRST_LINES, LAST_LINE))
DURATIONS = (0, 0, 0, 5, 40, 130)  # seconds that a container lasts
EXIT_CODES = (0, 0, 3)
LATE_START = 0.1  # how likely one is
IS_ALONE = "is_alone"


class Turnstile:
    """In the place of the world's condition: who waits there lets others go on."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._turns = 0

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass

    def notify_all(self) -> None:
        self._turns += 1

    def wait(self) -> None:
        seen = self._turns
        self._hub.wait(lambda: self._turns != seen)


@dataclass
class Life:
    """What really became of a container; `began` and `ended` count the world's events."""

    key: str
    epoch: str
    labels: Mapping[str, str]
    ends_at: float
    exit_code: int
    began: int
    ended: int | None = None
    is_late: bool = (
        False  # it was started long after that was asked for, perhaps for a run that is over: it is swept
    )
    how: str = ""  # once it has ended: "by itself", "stopped" or "crashed"


class SimWorld(World):
    """`current` is the one of the history that goes on."""

    current: SimWorld

    def __init__(self, clock: SimClock, chance: Random) -> None:
        super().__init__()
        SimWorld.current = self
        self.clock = clock
        self.hub = Hub(clock)
        self.chance = chance
        self.changed: Any = Turnstile(self.hub)
        self.facts = Facts()
        self.lives: dict[str, Life] = {}  # by place, also of containers that are gone
        self.late: dict[tuple[str, str], tuple[SimEngine, ContainerSpec, int]] = {}
        self.faults_go_on = True
        self.hangs = False
        self.is_full = False  # the servers' disk
        self.how = "stopped"  # what ends now, ends so
        self._events = 0

    def event(self) -> int:
        self._events += 1
        return self._events

    def arrive(self) -> None:
        """What was sent to the engine and never answered is carried out."""
        while self.late:
            (_, key), (engine, spec, token) = self.late.popitem()
            with suppress(JobyardError):
                engine.start_late(spec, key, token)

    def script_for(self, image: str, key: str) -> Script:
        told = self.chance.choice((None, 0, 143))
        return Script(output=FIRST_LINES, exit_code=None, on_sigterm=told)

    def run(self, container: Container, now: Now) -> None:
        place = place_of(container)
        lasts, code = self.chance.choice(DURATIONS), self.chance.choice(EXIT_CODES)
        ends_at = self.clock.steady() + lasts
        labels = container.spec.labels
        self.lives[place] = Life(container.handle.key, container.epoch, labels, ends_at, code, self.event())
        super().run(container, now)
        if not lasts:
            self.end_by_itself(container, code, now)

    def end_by_itself(self, container: Container, exit_code: int, now: Now) -> None:
        self.write(container, Stream.STDOUT, LAST_LINE, now)
        self.how = "by itself"
        self.end(container, exit_code, now)
        self.how = "stopped"

    def end(self, container: Container, exit_code: int | None, now: Now, *, oom_killed: bool = False) -> None:
        super().end(container, exit_code, now, oom_killed=oom_killed)
        self.over(place_of(container), self.how)

    def over(self, place: str, how: str) -> None:
        life = self.lives[place]
        life.ended, life.how = self.event(), how


def place_of(container: Container) -> str:
    return container.handle.id.removeprefix("fake-")


class SimEngine(FakeEngine):
    """Its containers take their time, what is asked may hang until it is restarted, and starts may come late."""

    def __init__(self, world: SimWorld, *, epoch: str = "") -> None:
        super().__init__(world.clock.now, world, epoch=epoch)
        self._world: SimWorld = world

    def start(self, spec: ContainerSpec, key: str, token: int, *, is_new: bool = False) -> Handle:
        world = self._world
        world.late.pop((self._epoch, key), None)  # the container it names has another name now
        if world.faults_go_on and world.chance.random() < LATE_START:
            world.facts.engine_faults += 1
            world.late[self._epoch, key] = self, spec, token
            raise StartUncertain("The engine did not answer in time.")
        return super().start(spec, key, token, is_new=is_new)

    def start_late(self, spec: ContainerSpec, key: str, token: int) -> None:
        super().start(spec, key, token)
        for life in self._world.lives.values():
            life.is_late |= (life.key, life.epoch) == (key, self._epoch)

    def remove(self, handle: Handle) -> None:
        super().remove(handle)
        place = handle.id.removeprefix("fake-")
        if place not in self._world.containers and self._world.lives[place].ended is None:
            self._world.over(place, "stopped")

    def pass_time(self) -> None:
        """Containers whose time has come end by themselves."""
        world, now = self._world, self._world.clock.steady()
        for place, life in world.lives.items():
            if life.ended is None and life.ends_at <= now:
                world.end_by_itself(world.containers[place], life.exit_code, self._clock)

    def restart(self, *, keeps_running: bool) -> None:
        """Whoever waits for an answer is told that the connection broke."""
        world = self._world
        world.facts.restarts += 1
        world.hangs = False
        for place, container in world.containers.items():
            if container.state is State.RUNNING and not keeps_running:
                self.crash(place)
                world.over(place, "crashed")
        world.changed.notify_all()

    @contextmanager
    def _call(self, operation: str, lost: type[JobyardError] = EngineUnavailable) -> Iterator[None]:
        if self._world.hangs:
            self._world.hub.wait(lambda: not self._world.hangs)
            raise EngineUnavailable("The connection to the engine broke.")
        with super()._call(operation, lost):
            yield

    def _sleep_until_changed(self) -> None:
        world, restarts = self._world, self._world.facts.restarts
        world.changed.wait()
        world.hub.wait(lambda: not world.hangs)
        if world.facts.restarts != restarts:
            raise EngineUnavailable("The connection to the engine broke.")
        self._check_up()


class SimBackend(Backend):
    """Builds last for a while as well, and end without a result when the engine restarts."""

    def __init__(self, world: SimWorld) -> None:
        super().__init__()
        self._world = world

    def build(
        self,
        request: BuildRequest,
        *,
        on_output: Callable[[bytes], None],
        on_step: Callable[[Step], None],
        should_stop: StopSignal,
        time_limit_seconds: float | None,
    ) -> BuiltImage:
        world, restarts = self._world, self._world.facts.restarts
        on_output(b"#1 FROM busybox\n")
        on_step(Step(1, 1, "FROM busybox", 0.0, 0.5))
        over_at = world.clock.steady() + world.chance.choice(DURATIONS)
        world.hub.wait(
            lambda: (
                should_stop.is_set()
                or world.facts.restarts != restarts
                or (world.clock.steady() >= over_at and not world.hangs and not world.down)
            )
        )
        if world.facts.restarts != restarts:
            raise BackendUnavailable("The container engine went away during the build.")
        if should_stop.is_set():
            raise BuildCancelled
        sha = request.build_args["JOBYARD_GIT_SHA"]
        self.built[sha] += 1
        return BuiltImage(image_of(sha))


class SimDatabase(MortalDatabase):
    """On the disk that may be full; `heard` is told of what is committed through it."""

    def __init__(
        self,
        of: Database,
        fuse: Fuse,
        world: SimWorld,
        heard: Callable[[frozenset[str]], None],
        *,
        is_alone: bool,
    ) -> None:
        super().__init__(of, fuse)
        self._world = world
        self._is_alone = is_alone
        self._on_commit = heard

    @contextmanager
    def read(self) -> Iterator[Tx]:
        with self._world.hub.transaction(), super().read() as tx:
            yield tx

    @contextmanager
    def write(self) -> Iterator[Tx]:
        with self._world.hub.transaction(), super().write() as tx:
            tx.info[IS_ALONE] = self._is_alone
            yield tx
            if self._world.is_full:
                raise StoreUnavailable("The directory /data is full: make room, and work goes on by itself.")

    def checkpoint(self) -> None:
        """Nothing is ever cut off here."""


class FullDisk:
    """The module `os` as the writer of logs has it, on that disk."""

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, *arguments: Any) -> int:
        _require_room()
        return os.open(*arguments)

    def write(self, *arguments: Any) -> int:
        _require_room()
        return os.write(*arguments)

    def pwrite(self, *arguments: Any) -> int:
        _require_room()
        return os.pwrite(*arguments)


def _require_room() -> None:
    if SimWorld.current.is_full:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _look(directory: Any, setting: str) -> None:
    if SimWorld.current.is_full:
        raise unavailable(directory, "No space left on device", setting)


def _time_of_servers(tx: Tx, now: datetime) -> datetime:
    """Several servers are of PostgreSQL, which has a clock of its own."""
    return now if tx.info[IS_ALONE] else SimWorld.current.clock.of_database()


@contextmanager
def patched() -> Iterator[None]:
    """While this holds, logs are on the disk of the current history, and servers judged by its database's clock."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app.logs.writer, "os", FullDisk())
        patch.setattr(app.runtime.disk, "require_room", _look)
        patch.setattr(app.workers.reconciler, "time_of_servers", _time_of_servers)
        yield
