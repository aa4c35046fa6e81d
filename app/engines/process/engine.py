"""The engine contract over plain processes."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from app.disk import fault_of, is_disk_fault
from app.domain.errors import EngineUnavailable
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
    StartRefused,
    is_same,
    require_kept,
)
from app.engines.process import image, supervisor
from app.engines.process.container import Container, OutputReader
from app.engines.process.shell import ProcessShell, Shells
from app.engines.process.usage import Usage, read_usage

NO_ISOLATION = (
    "Jobs run as plain processes of this machine, with the server's own rights: no isolation, and no limits on memory,"
    " CPU and processes."
)
NOT_CONFINED = (
    "Jobs and builds are processes of this machine, and reach whatever it does: JOBYARD_EGRESS counts for containers"
    " alone."
)
NOT_BOUNDED = "Jobs are processes of this machine, and write as much as there is room for."
LACKS = {
    each: f"The engine process can't keep {each}: it runs plain processes of this machine; leave that out, or use the"
    " engine docker."
    for each in (Capability.NON_ROOT, Capability.READ_ONLY, Capability.NETWORK)
}
_POLL_SECONDS = 0.02
_START_SECONDS = 60
_LOST = Exit(ExitKind.LOST, detail=LOST)
_TIMED_OUT, _CANNOT_PROBE = 124, 125


class ProcessEngine:
    """See `app.engines.base` for what each method promises; of a specification, CPU, memory, pids and disk are not
    kept.

    `root` is a directory of this installation alone, `epoch` what it is in. It is made if it is not there.
    """

    name = "process"

    def __init__(self, *, root: Path, clock: Callable[[], datetime], epoch: str = "") -> None:
        self._root = root.absolute()
        self._epoch = epoch
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._clock = clock
        self._usage: dict[str, Usage] = {}
        self._shells = Shells()
        self._closed = threading.Event()

    def info(self) -> EngineInfo:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        cpus = os.cpu_count() or 1
        own = f"process-{platform.node()}-{self._root}"
        return EngineInfo(
            self.name, platform.release(), cpus, memory, NO_ISOLATION, is_isolated=False, id=own
        )

    def lacks(self) -> Mapping[Capability, str]:
        return LACKS

    def confine(self) -> str:
        return NOT_CONFINED

    def confinement(self) -> Confinement:
        return Confinement(NOT_CONFINED)

    def unconfine(self) -> None:
        """There is nothing to undo."""

    def disk_refusal(self, size: int) -> str:  # noqa: ARG002
        return NOT_BOUNDED

    def resolve(
        self,
        reference: str,
        login: RegistryLogin | None = None,  # noqa: ARG002
        *,
        pull: bool = True,  # noqa: ARG002
    ) -> ResolvedImage:
        return image.resolve(reference)

    def held(self, reference: str) -> ResolvedImage:
        return image.resolve(reference)

    def image_config(self, reference: str) -> ImageConfig:
        manifest = image.load(reference)
        return {
            "entrypoint": list(manifest.entrypoint),
            "command": list(manifest.command),
            "env": dict(manifest.env),
        }

    def rename_images(self, new_name: Callable[[str], str | None]) -> int:  # noqa: ARG002
        return 0  # they have no names

    def images(self) -> Sequence[HeldImage]:
        return image.built(self._root.parent / "images")

    def remove_image(self, name: str) -> bool:
        return image.remove(name)

    def prune_build_cache(self, keep_bytes: int) -> int:  # noqa: ARG002
        return 0  # it has none

    def build_cache(self) -> CacheUse:
        return CacheUse(0, 0)

    def start(self, spec: ContainerSpec, key: str, token: int, *, is_new: bool = False) -> Handle:  # noqa: ARG002
        require_kept(spec.hardening, LACKS)
        container = self._of_key(spec.labels, key)
        if container is None:
            manifest = image.load(spec.image)
            what = {
                "argv": image.argv(spec, manifest),
                "env": image.environment(spec, manifest),
                "labels": dict(spec.labels),
                "epoch": self._epoch,
            }
            try:
                Container.make(self._root, key, what, Path(manifest.root))
            except OSError as error:
                if is_disk_fault(error):
                    raise fault_of(error, self._root) from error
                raise
            container = self._of_key(spec.labels, key)
        if container is None:
            raise EngineUnavailable(f"{key} was removed from {self._root} while it was started.")
        self._supervise(container)
        if refusal := container.refusal():
            message, code = refusal
            raise StartRefused(f"The command can't be run: {message}.", code)
        return container.handle

    def environment(self, key: str, labels: Mapping[str, str]) -> Mapping[str, str] | None:
        container = self._of_key(labels, key)
        return None if container is None else container.spec["env"]

    def logs(self, handle: Handle, seen: Seen | None = None) -> Iterator[Chunk]:
        container = self._find(handle)
        if container is None:
            return
        try:
            output = OutputReader(container.directory)
        except FileNotFoundError:
            return
        try:
            goes_on, unseen = True, Unseen(seen)
            while goes_on:
                goes_on = container.is_alive()
                for chunk in output.more():
                    if fresh := unseen.of(chunk.stream, chunk.data):
                        yield replace(chunk, data=fresh)
                if goes_on:
                    self._pause()
        finally:
            output.close()

    def wait(self, handle: Handle) -> Exit:
        while container := self._find(handle):
            if ended := container.exit():
                return ended
            self._pause()
        return _LOST

    def stats(self, handle: Handle) -> Sample | None:
        container = self._find(handle)
        pid = container.pid() if container else None
        usage = read_usage(pid, self._clock()) if pid else None
        if usage is None:
            return None
        before, self._usage[handle.id] = self._usage.get(handle.id), usage
        return usage.sample(before)

    def probe(self, handle: Handle, argv: Sequence[str], timeout_seconds: float) -> int:
        """Run a command beside the process: 125 if that is not running, 126 or 127 if the command can't be run."""
        container = self._find(handle)
        if container is None or not container.is_alive():
            return _CANNOT_PROBE
        try:
            done = subprocess.run(
                argv,
                env=container.spec["env"],
                cwd=container.spec["cwd"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=timeout_seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return _TIMED_OUT
        except FileNotFoundError:
            return supervisor.NOT_FOUND
        except OSError:
            return supervisor.NOT_EXECUTABLE
        return done.returncode if done.returncode >= 0 else 128 - done.returncode

    def shell(self, handle: Handle, columns: int, rows: int) -> ProcessShell:
        return self._shells.open(self._find(handle), columns, rows)

    def end_shells(self, handle: Handle) -> None:
        if container := self._find(handle):
            self._shells.end_left(container)

    def address(self, handle: Handle) -> str | None:
        container = self._find(handle)
        return "127.0.0.1" if container and container.is_alive() else None

    def stop(self, handle: Handle, grace_seconds: float) -> None:
        container = self._find(handle)
        if container is None:
            return
        if grace_seconds > 0:
            container.tell(b"T")
        deadline = time.monotonic() + grace_seconds
        while container.is_alive():
            if time.monotonic() >= deadline:
                container.tell(b"K")
            self._pause()

    def remove(self, handle: Handle) -> None:
        container = self._find(handle)
        if container is not None and container.epoch == self._epoch:
            self.stop(handle, 0)
            container.remove()
        self._usage.pop(handle.id, None)

    def owned(self) -> Sequence[Owned]:
        return [each.owned for each in Container.all(self._root) if each.epoch == self._epoch]

    def of_other_epochs(self) -> Sequence[Owned]:
        return [each.owned for each in Container.all(self._root) if each.epoch != self._epoch]

    def close(self) -> None:
        self._closed.set()

    def _of_key(self, labels: Mapping[str, str], key: str) -> Container | None:
        for each in Container.all(self._root, key):
            if each.epoch == self._epoch and is_same(each.spec["labels"], labels):
                return each
        return None

    def _find(self, handle: Handle) -> Container | None:
        container = Container.find(self._root / handle.name)
        return container if container and container.handle.id == handle.id else None

    def _supervise(self, container: Container) -> None:
        """Return when the process runs, has run, or can't; however many call this, one supervisor starts it."""
        if (container.directory / "started").exists() and not self._is_starting(container):
            return
        command = [sys.executable, "-I", "-S", supervisor.__file__, str(container.directory)]
        try:
            subprocess.run(command, env={}, check=True, timeout=_START_SECONDS, capture_output=True)
        except (subprocess.SubprocessError, OSError) as error:
            raise EngineUnavailable(
                f"The supervisor of {container.handle.key} did not start: {error}"
            ) from error

    def _is_starting(self, container: Container) -> bool:
        return container.pid() is None and container.is_alive()

    def _pause(self) -> None:
        if self._closed.wait(_POLL_SECONDS):
            raise EngineUnavailable("Jobyard is shutting down; the process is left alone.")
