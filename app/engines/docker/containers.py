"""Single calls about containers, and what they answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

import requests
from urllib3.exceptions import ReadTimeoutError

from app.engines.docker.api_objects import ApiObject, ContainerState
from app.engines.docker.calls import Calls, Conflicting, Gone, Refusal
from app.engines.docker.fencing import Candidate
from app.engines.docker.request import DEFAULT_NETWORK, INSTALLATION_LABEL, KEY_LABEL, is_meant
from app.engines.docker.state import read_time

_GOING = {"removing", "dead"}
_SETTLE_SECONDS = 1.0  # from the end of the output to the end of the container, at most


@dataclass(frozen=True, slots=True)
class Ended:
    """A container that is over, as an inspection by the engine shows it."""

    state: ContainerState
    labels: Mapping[str, str]


class Containers:
    """Makes single calls about containers, and remembers how those that are over ended.

    `job_network` is the request for the network that jobs have of their own; without one they are on the default
    network. `confine` is called whenever the network becomes known, before anything starts there.
    Every method raises Gone, Refusal or EngineUnavailable.
    """

    def __init__(
        self,
        calls: Calls,
        job_network: ApiObject | None,
        confine: Callable[[], object] = lambda: None,
    ) -> None:
        self._calls = calls
        self._lock = threading.Lock()
        self._job_network = job_network
        self._confine = confine
        self._network: str | None = None
        self._ended: dict[str, Ended] = {}

    def listed(self, *labels: str) -> list[ApiObject]:
        """Return the engine's entry for each container with all these labels (`name=value`), whatever its state."""
        with self._calls.api() as client:
            found: list[ApiObject] = client.containers(all=True, filters={"label": list(labels)})
            return found

    def candidates(self, wanted: Mapping[str, str]) -> list[Candidate]:
        """Return the containers that a request with these labels is for, perhaps sent by an earlier server.

        Those that never ran and are being removed are left out: the engine starts them no more.
        """
        filters = [f"{label}={wanted[label]}" for label in (KEY_LABEL, INSTALLATION_LABEL)]
        return [
            Candidate(found["Id"], name_of(found), fresh=found["State"] == "created")
            for found in self.listed(*filters)
            if is_meant(found["Labels"], wanted)
            and (found["State"] not in _GOING or self.ever_ran(found["Id"]))
        ]

    def ever_ran(self, container_id: str) -> bool:
        """Return whether it was ever started. The engine answers once a start or rename that it has begun is over."""
        try:
            return read_time(self.inspect(container_id)["State"]["StartedAt"]) is not None
        except Gone:
            return False

    def inspect(self, container_id: str) -> ApiObject:
        with self._calls.api() as client:
            found: ApiObject = client.inspect_container(container_id)
            return found

    def create(self, name: str, body: ApiObject) -> None:
        with self._calls.api() as client:
            client.create_container_from_config(body, name)

    def rename(self, container_id: str, name: str) -> None:
        with self._calls.api() as client:
            client.rename(container_id, name)

    def start(self, name: str) -> None:
        with self._calls.api() as client:
            client.start(name)

    def stop(self, container_id: str, grace_seconds: int) -> None:
        with self._calls.api() as client:
            client.stop(container_id, timeout=grace_seconds)

    def delete(self, container_id: str, *, force: bool) -> None:
        """Remove the container with its anonymous volumes. One that is gone or going is fine; a running one stays,
        unless forced.
        """
        try:
            with self._calls.api() as client:
                client.remove_container(container_id, v=True, force=force)
        except (Gone, Conflicting):
            pass
        self._ended.pop(container_id, None)

    def end_of(self, container_id: str, timeout_seconds: float) -> Ended | None:
        """Return how it ended, or None if it goes on after `timeout_seconds`. An end never changes, and is asked
        for once.
        """
        ended = self._ended.get(container_id)
        if ended is None and self._await_end(container_id, timeout_seconds):
            found = self.inspect(container_id)
            ended = Ended(found["State"], found["Config"]["Labels"])
            if ended.state["Status"] == "exited":
                self._ended[container_id] = ended
        return ended

    def _await_end(self, container_id: str, timeout_seconds: float) -> bool:
        """Return whether it stopped running within the time."""
        with self._calls.api() as client:
            try:
                client.wait(container_id, timeout=timeout_seconds, condition="not-running")
            except requests.RequestException as error:
                if is_timeout(error):
                    return False
                raise
        return True

    def ended_at(self, container_id: str) -> tuple[bool, datetime | None]:
        """Return whether it has ended or is about to, and when; `(True, None)` if it is gone."""
        try:
            ended = self.end_of(container_id, _SETTLE_SECONDS)
        except Gone:
            return True, None
        return (False, None) if ended is None else (True, read_time(ended.state["FinishedAt"]))

    def labels_of(self, container_id: str) -> Mapping[str, str]:
        ended = self._ended.get(container_id)
        labels: Mapping[str, str] = ended.labels if ended else self.inspect(container_id)["Config"]["Labels"]
        return labels

    def network(self) -> str:
        """Return the name of the jobs' network, which is made if need be; the engine's default one where it can't
        be made.
        """
        with self._lock:
            if self._network is None:
                network = self._ensured(self._job_network) if self._job_network else DEFAULT_NETWORK
                self._confine()
                self._network = network
            return self._network

    def forget_network(self) -> None:
        with self._lock:
            self._network = None

    def _ensured(self, network: ApiObject) -> str:
        name: str = network["name"]
        if self._has_network(name):
            return name
        try:
            with self._calls.api() as client:
                client.create_network(**network)
            return name
        except Refusal:
            return (
                name if self._has_network(name) else DEFAULT_NETWORK
            )  # another server may have made it just now

    def _has_network(self, name: str) -> bool:
        try:
            with self._calls.api() as client:
                client.inspect_network(name)
        except Gone:
            return False
        return True


def name_of(found: ApiObject) -> str:
    """Return the name of a listed container; its id if it has none."""
    return str(found["Names"][0]).lstrip("/") if found["Names"] else str(found["Id"])


def is_timeout(error: requests.RequestException) -> bool:
    """Return whether the time for `wait` was over. The SDK reports that as a broken connection, as the engine sends
    headers at once.
    """
    broken = isinstance(error, requests.ConnectionError) and error.args
    return isinstance(error, requests.Timeout) or bool(broken and isinstance(error.args[0], ReadTimeoutError))
