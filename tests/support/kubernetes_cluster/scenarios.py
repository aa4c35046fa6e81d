"""What the cluster itself does, so that what an engine makes of it can be told from it: `scripts/test-kubernetes`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.kubernetes_cluster.cluster import Cluster, cluster
from tests.support.kubernetes_cluster.machines import wait_until

NAMESPACE = "/api/v1/namespaces/default"


@pytest.fixture(scope="module")
def real() -> Iterator[Cluster]:
    with cluster() as made:
        yield made


def job(real: Cluster, name: str, shell: str, node: str | None = None) -> None:
    """A job of one attempt, as engines start it."""
    image = f"{real.registry.host}/busybox:latest"
    container = {"name": "main", "image": image, "command": ["sh", "-c", shell]}
    pod: dict[str, Any] = {"restartPolicy": "Never", "containers": [container]}
    pod["tolerations"] = [
        {
            "key": f"node.kubernetes.io/{key}",
            "operator": "Exists",
            "effect": "NoExecute",
            "tolerationSeconds": 1,
        }
        for key in ("not-ready", "unreachable")
    ]
    if node:
        pod["nodeSelector"] = {"kubernetes.io/hostname": node}
    template = {"metadata": {"labels": {"of": name}}, "spec": pod}
    body = {"metadata": {"name": name}, "spec": {"backoffLimit": 0, "template": template}}
    real.ask("/apis/batch/v1/namespaces/default/jobs", {"apiVersion": "batch/v1", "kind": "Job", **body})


def pod_of(real: Cluster, name: str) -> Any:
    found = real.ask(f"{NAMESPACE}/pods?labelSelector=of%3D{name}")["items"]
    return found[0] if found else None


def ended(real: Cluster, name: str) -> Any:
    """How the container of a job ended, or nothing yet."""
    pod = pod_of(real, name)
    statuses = pod["status"].get("containerStatuses", []) if pod else []
    return next((each["state"].get("terminated") for each in statuses), None)


@pytest.mark.parametrize("node", ["node-1", "node-2"])
def test_a_job_runs_on_each_node_and_its_log_and_exit_code_are_told(real: Cluster, node: str) -> None:
    name = f"ends-on-{node}"
    job(real, name, "echo one; echo two >&2; exit 7", node)
    wait_until(lambda: bool(ended(real, name)), f"an end of {name}")
    assert ended(real, name)["exitCode"] == 7
    pod = pod_of(real, name)
    assert pod["spec"]["nodeName"] == node
    log = real.text(f"{NAMESPACE}/pods/{pod['metadata']['name']}/log")
    assert sorted(log.splitlines()) == ["one", "two"]


def test_memory_that_runs_out_is_told_as_such(real: Cluster) -> None:
    image = f"{real.registry.host}/busybox:latest"
    bounds = {"limits": {"memory": "32Mi"}}
    shell = ["sh", "-c", "tail /dev/zero"]
    container = {"name": "main", "image": image, "command": shell, "resources": bounds}
    spec = {"restartPolicy": "Never", "containers": [container]}
    labels = {"of": "hungry"}
    real.ask(
        f"{NAMESPACE}/pods",
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "hungry", "labels": labels}, "spec": spec},
    )
    wait_until(lambda: bool(ended(real, "hungry")), "an end of hungry")
    assert ended(real, "hungry")["reason"] == "OOMKilled"


def test_a_node_that_is_cut_off_is_told_of_and_comes_back(real: Cluster) -> None:
    job(real, "cut", "sleep 600", "node-2")
    wait_until(
        lambda: bool(pod_of(real, "cut")) and pod_of(real, "cut")["status"]["phase"] == "Running", "running"
    )
    real.network.cut(2, is_cut=True)
    wait_until(lambda: _readiness(real, "node-2") == "Unknown", "node-2 as unknown")
    wait_until(lambda: "deletionTimestamp" in pod_of(real, "cut")["metadata"], "the pod as given up")
    real.network.cut(2, is_cut=False)
    wait_until(lambda: _readiness(real, "node-2") == "True", "node-2 as ready")
    wait_until(lambda: pod_of(real, "cut") is None or bool(ended(real, "cut")), "an end of what ran there")


def _readiness(real: Cluster, node: str) -> str:
    conditions = real.ask(f"/api/v1/nodes/{node}")["status"]["conditions"]
    return next(str(each["status"]) for each in conditions if each["type"] == "Ready")
