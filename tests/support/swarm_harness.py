"""Three engines of a test session's own that are a Swarm, with a registry, each in a network namespace; and the
contract suite's door to it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from itertools import product
from pathlib import Path
from typing import Any

import docker

from app.domain.egress import Egress
from app.domain.errors import EngineUnavailable
from app.engines.base import ContainerSpec, Handle
from app.engines.docker import DockerEngine
from app.engines.fake import Script
from app.engines.swarm import SwarmEngine
from app.engines.swarm.request import service_body
from app.engines.swarm.starting import Patience
from tests.support.engine_harness import BUSYBOX, Lack, utc_now
from tests.support.registry import asking_for_a_login
from tests.support.waiting import eventually

_NET = "10.77.0"
_NAMES = map("".join, product("abcdefgh", repeat=2))  # for namespaces: of one process's Swarms
_MANAGER = f"{_NET}.11:2377"
REGISTRY, CLOSED_REGISTRY = f"{_NET}.1:5000", f"{_NET}.1:5001"


class Swarm:
    """Its nodes are numbered from 1; the first is a manager, and so are as many others as `managers` says. `image` is
    busybox in the registry.
    """

    def __init__(self, root: Path, size: int = 3, managers: int = 1) -> None:
        self._root = root
        self._prefix = f"jy{os.getpid() % 100000}{next(_NAMES)}"
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._ids: dict[int, str] = {}
        self.numbers = range(1, size + 1)
        self._make_networks()
        self._start_registry("registry", REGISTRY)
        self._start_registry("closed", CLOSED_REGISTRY, asking_for_a_login(self._root))
        for number in self.numbers:
            self.start(number)
        self._make()
        for number in self.numbers[1:]:
            self._join(number, "Manager" if number <= managers else "Worker")
        self.image = self._push()

    def url(self, number: int) -> str:
        return f"unix://{self._root}/{number}.sock"

    def client(self, number: int = 1) -> docker.APIClient:
        return docker.APIClient(base_url=self.url(number), version="1.41", timeout=60)

    def name(self, number: int) -> str:
        return f"{self._prefix}{number}"

    def start(self, number: int) -> None:
        """Start the engine of a node, and wait until it answers."""
        place = self._root / str(number)
        place.mkdir(exist_ok=True)
        options = {
            "--data-root": place / "data",
            "--exec-root": place / "exec",
            "--pidfile": place / "pid",
            "--host": self.url(number),
            "--insecure-registry": f"{_NET}.0/24",
        }
        flags = [f"{name}={value}" for name, value in options.items()]
        script = f'hostname {self.name(number)}; exec "$@"'
        self._spawn(
            str(number), self.name(number), "unshare", "--uts", "sh", "-c", script, "-", "dockerd", *flags
        )
        eventually(lambda: self._answers(number), 60)

    def kill(self, number: int) -> None:
        """End the engine of a node and everything that runs on it, as a power cut does."""
        process = self._processes.pop(str(number))
        process.kill()
        process.wait()
        for pid in self._left(f"{self._root}/{number}/"):
            with suppress(ProcessLookupError):
                os.kill(pid, 9)
        for name in ("pid", "exec/containerd/containerd.pid"):  # of a directory that no power cut leaves
            (self._root / str(number) / name).unlink(missing_ok=True)

    def cut_off(self, number: int) -> None:
        self._ip("-n", f"{self._prefix}hub", "link", "set", f"p{number}", "down")

    def heal(self, number: int) -> None:
        self._ip("-n", f"{self._prefix}hub", "link", "set", f"p{number}", "up")

    def is_ready(self, number: int) -> bool:
        """Whether the manager takes the node for alive, as it was when it joined last."""
        with closing(self.client()) as client:
            states = {node["ID"]: node["Status"]["State"] for node in client.nodes()}
        return states.get(self._ids[number]) == "ready"

    def expect_ready(self, number: int) -> None:
        eventually(lambda: self._is_ready_now(number), 60)

    def label(self, number: int, name: str, value: str) -> None:
        with closing(self.client()) as client:
            node = client.inspect_node(self._ids[number])
            spec = {**node["Spec"], "Labels": {**(node["Spec"].get("Labels") or {}), name: value}}
            client.update_node(node["ID"], node["Version"]["Index"], spec)

    def containers(self, number: int) -> list[str]:
        """Those that run on a node, as its own engine has them."""
        with closing(self.client(number)) as client:
            return [each["Id"] for each in client.containers()]

    def lines(self, number: int) -> int:
        """How many lines the only container there has written, as its own engine has them."""
        with closing(self.client(number)) as client:
            (container,) = client.containers()
            return len(client.logs(container["Id"]).splitlines())

    def remove(self, number: int) -> None:
        with closing(self.client()) as client:
            client.remove_node(self._ids[number], force=True)

    def repair(self, number: int) -> None:
        """Make the node one of the Swarm again, whatever was done to it."""
        self.heal(number)
        if str(number) not in self._processes:
            self.start(number)
        if not self._is_member(number):
            with closing(self.client(number)) as client:
                client.leave_swarm(force=True)
            self._join(number, "Worker")
        self.expect_ready(number)

    def _is_member(self, number: int) -> bool:
        with closing(self.client()) as client:
            return self._ids[number] in {node["ID"] for node in client.nodes()}

    def _is_ready_now(self, number: int) -> bool:
        try:
            return self._answers(1) and self.is_ready(number)
        except docker.errors.APIError:  # it is no manager again yet
            return False

    def close(self) -> None:
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(30)
            process.kill()
            process.wait()
        for pid in self._left(f"{self._root}/"):
            with suppress(ProcessLookupError):
                os.kill(pid, 9)
        places = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
        ours = sorted((place for place in places if place.startswith(f"{self._root}/")), reverse=True)
        if ours:
            subprocess.run(["umount", "--lazy", *ours], check=False, capture_output=True)
        for name in ("hub", *map(str, self.numbers)):
            subprocess.run(
                ["ip", "netns", "delete", f"{self._prefix}{name}"], check=False, capture_output=True
            )
        shutil.rmtree(self._root, ignore_errors=True)

    def _make_networks(self) -> None:
        hub = f"{self._prefix}hub"
        self._ip("netns", "add", hub)
        self._ip("-n", hub, "link", "set", "lo", "up")
        self._ip("-n", hub, "link", "add", "br0", "type", "bridge")
        self._ip("-n", hub, "addr", "add", f"{_NET}.1/24", "dev", "br0")
        self._ip("-n", hub, "link", "set", "br0", "up")
        for number in self.numbers:
            name = self.name(number)
            self._ip("netns", "add", name)
            self._ip("-n", name, "link", "set", "lo", "up")
            self._ip(
                "-n", hub, "link", "add", f"p{number}", "type", "veth", "peer", "name", "eth0", "netns", name
            )
            self._ip("-n", hub, "link", "set", f"p{number}", "master", "br0", "up")
            self._ip("-n", name, "addr", "add", f"{_NET}.1{number}/24", "dev", "eth0")
            self._ip("-n", name, "link", "set", "eth0", "up")
            self._ip("-n", name, "route", "add", "default", "via", f"{_NET}.1")

    def _start_registry(self, name: str, address: str, auth: Mapping[str, Any] | None = None) -> None:
        config = self._root / f"{name}.yml"
        storage = {"filesystem": {"rootdirectory": str(self._root / name)}, "delete": {"enabled": True}}
        said = {"version": 0.1, "storage": storage, "http": {"addr": address}, **(auth or {})}
        config.write_text(json.dumps(said))
        self._spawn(name, f"{self._prefix}hub", "docker-registry", "serve", str(config))

    def _make(self) -> None:
        manager = self.client()
        manager.init_swarm(
            advertise_addr=f"{_NET}.11",
            listen_addr=_MANAGER,
            default_addr_pool=["10.90.0.0/16"],
            subnet_size=24,
            swarm_spec={"Dispatcher": {"HeartbeatPeriod": 2_000_000_000}},
        )
        self._ids[1] = manager.info()["Swarm"]["NodeID"]
        manager.close()

    def _join(self, number: int, role: str) -> None:
        address = f"{_NET}.1{number}"
        with closing(self.client()) as manager, closing(self.client(number)) as worker:
            token = manager.inspect_swarm()["JoinTokens"][role]
            worker.join_swarm([_MANAGER], token, listen_addr=f"{address}:2377", advertise_addr=address)
            self._ids[number] = worker.info()["Swarm"]["NodeID"]
        self.expect_ready(number)

    def _push(self) -> str:
        with closing(docker.APIClient(timeout=60)) as theirs, closing(self.client()) as ours:
            ours.load_image(b"".join(theirs.get_image(BUSYBOX)))
        return self.publish(REGISTRY, {})

    def publish(self, registry: str, login: Mapping[str, str]) -> str:
        """Push busybox to a registry of the Swarm's, and return its name by digest; the manager has it too."""
        repository = f"{registry}/busybox"
        auth = dict(login) or None
        with closing(self.client()) as client:
            client.tag(BUSYBOX, repository, "1")
            client.push(repository, "1", auth_config=auth)
            digest = client.inspect_distribution(f"{repository}:1", auth_config=auth)["Descriptor"]["digest"]
            client.pull(repository, tag=digest, auth_config=auth)
        return f"{repository}@{digest}"

    def _spawn(self, name: str, namespace: str, *command: str) -> None:
        with (self._root / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                ["nsenter", f"--net=/run/netns/{namespace}", *command], stdout=log, stderr=log
            )

    def _answers(self, number: int) -> bool:
        assert self._processes[str(number)].poll() is None, (self._root / f"{number}.log").read_text()[-2000:]
        probe = DockerEngine(url=self.url(number), installation="probe", clock=utc_now)
        try:
            return bool(probe.info().version)
        except EngineUnavailable:
            return False
        finally:
            probe.close()

    def _left(self, place: str) -> list[int]:
        """The processes that have this directory in their command, such as containerd and its containers' keepers."""
        pids = [int(each.name) for each in Path("/proc").iterdir() if each.name.isdecimal()]
        return [pid for pid in pids if place in _command_of(pid)]

    def _ip(self, *words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True)


def _command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


@contextmanager
def swarm(size: int = 3, managers: int = 1) -> Iterator[Swarm]:
    root = Path(
        tempfile.mkdtemp(prefix="swarm-")
    )  # of a short path: a socket's address has 107 bytes at most
    made = Swarm.__new__(Swarm)
    try:
        made.__init__(root, size, managers)  # type: ignore[misc]
        yield made
    finally:
        made.close()


class SwarmHarness:
    lacks: frozenset[Lack] = frozenset()
    creates_apart = False

    def __init__(self, swarm: Swarm) -> None:
        self.installation = f"test-{uuid.uuid4().hex[:12]}"
        self.swarm = swarm
        self.client = swarm.client()
        self._engines: list[SwarmEngine] = []
        self.engine = self.another()

    def another(self, installation: str | None = None, epoch: str = "", **fields: Any) -> SwarmEngine:
        engine = SwarmEngine(
            **{"url": self.swarm.url(1), "patience": Patience(call=60), **fields},
            installation=installation or self.installation,
            clock=utc_now,
            epoch=epoch,
            egress=Egress(registry=REGISTRY),
        )
        self._engines.append(engine)
        return engine

    def epoch(self, name: str) -> SwarmEngine:
        return self.another(epoch=name)

    def stranger(self) -> SwarmEngine:
        return self.another(f"{self.installation}-stranger")

    def spec(self, shell: str, script: Script, **fields: Any) -> ContainerSpec:
        return self.spec_argv("sh", "-c", shell, **fields)

    def spec_argv(self, *argv: str, **fields: Any) -> ContainerSpec:
        usual = {"memory_bytes": 64 << 20, "cpus": 0.1, "stop_grace_seconds": 3}
        return ContainerSpec(self.swarm.image, command=argv, **{**usual, **fields})

    def without_image(self) -> ContainerSpec:
        return ContainerSpec(f"{self.swarm.image.partition('@')[0]}@sha256:{'0' * 64}")

    def leave_created(self, spec: ContainerSpec, key: str) -> None:
        body = service_body(spec, key, self.installation)
        answer = self.client.post(self.client._url("/services/create"), json=body)
        answer.raise_for_status()

    def remove_behind_our_back(self, handle: Handle) -> None:
        self.client.remove_service(handle.id)

    def close(self) -> None:
        for engine in self._engines:
            engine.close()
        for suffix in ("", "-stranger"):
            label = f"jobyard.installation={self.installation}{suffix}"
            for found in self.client.services(filters={"label": label}):
                self.client.remove_service(found["ID"])
        self.client.close()


@contextmanager
def swarm_harness(swarm: Swarm) -> Iterator[SwarmHarness]:
    harness = SwarmHarness(swarm)
    try:
        yield harness
    finally:
        harness.close()
