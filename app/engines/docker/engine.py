"""The engine contract over the Docker Engine API."""

from __future__ import annotations

import hashlib
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests

from app.domain.egress import Egress
from app.domain.errors import EngineUnavailable
from app.domain.held_images import CacheUse, HeldImage
from app.domain.metrics import Sample
from app.domain.output import Seen
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
)
from app.engines.docker import exit_verification, images
from app.engines.docker.access import DEFAULT_URL, Access
from app.engines.docker.api_objects import ApiObject
from app.engines.docker.calls import Calls, Conflicting, Connection, Gone, Invalid
from app.engines.docker.containers import Containers, Ended, name_of
from app.engines.docker.disk_bound import DiskBound
from app.engines.docker.egress import EgressKeeper
from app.engines.docker.logs import CLOSING, Logs
from app.engines.docker.request import (
    BOOT_LABEL,
    DEFAULT_NETWORK,
    INSTALLATION_LABEL,
    KEY_LABEL,
    container_body,
    epoch_of,
    job_network,
    labels_of,
    user_of,
)
from app.engines.docker.shells import DockerShell, Shells
from app.engines.docker.starting import Starting, shell_code
from app.engines.docker.state import CpuReading, is_in_order, read_exit, read_sample, read_state
from app.engines.docker.tunnel import Tunnel

INFO_SECONDS = 3.0  # for each answer that `info` needs: whether the engine answers is told soon
_WAIT_SECONDS = 2.0  # how long `wait` may take to notice that it was closed
_TIMED_OUT = 124
_CANNOT_PROBE = 125
_UNREACHABLE = (
    "Ports of containers on another machine (JOBYARD_DOCKER_HOST) can't be reached from here:"
    " make the check a command."
)
_SHARED_NETWORK = "Jobs share the engine's default network, and can reach one another on it."


class DockerEngine:
    """See `app.engines.base` for what each method promises.

    `url` is the engine's address, with the `certificates` of its access over TLS or the `tunnel` that brings it here,
    which is closed with it.
    `installation` is the id of this Jobyard, `epoch` what it is in since its data was restored: containers of another
    one on the same engine are never touched.
    `timeout_seconds` is how long the engine may take for one answer. `isolate_network` puts jobs on a network
    where they can't reach one another, which costs some 50 ms a start (name resolution is set up for it).
    `egress` is what containers may reach, which is enforced if `confines`, and where registries may be; None is the
    usual.
    `boot_id` changes with every start of the engine's machine; empty if it can't be known.
    """

    name = "docker"

    def __init__(
        self,
        *,
        url: str | None,
        certificates: Path | None = None,
        tunnel: Tunnel | None = None,
        installation: str,
        clock: Callable[[], datetime],
        timeout_seconds: float = 60.0,
        isolate_network: bool = True,
        egress: Egress | None = None,
        confines: bool = False,
        boot_id: str = "",
        epoch: str = "",
    ) -> None:
        self._access = access = Access(url or DEFAULT_URL, certificates, tunnel)
        self._calls = Calls(access, timeout_seconds)
        self._installation = installation
        self._epoch = epoch
        self._quick_calls = Calls(access, min(timeout_seconds, INFO_SECONDS))
        self._egress = egress or Egress()
        self._keeper = EgressKeeper(self._quick_calls, installation, self._egress) if confines else None
        self._disk = DiskBound(self._quick_calls)
        network = job_network(self._egress.reach) if isolate_network else None
        self._containers = Containers(self._calls, network, self.confine)
        self._quick = Containers(self._quick_calls, network)
        self._shells = Shells(self._calls)
        self._logs = Logs(self._calls, clock, self._containers.ended_at, has_same_clock=access.is_local)
        self._clock = clock
        self._boot_id = boot_id
        self._cpu: dict[str, CpuReading] = {}
        self._told_to_stop: set[str] = set()
        self._closed = threading.Event()

    def info(self) -> EngineInfo:
        try:
            with self._quick_calls.api() as client:
                answer = client.info()
        except EngineUnavailable:
            self._disk.forget()
            raise
        shares = self._quick.network() == DEFAULT_NETWORK
        isolation = _SHARED_NETWORK if shares else ""
        return EngineInfo(
            name=self.name,
            version=answer["ServerVersion"],
            cpus=answer["NCPU"],
            memory_bytes=answer["MemTotal"],
            isolation=isolation,
            directory=answer.get("DockerRootDir", ""),
            cgroup_driver=answer.get("CgroupDriver", ""),
            id=_id_of(answer),
        )

    def lacks(self) -> Mapping[Capability, str]:
        return {} if self._access.is_local else {Capability.ADDRESS: _UNREACHABLE}

    def confine(self) -> str:
        return self._keeper.keep() if self._keeper else ""

    def confinement(self) -> Confinement:
        return self._keeper.confinement() if self._keeper else Confinement()

    def unconfine(self) -> None:
        if self._keeper:
            self._keeper.release()

    def disk_refusal(self, size: int) -> str:
        return self._disk.refusal(size)

    def resolve(
        self, reference: str, login: RegistryLogin | None = None, *, pull: bool = True
    ) -> ResolvedImage:
        return images.resolve(self._calls, reference, login, self._egress, pull=pull)

    def held(self, reference: str) -> ResolvedImage:
        return images.held(self._calls, reference)

    def image_config(self, image: str) -> ImageConfig:
        return images.image_config(self._calls, image)

    def rename_images(self, new_name: Callable[[str], str | None]) -> int:
        return images.rename(self._calls, new_name)

    def images(self) -> Sequence[HeldImage]:
        return images.named(self._calls)

    def remove_image(self, name: str) -> bool:
        return images.remove(self._calls, name)

    def prune_build_cache(self, keep_bytes: int) -> int:
        return images.prune_build_cache(self._calls, keep_bytes)

    def build_cache(self) -> CacheUse:
        return images.build_cache(self._calls)

    def start(self, spec: ContainerSpec, key: str, token: int, *, is_new: bool = False) -> Handle:
        network = self._containers.network()
        user = user_of(spec, images.user(self._calls, spec.image)) if spec.hardening.non_root else None
        volumes = images.volumes(self._calls, spec.image) if spec.hardening.read_only else ()
        told = self._disk.told(spec)
        body = container_body(
            told, key, self._installation, network, self._boot_id, self._epoch, user, volumes
        )
        patience = 1.5 * self._calls.timeout_seconds
        try:
            return Starting(self._containers, self._logs, body, token, patience).run(look_first=not is_new)
        except EngineUnavailable:
            self._disk.forget()
            raise

    def environment(self, key: str, labels: Mapping[str, str]) -> Mapping[str, str] | None:
        wanted = labels_of(labels, key, self._installation, epoch=self._epoch)
        for candidate in self._containers.candidates(wanted):
            with suppress(Gone):
                found = self._containers.inspect(candidate.id)
                return images.split_environment(found["Config"]["Env"])
        return None

    def logs(self, handle: Handle, seen: Seen | None = None) -> Iterator[Chunk]:
        return self._logs.read(handle, seen)

    def wait(self, handle: Handle) -> Exit:
        while True:
            try:
                if ended := self._containers.end_of(handle.id, _WAIT_SECONDS):
                    return self._believed(handle.id, ended)
            except Gone:
                return Exit(ExitKind.LOST, detail=LOST)
            if self._closed.is_set():
                raise EngineUnavailable(CLOSING)

    def _believed(self, container_id: str, ended: Ended) -> Exit:
        end = read_exit(ended.state)
        if container_id in self._told_to_stop:
            return end
        was_set_back = end.finished_at is not None and not is_in_order(end.started_at, end.finished_at)
        if end.kind is not ExitKind.EXITED and not was_set_back:
            return end
        same_boot = ended.labels.get(BOOT_LABEL, self._boot_id) == self._boot_id
        history = exit_verification.read_history(
            self._calls, container_id, end, self._clock(), same_boot=same_boot
        )
        if was_set_back and history.saw_end:
            end = read_exit(ended.state, was_seen=True)
        return exit_verification.verify_exit(end, history)

    def stats(self, handle: Handle) -> Sample | None:
        try:
            with self._calls.api() as client:
                answer = _measure(client, handle.id)
        except Gone:
            return None
        reading = read_sample(answer, self._cpu.get(handle.id))
        if reading is None:
            return None
        sample, self._cpu[handle.id] = reading
        return sample

    def probe(self, handle: Handle, argv: Sequence[str], timeout_seconds: float) -> int:
        """Run a command in the container: 125 if it is not running, 126 or 127 if the command can't be run.

        The engine has no way to end a command it started: one that is over its time runs on in the container.
        """
        try:
            with self._calls.api() as client:
                exec_id = client.exec_create(handle.id, list(argv))["Id"]
            connection = self._calls.stream("POST", f"/exec/{exec_id}/start", {"Detach": False, "Tty": False})
        except (Gone, Conflicting):
            return _CANNOT_PROBE
        except Invalid as error:
            return shell_code(error.explanation) or _CANNOT_PROBE
        with self._calls.typed():
            is_over = _is_read_within(connection, timeout_seconds)
        if not is_over:
            return _TIMED_OUT
        with self._calls.api() as client:
            code = client.exec_inspect(exec_id)["ExitCode"]
        return _CANNOT_PROBE if code is None else int(code)

    def shell(self, handle: Handle, columns: int, rows: int) -> DockerShell:
        return self._shells.open(handle.id, columns, rows)

    def end_shells(self, handle: Handle) -> None:
        self._shells.end_left(handle.id)

    def address(self, handle: Handle) -> str | None:
        if not self._access.is_local:
            return None
        try:
            found = self._containers.inspect(handle.id)
        except Gone:
            return None
        networks = found["NetworkSettings"]["Networks"].values()
        return next((network["IPAddress"] for network in networks if network["IPAddress"]), None)

    def stop(self, handle: Handle, grace_seconds: float) -> None:
        self._told_to_stop.add(handle.id)
        with suppress(Gone):
            self._containers.stop(handle.id, math.ceil(grace_seconds))

    def remove(self, handle: Handle) -> None:
        try:
            is_ours = self._is_ours(self._containers.labels_of(handle.id))
        except Gone:
            is_ours = False
        if is_ours:
            self._containers.delete(handle.id, force=True)
        self._logs.forget(handle.id)
        self._cpu.pop(handle.id, None)
        self._told_to_stop.discard(handle.id)

    def owned(self) -> Sequence[Owned]:
        return [each for each in self._of_all_epochs() if self._is_ours(each.labels)]

    def of_other_epochs(self) -> Sequence[Owned]:
        return [each for each in self._of_all_epochs() if not self._is_ours(each.labels)]

    def _of_all_epochs(self) -> Sequence[Owned]:
        return [
            Owned(
                Handle(self.name, found["Labels"][KEY_LABEL], found["Id"], name_of(found)),
                read_state(found["State"]),
                found["Labels"],
                datetime.fromtimestamp(found["Created"], UTC),
            )
            for found in self._containers.listed(f"{INSTALLATION_LABEL}={self._installation}")
            if KEY_LABEL in found["Labels"]
        ]

    def _is_ours(self, labels: Mapping[str, str]) -> bool:
        return labels.get(INSTALLATION_LABEL) == self._installation and epoch_of(labels) == self._epoch

    def close(self) -> None:
        self._closed.set()
        self._logs.close()
        self._calls.close()
        self._quick_calls.close()
        if self._access.tunnel:
            self._access.tunnel.close()


def _id_of(answer: ApiObject) -> str:
    """Several on one machine may have the same id, by the same key file, but never the same directory."""
    told = f"{answer.get('ID', '')} {answer.get('DockerRootDir', '')}"
    return f"docker-{hashlib.sha256(told.encode()).hexdigest()[:16]}"


def _measure(client: Any, container_id: str) -> ApiObject:
    """Return the engine's reading; an empty one for a container whose process has just ended.

    Until the engine has taken note of an end, it answers 200 without a body.
    """
    try:
        answer: ApiObject = client.stats(container_id, stream=False, one_shot=True)
    except requests.JSONDecodeError as error:
        if error.doc:
            raise
        return {}
    return answer


def _is_read_within(connection: Connection, seconds: float) -> bool:
    """Return whether the answer came to its end in time; it is closed in any case. Raises OSError if it breaks."""
    deadline = time.monotonic() + seconds
    try:
        while connection.receive(timeout_seconds=max(deadline - time.monotonic(), 0.001)):
            pass
    except TimeoutError:
        return False
    finally:
        connection.close()
    return True
