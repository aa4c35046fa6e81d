"""What we ask a Swarm for, as values."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from posixpath import join, normpath

from app.engines.base import ContainerSpec, RegistryLogin
from app.engines.docker.api_objects import ApiObject
from app.engines.docker.request import LOG_CONFIG, labels_of

OVERLAP_LABEL = "jobyard.may-overlap"
STOPPED_ON_LABEL = "jobyard.stopped-on"
NOWHERE = "node.id==none-as-it-was-stopped"
_KEY_LENGTH, _DIGEST_LENGTH = 40, 12  # a service's name has 63 characters at most
NANO = 1_000_000_000


def service_name(key: str, labels: Mapping[str, str]) -> str:
    """Return the name that only services of this key and these labels have."""
    digest = hashlib.sha256(json.dumps([key, sorted(labels.items())]).encode()).hexdigest()
    return f"jy-{re.sub(r'[^A-Za-z0-9-]', '-', key)[:_KEY_LENGTH]}-{digest[:_DIGEST_LENGTH]}"


def service_body(
    spec: ContainerSpec,
    key: str,
    installation: str,
    epoch: str = "",
    user: str | None = None,
    volumes: Iterable[str] = (),
) -> ApiObject:
    """Return the body of `POST /services/create`. `user` is whom it runs as instead of the image's own, `volumes` the
    directories that the image declares as such.

    Its variables, secrets among them, are in the service: Swarm has no other way to set a variable, and keeps its own
    secrets in files. Managers have them encrypted, and only who may use a manager's engine reads them.
    """
    labels = labels_of(spec.labels, key, installation, epoch=epoch)
    size = {"NanoCPUs": round(spec.cpus * NANO), "MemoryBytes": spec.memory_bytes}
    return {
        "Name": service_name(key, labels),
        "Labels": {**labels, OVERLAP_LABEL: str(spec.may_overlap).lower()},
        "Mode": {"Replicated": {"Replicas": 1}},
        "TaskTemplate": {
            "ContainerSpec": _container(spec, user, volumes),
            "Resources": {"Limits": {**size, "Pids": spec.pids_limit}, "Reservations": size},
            "RestartPolicy": {"Condition": "none"},
            "Placement": {"Constraints": constraints(spec)},
            "LogDriver": {"Name": LOG_CONFIG["Type"], "Options": LOG_CONFIG["Config"]},
        },
    }


def constraints(spec: ContainerSpec) -> list[str]:
    return [f"node.labels.{name}=={value}" for name, value in sorted(spec.node_labels.items())]


def _container(spec: ContainerSpec, user: str | None, volumes: Iterable[str]) -> ApiObject:
    """It is closed by construction, as the one of `engines.docker.request` is."""
    return {
        "Image": spec.image,
        **_command(spec),
        "Env": [f"{name}={value}" for name, value in spec.env.items()],
        **({"User": user} if user is not None else {}),
        **(_read_only(spec, volumes) if spec.hardening.read_only else {}),
        "Init": True,
        "CapabilityDrop": ["ALL"],
        "Ulimits": [
            {"Name": "nofile", "Soft": 16384, "Hard": 16384},
            {"Name": "core", "Soft": 0, "Hard": 0},
        ],
        "Healthcheck": {"Test": ["NONE"]},
        "StopSignal": "SIGTERM",
        "StopGracePeriod": spec.stop_grace_seconds * NANO,
    }


def _command(spec: ContainerSpec) -> ApiObject:
    """What a service calls its command is an image's entrypoint, and its arguments are the image's command."""
    arguments = {} if spec.command is None else {"Args": list(spec.command)}
    if spec.entrypoint is None:
        return arguments
    if spec.entrypoint:
        return {"Command": list(spec.entrypoint), **arguments}
    first, *others = spec.command or ("",)  # no entrypoint: an empty one would be the image's
    return {"Command": [first], "Args": others}


def _read_only(spec: ContainerSpec, volumes: Iterable[str]) -> ApiObject:
    """Nothing can be written but to /tmp and the image's volumes, in memory that is the container's."""
    options = {"SizeBytes": spec.memory_bytes // 2, "Mode": 0o1777}
    places = {"/tmp", *(normpath(join("/", each)) for each in volumes)}  # noqa: S108  inside of the container
    mounts = [{"Type": "tmpfs", "Target": place, "TmpfsOptions": options} for place in sorted(places)]
    return {"ReadOnly": True, "Mounts": mounts}


def registry_auth(login: RegistryLogin | None, registry: str) -> Mapping[str, str]:
    """Return the header that the nodes log in to the registry with."""
    if login is None:
        return {}
    given = {"username": login.username, "password": login.password, "serveraddress": registry}
    return {"X-Registry-Auth": base64.urlsafe_b64encode(json.dumps(given).encode()).decode()}


def moved_nowhere(spec: ApiObject, node: str) -> ApiObject:
    """Return the service's specification with its task on no node, and a label that says on which it was."""
    template = {**spec["TaskTemplate"], "Placement": {"Constraints": [NOWHERE]}}
    return {**spec, "Labels": {**spec["Labels"], STOPPED_ON_LABEL: node}, "TaskTemplate": template}


def is_moved_nowhere(spec: ApiObject) -> bool:
    return NOWHERE in ((spec["TaskTemplate"].get("Placement") or {}).get("Constraints") or ())
