"""The Kubernetes engine for the contract suite: on a double of a cluster, or on a real one that is made by
`scripts/test-kubernetes`, which KUBECONFIG names.
"""

from __future__ import annotations

import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import docker
from lightkube import KubeConfig
from lightkube.config.models import Cluster as KubeCluster
from lightkube.config.models import User

from app.engines.base import ContainerSpec, Handle
from app.engines.fake import Script
from app.engines.kubernetes import KubernetesEngine, manifests
from app.engines.kubernetes.api import Api
from app.engines.kubernetes.manifests import ImageFacts, Place
from app.engines.kubernetes.starting import Patience
from tests.support.engine_harness import BUSYBOX, Lack, utc_now
from tests.support.kubernetes_double import Cluster
from tests.support.kubernetes_double.server import served
from tests.support.registry import MANIFEST, Registry

NAMESPACE = "runs"


def published(registry: Registry, login: dict[str, str] | None = None) -> str:
    """An image in the registry by its digest, as nodes pull it; the engine has it under no such name."""
    name = f"{registry.host}/busybox"
    client = docker.APIClient(timeout=60)
    client.tag(BUSYBOX, name, "latest")
    client.push(name, "latest", auth_config=login)
    client.remove_image(f"{name}:latest")
    digest = registry.digest("busybox", "latest")
    with suppress(docker.errors.ImageNotFound):
        client.remove_image(f"{name}@{digest}")
    client.close()
    return f"{name}@{digest}"


class KubernetesHarness:
    lacks = frozenset(Lack) - {Lack.LAST_WORDS}
    creates_apart = True

    def __init__(self, cluster: Cluster, url: str, image: str) -> None:
        self.cluster, self.url, self.image = cluster, url, image
        self.installation = f"test-{uuid.uuid4().hex[:12]}"
        self._engines: list[KubernetesEngine] = []
        self.engine = self.another()

    def another(self, installation: str | None = None, epoch: str = "", **fields: Any) -> KubernetesEngine:
        engine = KubernetesEngine(
            namespace=NAMESPACE,
            installation=installation or self.installation,
            clock=utc_now,
            config=KubeConfig.from_one(cluster=KubeCluster(server=self.url), user=User(token="a token")),
            epoch=epoch,
            **{"patience": Patience(start=60, call=60, pull=0.5, invalid=0.5), **fields},
        )
        self._engines.append(engine)
        return engine

    def epoch(self, name: str) -> KubernetesEngine:
        return self.another(epoch=name)

    def stranger(self) -> KubernetesEngine:
        return self.another(installation=f"{self.installation}-stranger")

    def spec(self, shell: str, script: Script, **fields: Any) -> ContainerSpec:
        return self.spec_argv("sh", "-c", shell, **fields)

    def spec_argv(self, *argv: str, **fields: Any) -> ContainerSpec:
        return ContainerSpec(self.image, command=argv, **{"memory_bytes": 64 << 20, **fields})

    def without_image(self) -> ContainerSpec:
        return ContainerSpec(f"{self.image.partition('@')[0]}@sha256:{'0' * 64}")

    def leave_created(self, spec: ContainerSpec, key: str) -> None:
        place = Place(NAMESPACE, self.installation)
        self.cluster.create("jobs", manifests.job(spec, place, key, ImageFacts(), None))

    def remove_behind_our_back(self, handle: Handle) -> None:
        self.cluster.delete("jobs", handle.name, {"gracePeriodSeconds": 1})

    def close(self) -> None:
        for engine in self._engines:
            engine.close()


class RealHarness(KubernetesHarness):
    """On a cluster that takes longer than a double, in a namespace of its own."""

    lacks = frozenset({Lack.STREAMS, Lack.SIZE, Lack.LAST_WORDS})

    def __init__(self, registry: str) -> None:
        self.namespace = f"runs-{uuid.uuid4().hex[:8]}"
        self._api = Api(self.namespace)
        self._api.ask("api/v1/namespaces", {"metadata": {"name": self.namespace}})
        self.image = f"{registry}/busybox@{_digest(registry)}"
        self.installation = f"test-{uuid.uuid4().hex[:12]}"
        self._engines = []
        self.engine = self.another()

    def another(self, installation: str | None = None, epoch: str = "", **fields: Any) -> KubernetesEngine:
        engine = KubernetesEngine(
            namespace=self.namespace,
            installation=installation or self.installation,
            clock=utc_now,
            epoch=epoch,
            **{"patience": Patience(start=60, call=60, pull=5, invalid=5), **fields},
        )
        self._engines.append(engine)
        return engine

    def leave_created(self, spec: ContainerSpec, key: str) -> None:
        place = Place(self.namespace, self.installation)
        self._api.create("jobs", manifests.job(spec, place, key, ImageFacts(), None))

    def remove_behind_our_back(self, handle: Handle) -> None:
        self._api.delete("jobs", handle.name, propagationPolicy="Background")

    def close(self) -> None:
        super().close()
        for kind in ("jobs", "pods"):
            for each in self._api.listed(kind)["items"]:
                self._api.delete(kind, each["metadata"]["name"], gracePeriodSeconds=0)
        self._api.close()


def _digest(registry: str) -> str:
    request = urllib.request.Request(
        f"http://{registry}/v2/busybox/manifests/latest", method="HEAD", headers={"Accept": MANIFEST}
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        return str(answer.headers["Docker-Content-Digest"])


@contextmanager
def real_harness(registry: str) -> Iterator[RealHarness]:
    harness = RealHarness(registry)
    try:
        yield harness
    finally:
        harness.close()


@contextmanager
def kubernetes_harness(image: str) -> Iterator[KubernetesHarness]:
    cluster = Cluster()
    with served(cluster) as url:
        harness = KubernetesHarness(cluster, url, image)
        try:
            yield harness
        finally:
            harness.close()
            cluster.close()
