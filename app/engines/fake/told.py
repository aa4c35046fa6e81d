"""What tests tell an engine in memory, and ask it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Self

from app.domain.output import Stream
from app.engines.base import Capability, ContainerSpec, Exit, ExitKind, Handle, ImageConfig, State
from app.engines.fake.shell import FakeShell
from app.engines.fake.world import Container, Fault, Now, Script, World


class Told:
    """Each call takes the world to itself; a key is that of a container that was started."""

    name = "fake"

    def __init__(self, clock: Now, world: World | None = None, *, epoch: str = "") -> None:
        self._clock = clock
        self._epoch = epoch
        self._world = world or World()

    def script(self, pattern: str, script: Script) -> Self:
        """Containers whose image or key matches (`*`, `?`) do this; the latest match counts."""
        with self._world.changed:
            self._world.scripts.append((pattern, script))
        return self

    def image(self, reference: str, config: ImageConfig) -> Self:
        """Give an image a configuration for `image_config`."""
        with self._world.changed:
            self._world.images[reference] = config
        return self

    def tag(self, reference: str, digest: str) -> Self:
        """From now on the reference means this digest."""
        with self._world.changed:
            self._world.tags[reference] = digest
        return self

    def without_image(self, reference: str) -> Self:
        """This reference does not exist."""
        with self._world.changed:
            self._world.missing_images.add(reference)
        return self

    def with_image(self, reference: str) -> Self:
        """This reference exists again."""
        with self._world.changed:
            self._world.missing_images.discard(reference)
        return self

    def without(self, capability: Capability, sentence: str) -> Self:
        """The engine says that it can't do this."""
        with self._world.changed:
            self._world.lacks[capability] = sentence
        return self

    def fail(self, operation: str, fault: Fault, times: int = 1) -> Self:
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
            self._world.containers[key] = Container(
                handle, spec, self._world.script_for(spec.image, key), State.CREATED, self._epoch
            )

    def emit(self, key: str, data: bytes, stream: Stream = Stream.STDOUT) -> None:
        """The running container writes."""
        with self._world.changed:
            self._world.write(self._world.containers[key], stream, data, self._clock)

    def answer_probes(self, key: str, exit_code: int) -> None:
        """From now on, probes of the running container come to this."""
        with self._world.changed:
            container = self._world.containers[key]
            container.script = replace(container.script, probe_exit_code=exit_code)

    def finish(self, key: str, exit_code: int = 0, *, oom_killed: bool = False) -> None:
        """The running container ends by itself."""
        with self._world.changed:
            self._world.end(self._world.containers[key], exit_code, self._clock, oom_killed=oom_killed)

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
