"""What we ask a cluster for, as values: a Job for each key, and a Secret that it owns.

The Job is made suspended, the Secret with the Job as its owner, and then the Job is resumed. Whatever is interrupted
leaves either nothing, or a suspended Job that the next start goes on with; deleting the Job removes all of it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from posixpath import join, normpath
from typing import Any

from app.domain.hosts import registry_host
from app.engines.base import ContainerSpec, StartRefused

Manifest = dict[str, Any]

DOMAIN = "jobyard.dev"
INSTALLATION, EPOCH, KEY_HASH = f"{DOMAIN}/installation", f"{DOMAIN}/epoch", f"{DOMAIN}/key-hash"  # labels
KEY, LABELS = f"{DOMAIN}/key", f"{DOMAIN}/labels"  # annotations: they take any text
EXIT = f"{DOMAIN}/exit"  # the same, of a Job: how its container ended, once a server has stopped it
CONTAINER = "main"
NOBODY = 65534
KEPT_SECONDS = 24 * 60 * 60  # of a Job that has ended, if no server ever removes it
_NO_DISRUPTION = {
    "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
    "karpenter.sh/do-not-disrupt": "true",
    "sidecar.istio.io/inject": "false",
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where an installation's objects are: they are told from another's by it."""

    namespace: str
    installation: str
    epoch: str = ""


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What an image says of itself that a pod has to be told: whom it runs as, and its volumes."""

    user: str = ""
    volumes: tuple[str, ...] = ()


def key_hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:16]


def job_name(place: Place, key: str, labels: Mapping[str, str]) -> str:
    """Return the same name for the same request, which at most 63 characters may have.

    Labels are part of it: where a database was put back, a key comes again for another run.
    """
    identity = json.dumps([place.installation, place.epoch, key, sorted(labels.items())])
    readable = re.sub(r"[^a-z0-9]+", "-", key.lower()).strip("-")[:40].strip("-")
    return "-".join(filter(None, ("jy", readable, hashlib.sha256(identity.encode()).hexdigest()[:12])))


def selector(place: Place, key: str | None = None) -> str:
    """Return the label selector of this installation's objects, in all epochs; of those with a key, if given."""
    own = f"{INSTALLATION}={place.installation}"
    return own if key is None else f"{own},{KEY_HASH}={key_hash(key)}"


def job(
    spec: ContainerSpec, place: Place, key: str, image: ImageFacts, backstop_seconds: int | None
) -> Manifest:
    """Return the suspended Job of one attempt. `backstop_seconds` is when the cluster ends it by itself, in case that
    no server does. Raises StartRefused for what a pod can't be held to.
    """
    name = job_name(place, key, spec.labels)
    metadata = {
        "labels": {
            INSTALLATION: place.installation,
            KEY_HASH: key_hash(key),
            **({EPOCH: place.epoch} if place.epoch else {}),
        },
        "annotations": {KEY: key, LABELS: json.dumps(dict(spec.labels), sort_keys=True)},
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": place.namespace, **metadata},
        "spec": {
            "suspend": True,
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            **({"activeDeadlineSeconds": backstop_seconds} if backstop_seconds else {}),
            "ttlSecondsAfterFinished": KEPT_SECONDS,
            "template": {
                "metadata": {**metadata, "annotations": {**metadata["annotations"], **_NO_DISRUPTION}},
                "spec": _pod(spec, name, image),
            },
        },
    }


def secret(spec: ContainerSpec, place: Place, name: str, job_uid: str) -> Manifest:
    """Return the Secret with a Job's variables, which goes with it."""
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": job_uid}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "namespace": place.namespace,
            "labels": {INSTALLATION: place.installation},
            "ownerReferences": [owner],
        },
        "immutable": True,
        "stringData": dict(spec.env),
    }


def pull_secret(spec: ContainerSpec, place: Place, name: str, job_uid: str) -> Manifest | None:
    """Return the Secret with which nodes pull a Job's image, which goes with it; None where they need none."""
    if spec.login is None:
        return None
    login = {"username": spec.login.username, "password": spec.login.password}
    given = json.dumps({"auths": {registry_host(spec.image): login}})
    made = secret(spec, place, name, job_uid)
    metadata = {**made["metadata"], "name": _pull_name(name)}
    data = {".dockerconfigjson": given}
    return {**made, "metadata": metadata, "type": "kubernetes.io/dockerconfigjson", "stringData": data}


def _pull_name(name: str) -> str:
    return f"{name}-pull"


RESUMED: Manifest = {"spec": {"suspend": False}}  # as a merge patch of a Job


def _pod(spec: ContainerSpec, name: str, image: ImageFacts) -> Manifest:
    places = _writable(image.volumes) if spec.hardening.read_only else []
    return {
        "restartPolicy": "Never",
        **({"imagePullSecrets": [{"name": _pull_name(name)}]} if spec.login else {}),
        **({"nodeSelector": dict(spec.node_labels)} if spec.node_labels else {}),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "shareProcessNamespace": True,  # no process 1, which no signal ends by default and which has to reap others
        "terminationGracePeriodSeconds": max(1, spec.stop_grace_seconds),
        "tolerations": [
            {
                "key": f"node.kubernetes.io/{trouble}",
                "operator": "Exists",
                "effect": "NoExecute",
                "tolerationSeconds": 60,
            }
            for trouble in ("unreachable", "not-ready")
        ],
        "containers": [
            {
                "name": CONTAINER,
                "image": spec.image,
                "imagePullPolicy": "IfNotPresent",
                **_argv(spec),
                "envFrom": [{"secretRef": {"name": name}}],
                "resources": _resources(spec),
                "securityContext": _security(spec, image.user),
                **(
                    {"volumeMounts": [{"name": f"v{n}", "mountPath": at} for n, at in enumerate(places)]}
                    if places
                    else {}
                ),
            }
        ],
        **(
            {"volumes": [_in_memory(n, spec.memory_bytes // 2) for n in range(len(places))]} if places else {}
        ),
    }


def _argv(spec: ContainerSpec) -> Manifest:
    """Return how a pod says what replaces an image's entrypoint (`command`) and its command (`args`)."""
    if spec.entrypoint is None:
        return {} if spec.command is None else {"args": _literally(spec.command)}
    argv = [*spec.entrypoint, *(spec.command or ())]
    if not argv:
        raise StartRefused("The entrypoint is empty and there is no command: give one of them.")
    return {"command": _literally(argv)}


def _literally(argv: Iterable[str]) -> list[str]:
    """Return arguments that stay as they are where a kubelet would put variables in place of `$(NAME)`."""
    return [each.replace("$", "$$") for each in argv]


def _resources(spec: ContainerSpec) -> Manifest:
    asked = {"cpu": f"{max(1, round(spec.cpus * 1000))}m", "memory": str(spec.memory_bytes)}
    if spec.disk_bytes:
        asked["ephemeral-storage"] = str(spec.disk_bytes)
    return {"requests": asked, "limits": asked}


def _security(spec: ContainerSpec, user: str) -> Manifest:
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
        "readOnlyRootFilesystem": spec.hardening.read_only,
        **(_not_root(user) if spec.hardening.non_root else {}),
    }


def _not_root(user: str) -> Manifest:
    name, _, _ = user.partition(":")
    if name in ("", "root") or (name.isdecimal() and int(name) == 0):
        return {"runAsNonRoot": True, "runAsUser": NOBODY, "runAsGroup": NOBODY}
    if not name.isdecimal():
        raise StartRefused(
            f"The image runs as user {name}, and non_root needs a number to know that this is not root: give the number"
            " in its Dockerfile, such as USER 1000."
        )
    return {"runAsNonRoot": True}


def _writable(volumes: Iterable[str]) -> list[str]:
    return sorted({"/tmp", *(normpath(join("/", each)) for each in volumes)})  # noqa: S108  inside of the container


def _in_memory(number: int, size: int) -> Manifest:
    return {"name": f"v{number}", "emptyDir": {"medium": "Memory", "sizeLimit": str(size)}}
