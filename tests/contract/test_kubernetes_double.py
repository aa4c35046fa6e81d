"""The real kubectl takes the double of a cluster for one."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.engines.fake import Script
from tests.support.kubernetes_harness import KubernetesHarness, kubernetes_harness

KUBECTL = Path(sys.executable).parent / "kubectl"
Kubectl = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def harness(published_image: str) -> Iterator[KubernetesHarness]:
    with kubernetes_harness(published_image) as made:
        yield made


@pytest.fixture
def kubectl(harness: KubernetesHarness, tmp_path: Path) -> Kubectl:
    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        argv = [KUBECTL, "--server", harness.url, "--namespace", "runs", "--cache-dir", tmp_path, *arguments]
        return subprocess.run(argv, capture_output=True, text=True, timeout=60, env={"HOME": str(tmp_path)})

    return call


def test_reads_runs_and_removes_what_the_engine_started(harness: KubernetesHarness, kubectl: Kubectl) -> None:
    script = "echo ready; exec sleep 1000"
    handle = harness.engine.start(harness.spec(script, Script()), "a", 1)
    assert next(harness.engine.logs(handle)).data == b"ready\n"

    pods = json.loads(kubectl("get", "pods", "--output", "json").stdout)["items"]
    (name,) = [pod["metadata"]["name"] for pod in pods]
    assert pods[0]["status"]["phase"] == "Running"
    assert kubectl("logs", name).stdout == "ready\n"
    assert kubectl("logs", f"job/{handle.name}").stdout == "ready\n"

    ran = kubectl("exec", name, "--", "sh", "-c", "echo out; echo err >&2; exit 3")
    assert (ran.stdout, ran.returncode) == ("out\n", 3)
    assert ran.stderr.startswith("err\n")

    refused = kubectl("get", "job", "nothing")
    assert 'jobs "nothing" not found' in refused.stderr
    assert kubectl("delete", "job", handle.name, "--grace-period=1").returncode == 0
    assert harness.engine.owned() == []
