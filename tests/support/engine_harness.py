"""One door to every engine for the contract suite: say what a container does, get a specification for it."""

from __future__ import annotations

import enum
import http
import json
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import docker

from app.engines.base import ContainerSpec, Engine, Handle, StartRefused
from app.engines.docker import DockerEngine
from app.engines.docker.request import container_body, container_name
from app.engines.fake import FakeEngine, Script, World
from app.engines.process import ProcessEngine
from app.engines.process.container import Container
from tests.support.waiting import eventually

BUSYBOX = "busybox:latest"
SHELLED = (
    "fake",
    "docker",
    "process",
    "kubernetes",
)  # of others the contract wants the sentence why there is no shell
ENGINES = (*SHELLED, "swarm")
DISTANT = ("docker over tls", "docker over ssh")  # for what the way there may change


def utc_now() -> datetime:
    return datetime.now(UTC)


class Lack(enum.Enum):
    """What nodes do to the output, and what they don't tell: no capability that a user could ask for."""

    STREAMS = "both streams come as one"
    UNENDED_LINES = "a last line without an end gets one"
    LAST_WORDS = "what was written in the very last moment may be lost by a node"
    SIZE = "its size isn't known"


class Harness(Protocol):
    """`engine` is this server's; `another` what a server started later, or beside it, would have."""

    engine: Engine
    lacks: frozenset[Lack]
    creates_apart: bool  # whether there is a time between creating and starting

    def another(self) -> Engine: ...

    def stranger(self) -> Engine:
        """Another installation on the same engine."""

    def epoch(self, name: str) -> Engine:
        """This installation in another epoch, on the same engine."""

    def spec(self, shell: str, script: Script, **fields: Any) -> ContainerSpec:
        """`script` says to the fake what `shell` says to a shell."""

    def spec_argv(self, *argv: str) -> ContainerSpec: ...

    def without_image(self) -> ContainerSpec: ...

    def leave_created(self, spec: ContainerSpec, key: str) -> None:
        """What a server leaves that is killed between creating and starting."""

    def remove_behind_our_back(self, handle: Handle) -> None: ...


def kept(harness: Harness, output: bytes) -> bytes:
    """The output as this engine has it."""
    ends = Lack.UNENDED_LINES not in harness.lacks or output.endswith(b"\n")
    return output if ends else output + b"\n"


def restarted(handle: Handle) -> Handle:
    """The handle as a later process reads it from the store."""
    return Handle.from_json(json.loads(json.dumps(handle.to_json())))


class FakeHarness:
    lacks: frozenset[Lack] = frozenset()
    creates_apart = True

    def __init__(self) -> None:
        self._world = World()
        self._others = World()
        self.engine = FakeEngine(utc_now, self._world)

    def another(self) -> FakeEngine:
        return FakeEngine(utc_now, self._world)

    def epoch(self, name: str) -> FakeEngine:
        return FakeEngine(utc_now, self._world, epoch=name)

    def stranger(self) -> FakeEngine:
        return FakeEngine(utc_now, self._others)

    def spec(self, shell: str, script: Script, **fields: Any) -> ContainerSpec:
        image = f"sha256:{uuid.uuid4().hex}"
        self.engine.script(image, script)
        FakeEngine(utc_now, self._others).script(image, script)
        return ContainerSpec(image, command=("sh", "-c", shell), **fields)

    def spec_argv(self, *argv: str) -> ContainerSpec:
        script = Script(start_error=StartRefused(f"There is no {argv[0]}.", 127))
        return self.spec(argv[0], script)

    def without_image(self) -> ContainerSpec:
        spec = self.spec("exit 0", Script())
        self.engine.without_image(spec.image)
        return spec

    def leave_created(self, spec: ContainerSpec, key: str) -> None:
        self.engine.create(spec, key)

    def remove_behind_our_back(self, handle: Handle) -> None:
        self.engine.vanish(handle.key)


def on_this_machine(installation: str, epoch: str) -> DockerEngine:
    return DockerEngine(url=None, installation=installation, clock=utc_now, epoch=epoch)


class DockerHarness:
    """`connect(installation, epoch)` makes a connection to the engine whose socket here is `socket`."""

    lacks: frozenset[Lack] = frozenset()
    creates_apart = True

    def __init__(
        self, connect: Callable[[str, str], DockerEngine] = on_this_machine, socket: str | None = None
    ) -> None:
        self.installation = f"test-{uuid.uuid4().hex[:12]}"
        self.client = docker.APIClient(base_url=socket, version="1.41", timeout=60)
        self.image = self.client.inspect_image(BUSYBOX)["Id"]
        self._connect = connect
        self._engines: list[DockerEngine] = []
        self.engine = self.another()

    def another(self, installation: str | None = None, epoch: str = "") -> DockerEngine:
        engine = self._connect(installation or self.installation, epoch)
        self._engines.append(engine)
        return engine

    def through(self, url: str) -> DockerEngine:
        """This installation, by way of what passes its calls on."""
        engine = DockerEngine(url=url, installation=self.installation, clock=utc_now)
        self._engines.append(engine)
        return engine

    def epoch(self, name: str) -> DockerEngine:
        return self.another(epoch=name)

    def stranger(self) -> DockerEngine:
        return self.another(installation=f"{self.installation}-stranger")

    def spec(self, shell: str, script: Script, **fields: Any) -> ContainerSpec:
        return self.spec_argv("sh", "-c", shell, **fields)

    def spec_argv(self, *argv: str, **fields: Any) -> ContainerSpec:
        return ContainerSpec(self.image, command=argv, **{"memory_bytes": 64 << 20, **fields})

    def without_image(self) -> ContainerSpec:
        return ContainerSpec("sha256:" + "0" * 64)

    def leave_created(self, spec: ContainerSpec, key: str) -> None:
        name = container_name(key, 0, uuid.uuid4().hex[:8])
        body = container_body(spec, key, self.installation, "bridge")
        self.client.create_container_from_config(body, name)

    def remove_behind_our_back(self, handle: Handle) -> None:
        self.client.remove_container(handle.id, force=True)

    def close(self) -> None:
        for engine in self._engines:
            engine.close()
        for suffix in ("", "-stranger"):
            label = f"jobyard.installation={self.installation}{suffix}"
            for found in self.client.containers(all=True, filters={"label": label}):
                remove_container(self.client, found["Id"])
        self.client.close()


class ProcessHarness:
    lacks: frozenset[Lack] = frozenset()
    creates_apart = True

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._engines: list[ProcessEngine] = []
        self.engine = self.another()

    def another(self, root: str = "root", epoch: str = "") -> ProcessEngine:
        engine = ProcessEngine(root=self._directory / root, clock=utc_now, epoch=epoch)
        self._engines.append(engine)
        return engine

    def epoch(self, name: str) -> ProcessEngine:
        return self.another(epoch=name)

    def stranger(self) -> ProcessEngine:
        return self.another("stranger")

    def spec(self, shell: str, script: Script, **fields: Any) -> ContainerSpec:
        return self.spec_argv("sh", "-c", shell, **fields)

    def spec_argv(self, *argv: str, **fields: Any) -> ContainerSpec:
        tree = self._directory / "tree"
        tree.mkdir(exist_ok=True)
        manifest = self._directory / "manifest.json"
        manifest.write_text(json.dumps({"root": str(tree), "entrypoint": [], "command": ["true"]}))
        return ContainerSpec(f"process:{manifest}", command=argv, **fields)

    def without_image(self) -> ContainerSpec:
        return ContainerSpec(f"process:{self._directory}/no-manifest.json")

    def leave_created(self, spec: ContainerSpec, key: str) -> None:
        what = {"argv": spec.command, "env": dict(os.environ), "labels": {}}
        Container.make(self._directory / "root", key, what, self._directory / "tree")

    def remove_behind_our_back(self, handle: Handle) -> None:
        self.another().remove(handle)

    def close(self) -> None:
        for engine in self._engines:
            for owned in engine.owned():
                engine.remove(owned.handle)
        for engine in self._engines:
            engine.close()


@contextmanager
def fake_harness() -> Iterator[FakeHarness]:
    yield FakeHarness()


@contextmanager
def docker_harness(
    connect: Callable[[str, str], DockerEngine] = on_this_machine, socket: str | None = None
) -> Iterator[DockerHarness]:
    harness = DockerHarness(connect, socket)
    try:
        yield harness
    finally:
        harness.close()


def remove_container(client: docker.APIClient, container_id: str) -> None:
    """Until it is gone: a server may be removing it at the same moment."""

    def is_gone() -> bool:
        try:
            client.remove_container(container_id, force=True, v=True)
        except docker.errors.NotFound:
            return True
        except docker.errors.APIError as error:
            if error.status_code != http.HTTPStatus.CONFLICT:
                raise
        return False

    eventually(is_gone)


@contextmanager
def process_harness(directory: Path) -> Iterator[ProcessHarness]:
    harness = ProcessHarness(directory)
    try:
        yield harness
    finally:
        harness.close()
