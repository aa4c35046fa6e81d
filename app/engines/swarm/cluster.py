"""Single calls to the manager."""

from __future__ import annotations

from collections.abc import Mapping

from app.engines.docker.api_objects import ApiObject
from app.engines.docker.calls import Calls, Gone
from app.engines.docker.request import INSTALLATION_LABEL, KEY_LABEL, is_meant
from app.engines.swarm.request import moved_nowhere
from app.engines.swarm.tasks import Service, read_service


class Cluster:
    """What one installation has in a Swarm. Every method raises Gone, Refusal or EngineUnavailable."""

    def __init__(self, calls: Calls, installation: str) -> None:
        self._calls = calls
        self._label = f"{INSTALLATION_LABEL}={installation}"

    def info(self) -> ApiObject:
        with self._calls.api() as client:
            found: ApiObject = client.info()
            return found

    def nodes(self) -> Mapping[str, ApiObject]:
        with self._calls.api() as client:
            return {node["ID"]: node for node in client.nodes()}

    def running(self) -> list[ApiObject]:
        """Return all tasks that should run, whoever's they are."""
        with self._calls.api() as client:
            found: list[ApiObject] = client.tasks(filters={"desired-state": "running"})
            return found

    def services(self) -> Mapping[str, Service]:
        """Return the services with their tasks, by their ids."""
        filters = {"label": self._label}
        with self._calls.api() as client:
            services = client.services(filters=filters)
            tasks = client.tasks(filters=filters) if services else []
        nodes = self.nodes() if tasks else {}
        return {each["ID"]: read_service(each, tasks, nodes) for each in services}

    def find(self, wanted: Mapping[str, str]) -> Service | None:
        """Return the service that a request with these labels is for, perhaps sent by an earlier server."""
        filters = {"label": [f"{label}={wanted[label]}" for label in (KEY_LABEL, INSTALLATION_LABEL)]}
        with self._calls.api() as client:
            services = client.services(filters=filters)
        meant = [each for each in services if is_meant(each["Spec"]["Labels"], wanted)]
        oldest = min(meant, key=lambda each: str(each["CreatedAt"]), default=None)
        return None if oldest is None else read_service(oldest, (), {})

    def service(self, name_or_id: str) -> Service:
        with self._calls.api() as client:
            return read_service(client.inspect_service(name_or_id), (), {})

    def create(self, body: ApiObject, headers: Mapping[str, str]) -> str:
        """Return the id of the new service. Raises Conflicting where there is one of that name."""
        with self._calls.api() as client:
            answer = client.post(client._url("/services/create"), json=body, headers=dict(headers))
            client._raise_for_status(answer)
            return str(answer.json()["ID"])

    def move_nowhere(self, service: Service) -> None:
        """Raises Refusal if somebody else changed the service since it was looked at."""
        with self._calls.api() as client:
            answer = client.post(
                client._url("/services/{0}/update", service.id),
                json=moved_nowhere(service.spec, service.node),
                params={"version": service.version},
            )
            client._raise_for_status(answer)

    def remove(self, service_id: str) -> None:
        """Remove it; what is gone already is fine."""
        try:
            with self._calls.api() as client:
                client.remove_service(service_id)
        except Gone:
            return

    def close(self) -> None:
        self._calls.close()
