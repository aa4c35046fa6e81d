"""Keeps the rules for what containers may reach as they should be, whoever takes them away."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from app.domain.addresses import Address, readable
from app.domain.egress import Egress, Reach
from app.engines.base import Confinement
from app.engines.docker.api_objects import ApiObject
from app.engines.docker.calls import Calls
from app.engines.docker.egress.namespace import PROGRAMS, Namespace, NotFilterable, engine_namespace
from app.engines.docker.egress.resolvers import nameservers
from app.engines.docker.egress.rules import FORWARDING, Fence, Version, are_set, ours, removing, restoring
from app.engines.docker.request import DEFAULT_NETWORK, INSTALLATION_LABEL, job_network

LOOKED_EVERY = 30.0  # seconds, at the rules; at the containers with every call
OPEN_BRIDGE = (
    "Builds, and jobs unless JOBYARD_NETWORK=isolated, reach whatever the engine's default bridge does:"
    " JOBYARD_EGRESS_BRIDGE is open."
)
_EVERY_REACH = [
    frozenset(some) for number in range(len(Reach) + 1) for some in itertools.combinations(Reach, number)
]
Wanted = tuple[list[Fence], tuple[Address, ...]]


class EgressKeeper:
    """Keeps the rules of one installation on one engine.

    A network of jobs has rules of its own, the same for all installations that use it. On the engine's default bridge,
    where builds are as well, they are the installation's: running containers that are not its own are left alone, by
    their addresses. Calls raise EngineUnavailable.
    """

    def __init__(
        self,
        calls: Calls,
        installation: str,
        egress: Egress,
        *,
        ticks: Callable[[], float] = time.monotonic,
        resolvers: Callable[[], tuple[Address, ...]] = nameservers,
    ) -> None:
        self._calls = calls
        self._installation = installation
        self._egress = egress
        self._ticks = ticks
        self._resolvers = resolvers
        self._lock = threading.Lock()
        self._kept: Wanted | None = None
        self._seen: dict[Version, tuple[str, ...]] = {}
        self._looked_at = 0.0
        self._trouble = ""

    def keep(self) -> str:
        """Set the rules if they are not as they should be. Returns a sentence about what should be enforced and is not,
        or nothing.

        The rules are looked at every LOOKED_EVERY seconds, and whenever others are wanted.
        """
        with self._lock:
            wanted = (self._fences(), self._resolvers())
            if wanted != self._kept or self._ticks() - self._looked_at >= LOOKED_EVERY:
                self._trouble = self._restore(*wanted)
                self._kept, self._looked_at = wanted, self._ticks()
            return self._trouble

    def release(self) -> None:
        """Take the rules on the default bridge away, unless a container of the installation is running there."""
        with self._lock, suppress(NotFilterable):
            fences = [fence for fence in self._fences() if fence.name == self._installation]
            if not fences or self._running(is_own=True):
                return
            self._kept = None
            namespace = self._namespace(fences)
            for version, some in _by_version(fences):
                namespace.restore(version, removing(namespace.saved(version), some))

    def confinement(self) -> Confinement:
        """Return what `keep` would, or that it leaves the default bridge alone, and change nothing."""
        fences = self._fences()
        if not fences:
            return Confinement(self._left_open())
        try:
            namespace = self._namespace(fences)
            is_set = all(are_set(namespace.saved(version), some) for version, some in _by_version(fences))
        except NotFilterable as error:
            return Confinement(self._not_enforced(error), self.by_hand())
        return Confinement(self._left_open(), is_set=is_set)

    def by_hand(self) -> str:
        """Return what sets the rules, for somebody to run as root where the engine has its networks.

        They spare no container of the default bridge: whose an address is changes, and nobody would change the rules.
        """
        servers = self._resolvers()
        wanted = [replace(fence, strangers=()) for fence in self._fences()]
        return "\n".join(
            f"{PROGRAMS[version]}-restore --noflush <<'END'\n"
            f"{restoring(f':{FORWARDING} ' if version == 4 else '', fences, servers, version)}END"
            for version, fences in _by_version(wanted)
        )

    def _restore(self, fences: list[Fence], servers: tuple[Address, ...]) -> str:
        if not fences:
            return ""
        try:
            namespace = self._namespace(fences)
            for version, some in _by_version(fences):
                saved = namespace.saved(version)
                found = ours(saved, some)
                if self._kept == (fences, servers) and found and found == self._seen.get(version):
                    continue
                namespace.restore(version, restoring(saved, some, servers, version))
                self._seen[version] = ours(namespace.saved(version), some)
        except NotFilterable as error:
            return self._not_enforced(error)
        return ""

    def _not_enforced(self, error: NotFilterable) -> str:
        return (
            f"What jobs and builds may reach (JOBYARD_EGRESS: {self._egress}) is not enforced: {error}"
            " `jobyard doctor` prints the rules to add there."
        )

    def _left_open(self) -> str:
        return "" if self._egress.on_default_bridge else OPEN_BRIDGE

    def _namespace(self, fences: Sequence[Fence]) -> Namespace:
        return engine_namespace(self._calls.access.url, frozenset(fence.bridge for fence in fences))

    def _fences(self) -> list[Fence]:
        """Return a fence for each network of the engine that is Jobyard's to keep."""
        with self._calls.api() as client:
            networks = {each["Name"]: each for each in client.networks()}
        fences = [
            Fence(_bridge_of(found), _bridge_of(found), reach, _versions_of(found))
            for reach in _EVERY_REACH
            if (found := networks.get(job_network(reach)["name"]))
        ]
        default = networks.get(DEFAULT_NETWORK)
        if self._egress.on_default_bridge and default:
            strangers = tuple(sorted(self._running(is_own=False), key=str))
            reach, versions = self._egress.reach, _versions_of(default)
            fences.append(Fence(_bridge_of(default), self._installation, reach, versions, strangers))
        return fences

    def _running(self, *, is_own: bool) -> list[Address]:
        """Return the addresses on the default bridge of running containers that are the installation's, or are not."""
        with self._calls.api() as client:
            containers = client.containers()
        return [
            address
            for each in containers
            if (each["Labels"].get(INSTALLATION_LABEL) == self._installation) is is_own
            for address in _addresses(each["NetworkSettings"]["Networks"].get(DEFAULT_NETWORK) or {})
        ]


def _by_version(fences: Sequence[Fence]) -> list[tuple[Version, list[Fence]]]:
    found: list[tuple[Version, list[Fence]]] = [
        (version, [fence for fence in fences if version in fence.versions]) for version in PROGRAMS
    ]
    return [(version, some) for version, some in found if some]


def _addresses(endpoint: ApiObject) -> list[Address]:
    found = (readable(endpoint.get(key) or "") for key in ("IPAddress", "GlobalIPv6Address"))
    return [address for address in found if address]


def _versions_of(network: ApiObject) -> tuple[Version, ...]:
    return (4, 6) if network["EnableIPv6"] else (4,)


def _bridge_of(network: ApiObject) -> str:
    name: str = (network.get("Options") or {}).get("com.docker.network.bridge.name", "")
    return name or f"br-{network['Id'][:12]}"
