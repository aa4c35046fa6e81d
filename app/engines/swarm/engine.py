"""The engine contract over a Swarm, by one of its managers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

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
    ImageUnavailable,
    Owned,
    RegistryLogin,
    ResolvedImage,
    require_kept,
)
from app.engines.docker import images
from app.engines.docker.access import DEFAULT_URL, Access
from app.engines.docker.calls import Calls, Gone, Refusal
from app.engines.docker.request import INSTALLATION_LABEL, KEY_LABEL, epoch_of, labels_of, user_of
from app.engines.docker.tunnel import Tunnel
from app.engines.shells import NoShell, Shell
from app.engines.swarm.cluster import Cluster
from app.engines.swarm.logs import Logs
from app.engines.swarm.request import service_body
from app.engines.swarm.starting import Patience, Starting
from app.engines.swarm.tasks import Service, is_over, read_exit, read_nodes
from app.engines.swarm.watch import LOOK_SECONDS, Watch

_INFO_SECONDS = 3.0  # for each answer that `info` needs
_CANNOT_PROBE = 125
_BESIDE = "only the engine of the node that it runs on could, and Jobyard speaks with a manager alone"
LACKS = {
    Capability.STATS: f"The engine swarm tells nothing of what a container uses: {_BESIDE}.",
    Capability.PROBE: f"The engine swarm runs no command beside a container's process: {_BESIDE}.",
    Capability.SHELL: f"The engine swarm opens no shell in a container: {_BESIDE}.",
    Capability.ADDRESS: "The engine swarm has its containers on networks of their nodes, which Jobyard can't reach.",
    Capability.NETWORK: "The engine swarm can't keep network: each of its containers has a network; leave that out, or"
    " use the engine docker.",
    Capability.KILL: "The engine swarm kills what doesn't end by itself after the grace period that it was started"
    " with, and no sooner.",
}
NOT_CONFINED = (
    "What containers may reach is not enforced on the nodes of a Swarm: JOBYARD_EGRESS counts for registries"
    " alone."
)
NOT_BOUNDED = "Swarm has no way to bound what a container writes to its own files."
SHARED = (
    "Jobs share the default network of their node, and can reach one another on it; Swarm does not forbid them new"
    " privileges."
)
NO_MANAGER = (
    "The engine at {url} is no manager of a Swarm: make it one by docker swarm init, or let JOBYARD_DOCKER_HOST be a"
    " manager's address."
)


class SwarmEngine:
    """See `app.engines.base` for what each method promises.

    `url` is a manager's, with the `certificates` or the `tunnel` of the way there. `patience` is how long containers
    may take to start. The other arguments are `DockerEngine`'s.
    """

    name = "swarm"

    def __init__(
        self,
        *,
        url: str | None,
        certificates: Path | None = None,
        tunnel: Tunnel | None = None,
        installation: str,
        clock: Callable[[], datetime],
        timeout_seconds: float = 60.0,
        egress: Egress | None = None,
        epoch: str = "",
        patience: Patience | None = None,
    ) -> None:
        self._access = access = Access(url or DEFAULT_URL, certificates, tunnel)
        self._calls = Calls(access, timeout_seconds)
        self._quick = Cluster(Calls(access, min(timeout_seconds, _INFO_SECONDS)), installation)
        self._installation, self._epoch = installation, epoch
        self._egress = egress or Egress()
        self._patience = patience or Patience()
        self._cluster = Cluster(self._calls, installation)
        self._watch = Watch(self._cluster.services)
        self._logs = Logs(self._calls, self._watch, clock)
        self._clock = clock

    def info(self) -> EngineInfo:
        found = self._quick.info()
        if not found["Swarm"]["ControlAvailable"]:
            raise EngineUnavailable(NO_MANAGER.format(url=self._calls.access.url))
        nodes = read_nodes(self._quick.nodes().values(), self._quick.running())
        return EngineInfo(
            name=self.name,
            version=found["ServerVersion"],
            cpus=int(sum(node.cpus for node in nodes if node.takes_work)),
            memory_bytes=sum(node.memory_bytes for node in nodes if node.takes_work),
            isolation=SHARED,
            directory=found.get("DockerRootDir", ""),
            cgroup_driver=found.get("CgroupDriver", ""),
            id=found["Swarm"]["Cluster"]["ID"],
            nodes=nodes,
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

    def start(self, spec: ContainerSpec, key: str, token: int, *, is_new: bool = False) -> Handle:  # noqa: ARG002
        require_kept(spec.hardening, LACKS)
        if "@" not in spec.image:
            raise ImageUnavailable(
                f"The image {spec.image} is on one machine alone, and the nodes of a Swarm pull theirs from a registry:"
                " build it again, so that it is pushed."
            )
        user = user_of(spec, images.user(self._calls, spec.image)) if spec.hardening.non_root else None
        volumes = images.volumes(self._calls, spec.image) if spec.hardening.read_only else ()
        body = service_body(spec, key, self._installation, self._epoch, user, volumes)
        starting = Starting(self._cluster, self._watch, self._logs, self._patience, self._clock)
        return self._handle(starting.run(spec, body, look_first=not is_new))

    def environment(self, key: str, labels: Mapping[str, str]) -> Mapping[str, str] | None:
        service = self._cluster.find(labels_of(labels, key, self._installation, epoch=self._epoch))
        if service is None:
            return None
        return images.split_environment(service.spec["TaskTemplate"]["ContainerSpec"].get("Env"))

    def logs(self, handle: Handle, seen: Seen | None = None) -> Iterator[Chunk]:
        yield from self._logs.read(handle, seen)

    def wait(self, handle: Handle) -> Exit:
        service = self._watch.until(handle.id, is_over)
        if service is None:
            return Exit(ExitKind.LOST, detail=LOST)
        return read_exit(service) if service.has_ended else self._given_up(service)

    def _given_up(self, service: Service) -> Exit:
        """Remove it, so that its node ends the container should it come back."""
        self._cluster.remove(service.id)
        detail = (
            f"Node {service.lost_node} does not answer any more, so how the container ended is not known: it is ended"
            " as the node comes back."
        )
        return Exit(ExitKind.LOST, detail=detail)

    def stats(self, handle: Handle) -> Sample | None:  # noqa: ARG002
        return None

    def probe(self, handle: Handle, argv: Sequence[str], timeout_seconds: float) -> int:  # noqa: ARG002
        return _CANNOT_PROBE

    def shell(self, handle: Handle, columns: int, rows: int) -> Shell:  # noqa: ARG002
        raise NoShell(LACKS[Capability.SHELL])

    def end_shells(self, handle: Handle) -> None:
        """There are none."""

    def address(self, handle: Handle) -> str | None:  # noqa: ARG002
        return None

    def stop(self, handle: Handle, grace_seconds: float) -> None:  # noqa: ARG002
        while not is_over(service := self._watch.now(handle.id)):
            assert service is not None
            if not service.is_stopped:
                with suppress(Refusal):  # somebody else changed it since: look again
                    self._cluster.move_nowhere(service)
            self._watch.until(handle.id, is_over, LOOK_SECONDS)

    def remove(self, handle: Handle) -> None:
        with suppress(Gone):
            if self._is_ours(self._cluster.service(handle.id).labels):
                self._cluster.remove(handle.id)
        self._logs.let_go(handle.id)

    def owned(self) -> Sequence[Owned]:
        return [each for each in self._of_all_epochs() if self._is_ours(each.labels)]

    def of_other_epochs(self) -> Sequence[Owned]:
        return [each for each in self._of_all_epochs() if not self._is_ours(each.labels)]

    def _of_all_epochs(self) -> Sequence[Owned]:
        services = self._cluster.services().values()
        return [Owned(self._handle(each), each.state, each.labels, each.created_at) for each in services]

    def _handle(self, service: Service) -> Handle:
        return Handle(self.name, service.labels[KEY_LABEL], service.id, service.name, service.node)

    def _is_ours(self, labels: Mapping[str, str]) -> bool:
        return labels.get(INSTALLATION_LABEL) == self._installation and epoch_of(labels) == self._epoch

    def close(self) -> None:
        self._watch.close()
        self._logs.close()
        self._calls.close()
        self._quick.close()
        if self._access.tunnel:
            self._access.tunnel.close()
