"""Carries out a start: create the service, or find it, and wait until its process runs or can't."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.domain.errors import EngineUnavailable
from app.domain.hosts import registry_host
from app.engines.base import ContainerSpec, ImageUnavailable, StartRefused, StartUncertain, StartWaits
from app.engines.docker.api_objects import ApiObject
from app.engines.docker.calls import Conflicting, Invalid
from app.engines.docker.starting import refusal_of, shell_code
from app.engines.swarm.cluster import Cluster
from app.engines.swarm.logs import FirstWords, Logs
from app.engines.swarm.request import registry_auth
from app.engines.swarm.tasks import Service
from app.engines.swarm.watch import Watch

_NO_IMAGE = ("No such image", "manifest unknown", "not found: manifest")


@dataclass(frozen=True, slots=True)
class Patience:
    """How many seconds a container may take to start, and how many one call waits for that before it says what is
    waited for.
    """

    start: float = 600.0
    call: float = 5.0


@dataclass(frozen=True)
class Starting:
    cluster: Cluster
    watch: Watch
    logs: Logs
    patience: Patience
    clock: Callable[[], datetime]

    def run(self, spec: ContainerSpec, body: ApiObject, *, look_first: bool) -> Service:
        """Return the service once its process runs or has run. Raises what `Engine.start` raises."""
        first_words = FirstWords()
        found = self.cluster.find(body["Labels"]) if look_first else None
        service_id = found.id if found else self._created(spec, body, first_words)
        try:
            return self._begun(service_id, spec, first_words)
        except (ImageUnavailable, StartRefused, EngineUnavailable, StartUncertain):
            self.logs.let_go(service_id)
            raise
        finally:
            first_words.stop()

    def _begun(self, service_id: str, spec: ContainerSpec, first_words: FirstWords) -> Service:
        def is_decided(service: Service | None) -> bool:
            return first_words.have_come or _is_decided(service)

        service = self.watch.until(service_id, is_decided, self.patience.call, soon=True)
        if first_words.have_come:
            service = self.watch.now(service_id)  # its node was not known before, perhaps
        if service is None:
            raise StartUncertain(f"The service {service_id} was removed while it was started.")
        if not is_decided(service):
            self._wait_on(service)
        self._require_run(service, spec)
        return service

    def _created(self, spec: ContainerSpec, body: ApiObject, first_words: FirstWords) -> str:
        try:
            service_id = self.cluster.create(body, registry_auth(spec.login, registry_host(spec.image)))
        except Conflicting:
            return self.cluster.service(body["Name"]).id
        except Invalid as error:
            raise StartRefused(*refusal_of(error.explanation)) from error
        with suppress(EngineUnavailable):  # it is read later, then
            self.logs.hold(service_id, first_words)
        return service_id

    def _wait_on(self, service: Service) -> None:
        """Raises StartWaits, or StartRefused once it has taken too long; then it is removed, so that it can't start
        later.
        """
        told = _waits(service)
        if self.clock() - service.created_at <= timedelta(seconds=self.patience.start):
            raise StartWaits(told)
        self.cluster.remove(service.id)
        raise StartRefused(f"The container did not start within {self.patience.start:g} s. {told}")

    def _require_run(self, service: Service, spec: ContainerSpec) -> None:
        """Remove what a node could not start, which never ran, and raise why. A container whose command can't be run
        has an exit code as well, and the engine's words for it.
        """
        said = service.status.get("Err", "")
        is_refused = service.has_ended and "starting container failed" in said
        if not is_refused and (service.exit_code is not None or not service.has_ended):
            return
        self.cluster.remove(service.id)
        if any(words in said for words in _NO_IMAGE):
            raise ImageUnavailable(
                f"Node {service.node} can't pull {spec.image}: there is no such image, or no access to it."
            )
        if is_refused or shell_code(said):
            raise StartRefused(*refusal_of(said))
        raise EngineUnavailable(
            f"Node {service.node} did not start {service.name}: {said or service.status['State']}."
        )


def _is_decided(service: Service | None) -> bool:
    return service is None or service.has_ended or service.status["State"] == "running"


def _waits(service: Service) -> str:
    """Return what a container that does not run yet waits for."""
    said = service.status.get("Err", "")
    if not service.node:
        return f"No node of the Swarm takes this container: {said or 'none has been chosen yet'}."
    if service.lost_node:
        return f"Node {service.node}, which should run this container, does not answer."
    return f"Node {service.node} has not started this container yet: {said or service.status.get('Message', '')}."
