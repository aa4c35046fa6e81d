"""The Kubernetes engine on a double of a cluster, for the contract suite."""

from __future__ import annotations

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
from app.engines.kubernetes.manifests import ImageFacts, Place
from app.engines.kubernetes.starting import Patience
from tests.support.engine_harness import BUSYBOX, Lack, utc_now
from tests.support.kubernetes_double import Cluster
from tests.support.kubernetes_double.server import served
from tests.support.registry import Registry

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
    lacks = frozenset(Lack)
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
            **{"patience": Patience(start=60, pull=0.5, invalid=0.5), **fields},
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
