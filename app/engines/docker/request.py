"""What we ask the engine for, as values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from posixpath import join, normpath

from app.domain.egress import NOTHING, USUAL, Reach
from app.domain.job.spec import Network
from app.engines.base import ContainerSpec, StartRefused, is_same
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


NOBODY = "65534:65534"


def user_of(spec: ContainerSpec, of_image: str) -> str | None:
    """Whom a container runs as: None is the image's own user, of which `of_image` is the engine's word.

    Raises StartRefused for a user by name where it must not be root: the image says itself who that is.
    """
    if not spec.hardening.non_root:
        return None
    user = of_image.partition(":")[0]
    if user in ("", "root") or (user.isdecimal() and int(user) == 0):
        return NOBODY
    if not user.isdecimal():
        raise StartRefused(
            f"The image runs as user {user}, and non_root needs a number to know that this is not root: give the number"
            " in its Dockerfile, such as USER 1000."
        )
    return None


def _read_only(spec: ContainerSpec, volumes: Iterable[str]) -> dict[str, object]:
    """Nothing can be written but to /tmp and the image's volumes, in memory that is the container's: at most half of
    it for each. Volumes would be on the engine's disk otherwise, whatever else is read-only.
    """
    options = f"rw,nosuid,nodev,exec,mode=1777,size={spec.memory_bytes // 2}"
    places = {"/tmp", *(normpath(join("/", each)) for each in volumes)}  # noqa: S108  inside of the container
    return {"ReadonlyRootfs": True, "Tmpfs": dict.fromkeys(sorted(places), options)}


def storage_option(disk_bytes: int) -> ApiObject:
    """Return the part of `HostConfig` that bounds what a container writes to its own files; 0 bounds nothing."""
    return {"StorageOpt": {"size": str(disk_bytes)}} if disk_bytes else {}


def labels_of(
    own: Mapping[str, str], key: str, installation: str, boot_id: str = "", epoch: str = ""
) -> dict[str, str]:
    """Return the labels of a container: those of its specification, and those by which it is known again."""
    return {
        **own,
        INSTALLATION_LABEL: installation,
        KEY_LABEL: key,
        **({EPOCH_LABEL: epoch} if epoch else {}),
        **({BOOT_LABEL: boot_id} if boot_id else {}),
    }


def container_body(
    spec: ContainerSpec,
    key: str,
    installation: str,
    network: str,
    boot_id: str = "",
    epoch: str = "",
    user: str | None = None,
    volumes: Iterable[str] = (),
) -> ApiObject:
    """Return the body of `POST /containers/create`. `user` is whom it runs as instead of the image's own, `volumes` the
    directories that the image declares as such.

    It is closed by construction: nothing of a specification can reach binds, ports, devices, privileges or host
    namespaces.
    """
    return {
        "Image": spec.image,
        "Cmd": None if spec.command is None else list(spec.command),
        # [""] is how the API spells "no entrypoint"; an empty list means the image's own.
        "Entrypoint": None if spec.entrypoint is None else list(spec.entrypoint) or [""],
        "Env": [f"{name}={value}" for name, value in spec.env.items()],
        "Labels": labels_of(spec.labels, key, installation, boot_id, epoch),
        **({"User": user} if user is not None else {}),
        "AttachStdout": True,
        "AttachStderr": True,
        "StopSignal": "SIGTERM",
        "StopTimeout": spec.stop_grace_seconds,
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": {
            "NetworkMode": "none" if spec.hardening.network is Network.NONE else network,
            **(_read_only(spec, volumes) if spec.hardening.read_only else {}),
            **storage_option(spec.disk_bytes),
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
