"""The contract of engines, kept in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from app.domain.errors import EngineUnavailable, JobyardError
from app.domain.held_images import CacheUse, HeldImage
from app.domain.metrics import Sample
from app.domain.output import Seen, Unseen
from app.engines.base import (
    LOST,
    Capability,
    Chunk,
    Confinement,
    ContainerSpec,
    EngineInfo,
    Exit,
    ExitKind,
    Handle,
    ImageConfig,
    Owned,
    RegistryLogin,
    ResolvedImage,
    StartUncertain,
    State,
)
from app.engines.fake.shell import FakeShell
from app.engines.fake.told import Told
from app.engines.fake.world import Container, Fault, Now, World, digest_of
from app.engines.shells import NO_SHELL, NOT_RUNNING, NoShell

SIGKILLED = 137
FAKE_BYTES = 1_000_000


class FakeEngine(Told):
    """See the package's text."""

    def __init__(self, clock: Now, world: World | None = None, *, epoch: str = "") -> None:
        super().__init__(clock, world, epoch=epoch)
        self._closed = False

    def info(self) -> EngineInfo:
        with self._call("info"):
            return EngineInfo(self.name, "1", 2, 4 << 30, "Nothing really runs.", is_isolated=False)

    def lacks(self) -> Mapping[Capability, str]:
        return self._world.lacks

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
            self._world.image(reference)
            digest = self._world.digest(reference)
            name = reference if reference.startswith("sha256:") else f"{reference.partition('@')[0]}@{digest}"
            return ResolvedImage(name, digest)

    def held(self, reference: str) -> ResolvedImage:
        with self._call("held"):
            self._world.image(reference)
            return ResolvedImage(digest_of(reference), digest_of(reference))

    def image_config(self, image: str) -> ImageConfig:
        with self._call("image_config"):
            return self._world.image(image)

    def rename_images(self, new_name: Callable[[str], str | None]) -> int:
        with self._call("rename_images"):
            given = {name: new for name in self._world.names if (new := new_name(name)) is not None}
            self._world.names = [given.get(name, name) for name in self._world.names]
            return len(given)

    def images(self) -> Sequence[HeldImage]:
        with self._call("images"):
            return [
                HeldImage((name,), frozenset({self._world.digest(name)}), FAKE_BYTES)
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

    def build_cache(self) -> CacheUse:
        with self._call("build_cache"):
            return CacheUse(1 if self._world.cache_bytes else 0, self._world.cache_bytes)

    def start(self, spec: ContainerSpec, key: str, token: int, *, is_new: bool = False) -> Handle:  # noqa: ARG002
        with self._call("start", lost=StartUncertain):
            place = self._world.place(spec.labels, key, self._epoch)
            known = self._world.containers.get(place)
            if known and known.state is not State.CREATED:
                return known.handle
            self._world.image(spec.image)
            script = self._world.script_for(spec.image, key)
            handle = Handle(self.name, key, id=f"fake-{place}", name=f"jy-{key}-t{token}")
            container = Container(handle, spec, script, State.CREATED, self._epoch)
            self._world.containers[place] = container
            if script.start_error:
                raise script.start_error
            self._world.run(container, self._clock)
            return handle

    def environment(self, key: str, labels: Mapping[str, str]) -> Mapping[str, str] | None:
        with self._call("environment"):
            known = self._world.containers.get(self._world.place(labels, key, self._epoch))
            return None if known is None else known.spec.env

    def logs(self, handle: Handle, seen: Seen | None = None) -> Iterator[Chunk]:
        handed_out = 0
        unseen = Unseen(seen)
        while True:
            with self._call("logs"):
                while True:
                    container = self._world.found(handle)
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
                container = self._world.found(handle)
                if container is None:
                    return Exit(ExitKind.LOST, detail=LOST)
                if container.exit:
                    return container.exit
                if container.state is State.CREATED:
                    return Exit(ExitKind.ENGINE_FAILED, detail="The container was never started.")
                self._sleep_until_changed()

    def stats(self, handle: Handle) -> Sample | None:
        with self._call("stats"):
            container = self._world.alive(handle)
            if container is None:
                return None
            return container.script.sample or Sample(self._clock(), 0.25, 16 << 20, 0, 0, 1)

    def probe(self, handle: Handle, argv: Sequence[str], timeout_seconds: float) -> int:  # noqa: ARG002
        with self._call("probe"):
            container = self._world.alive(handle)
            return container.script.probe_exit_code if container else 125

    def shell(self, handle: Handle, columns: int, rows: int) -> FakeShell:
        with self._call("shell"):
            container = self._world.alive(handle)
            if container is None:
                raise NoShell(NOT_RUNNING)
            if not container.script.has_shell:
                raise NoShell(NO_SHELL)
            shell = FakeShell(self._world.changed, (columns, rows), id(self))
            container.shells.append(shell)
            return shell

    def end_shells(self, handle: Handle) -> None:
        with self._call("end_shells"):
            container = self._world.found(handle)
            for shell in container.shells if container else ():
                if shell.opened_by != id(self):
                    shell.close()

    def address(self, handle: Handle) -> str | None:
        with self._call("address"):
            has_addresses = Capability.ADDRESS not in self._world.lacks
            return "127.0.0.1" if has_addresses and self._world.alive(handle) else None

    def stop(self, handle: Handle, grace_seconds: float) -> None:
        with self._call("stop"):
            container = self._world.alive(handle)
            if container is None:
                return
            patient = grace_seconds > 0 and container.script.on_sigterm is not None
            self._world.end(container, container.script.on_sigterm if patient else SIGKILLED, self._clock)

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


def _owned(container: Container) -> Owned:
    return Owned(container.handle, container.state, container.spec.labels, container.started_at)
