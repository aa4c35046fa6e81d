"""What we ask the engine for, as values."""

from __future__ import annotations

import re
from collections.abc import Mapping

from app.domain.egress import NOTHING, USUAL, Reach
from app.engines.base import ContainerSpec, is_same
from app.engines.docker.api_objects import ApiObject

INSTALLATION_LABEL = "jobyard.installation"
EPOCH_LABEL = "jobyard.epoch"  # there is none in the first epoch
KEY_LABEL = "jobyard.key"
BOOT_LABEL = "jobyard.boot"  # of the machine, when the container was created

# The engine's copy of the output only fills gaps after a restart of ours. `local` keeps the bytes as they
# are, where `json-file` replaces invalid UTF-8. Two files: at least the newest LOG_WINDOW_BYTES survive a
# rotation.
LOG_WINDOW_BYTES = 16 * 1024 * 1024
LOG_CONFIG = {
    "Type": "local",
    "Config": {"max-size": f"{LOG_WINDOW_BYTES >> 20}m", "max-file": "2", "compress": "false"},
}
DEFAULT_NETWORK = "bridge"
NETWORK = "jobyard"


def job_network(reach: frozenset[Reach]) -> ApiObject:
    """Return the network of jobs that may reach this: containers keep the rules of the network that they are on."""
    names = [str(each) for each in Reach if each in reach] or [NOTHING]
    is_usual = reach == USUAL
    return {
        "name": NETWORK if is_usual else "-".join((NETWORK, *names)),
        "driver": "bridge",
        "check_duplicate": True,
        "labels": {"jobyard": "containers of jobs, kept apart from one another"},
        "options": {
            "com.docker.network.bridge.name": NETWORK
            + ("0" if is_usual else f"-{''.join(each[0] for each in names)}"),
            "com.docker.network.bridge.enable_icc": "false",
        },
    }


def container_name(key: str, token: int, nonce: str) -> str:
    """Return a name that was never used before, if `nonce` never was."""
    return f"jy-{re.sub(r'[^A-Za-z0-9_.-]', '-', key)}-t{token}-{nonce}"


def epoch_of(labels: Mapping[str, str]) -> str:
    return labels.get(EPOCH_LABEL, "")


def is_meant(found: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Return whether a container with the labels `found` is what a request with `wanted` asks for, also after a
    reboot.
    """
    lasting = {name: value for name, value in wanted.items() if name != BOOT_LABEL}
    return epoch_of(found) == epoch_of(wanted) and is_same(found, lasting)


def container_body(
    spec: ContainerSpec, key: str, installation: str, network: str, boot_id: str = "", epoch: str = ""
) -> ApiObject:
    """Return the body of `POST /containers/create`.

    It is closed by construction: nothing of a specification can reach binds, ports, devices, privileges or host
    namespaces.
    """
    return {
        "Image": spec.image,
        "Cmd": None if spec.command is None else list(spec.command),
        # [""] is how the API spells "no entrypoint"; an empty list means the image's own.
        "Entrypoint": None if spec.entrypoint is None else list(spec.entrypoint) or [""],
        "Env": [f"{name}={value}" for name, value in spec.env.items()],
        "Labels": {
            **spec.labels,
            INSTALLATION_LABEL: installation,
            KEY_LABEL: key,
            **({EPOCH_LABEL: epoch} if epoch else {}),
            **({BOOT_LABEL: boot_id} if boot_id else {}),
        },
        "AttachStdout": True,
        "AttachStderr": True,
        "StopSignal": "SIGTERM",
        "StopTimeout": spec.stop_grace_seconds,
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": {
            "NetworkMode": network,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges:true"],
            "Init": True,
            "PidsLimit": spec.pids_limit,
            "NanoCpus": round(spec.cpus * 1_000_000_000),
            "Memory": spec.memory_bytes,
            "MemorySwap": spec.memory_bytes,
            "Ulimits": [
                {"Name": "nofile", "Soft": 16384, "Hard": 16384},
                {"Name": "core", "Soft": 0, "Hard": 0},
            ],
            "LogConfig": LOG_CONFIG,
            "RestartPolicy": {"Name": "no"},
        },
    }
