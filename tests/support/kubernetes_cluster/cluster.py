"""The cluster from its first process to its last."""

from __future__ import annotations

import base64
import json
import os
import secrets
import ssl
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.support import guard
from tests.support.kubernetes_cluster.build import programs
from tests.support.kubernetes_cluster.machines import Node, Processes, remove, wait_until
from tests.support.kubernetes_cluster.network import HUB, Network, run
from tests.support.registry import Registry

NODES = 2
API = f"https://{HUB}:6443"
_SLEEPS = "trap 'exit 0' TERM INT; while :; do sleep 3600 & wait; done"


class Cluster:
    """`kubeconfig` is a file by which an administrator finds it, `registry` where its nodes pull images from."""

    def __init__(self, folder: Path, network: Network, processes: Processes, registry: Registry) -> None:
        self.registry = registry
        self.network = network
        self.kubeconfig = folder / "kubeconfig"
        self._folder = folder
        self._processes = processes
        self._token = secrets.token_urlsafe(24)
        self._programs = programs()
        numbers = range(1, NODES + 1)
        self.nodes = [Node(folder, each, network.spoke(each), processes, registry.host) for each in numbers]

    def start(self) -> None:
        """Start everything, and wait until all nodes take pods."""
        self._start_control_plane()
        for node in self.nodes:
            node.start(self._programs, self.kubeconfig)
        wait_until(self._all_are_ready, "all nodes are ready")

    def _start_control_plane(self) -> None:
        key, tokens, certificates = (self._folder / name for name in ("accounts.key", "tokens.csv", "pki"))
        run("openssl", "genrsa", "-out", str(key), "2048")
        tokens.write_text(f"{self._token},admin,admin,system:masters\n")
        self._start("etcd", f"--data-dir={self._folder}/etcd", "--unsafe-no-fsync")
        self._start(
            "kube-apiserver",
            *("--etcd-servers=http://127.0.0.1:2379", f"--bind-address={HUB}", f"--advertise-address={HUB}"),
            *(f"--cert-dir={certificates}", f"--token-auth-file={tokens}", "--authorization-mode=RBAC"),
            *("--service-account-issuer=https://kubernetes.default.svc", f"--service-account-key-file={key}"),
            *(f"--service-account-signing-key-file={key}", "--service-cluster-ip-range=10.96.0.0/16"),
            *("--allow-privileged=true", "--kubelet-preferred-address-types=InternalIP"),
        )
        authority = certificates / "apiserver.crt"
        wait_until(authority.exists, "a certificate of the API server")
        self._write_kubeconfig(authority.read_bytes())
        wait_until(self._answers, "an answer of the API server")
        self._start(
            "kube-controller-manager",
            *(f"--kubeconfig={self.kubeconfig}", f"--service-account-private-key-file={key}"),
            *(f"--root-ca-file={authority}", "--leader-elect=false"),
            *("--node-monitor-grace-period=10s", "--node-monitor-period=1s"),
        )
        self._start("kube-scheduler", f"--kubeconfig={self.kubeconfig}", "--leader-elect=false")

    def _start(self, program: str, *options: str) -> None:
        self._processes.start(program, self.network.hub, str(self._programs), program, *options)

    def _write_kubeconfig(self, authority: bytes) -> None:
        server = {"server": API, "certificate-authority-data": base64.b64encode(authority).decode()}
        told = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "here", "cluster": server}],
            "users": [{"name": "admin", "user": {"token": self._token}}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "admin"}}],
            "current-context": "here",
        }
        self.kubeconfig.touch(0o600)
        self.kubeconfig.write_text(json.dumps(told))

    def ask(self, path: str, body: object = None) -> Any:
        """Return the API server's answer to a GET, or to a POST with a body. Raises OSError."""
        return json.loads(self.text(path, body))

    def text(self, path: str, body: object = None) -> str:
        context = ssl.create_default_context(cafile=self._folder / "pki" / "apiserver.crt")
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        given = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{API}{path}", given, headers)
        with urllib.request.urlopen(request, timeout=10, context=context) as answer:
            return str(answer.read().decode())

    def _answers(self) -> bool:
        try:
            return bool(self.ask("/api/v1/namespaces/default"))
        except (OSError, ValueError):
            return False

    def _all_are_ready(self) -> bool:
        conditions = [each["status"]["conditions"] for each in self.ask("/api/v1/nodes")["items"]]
        ready = [
            any(one["type"] == "Ready" and one["status"] == "True" for one in each) for each in conditions
        ]
        return len(ready) == len(self.nodes) and all(ready)

    def environment(self) -> dict[str, str]:
        """Return what tells tests of it."""
        return {"KUBECONFIG": str(self.kubeconfig), "JOBYARD_TEST_REGISTRY": self.registry.host}


@contextmanager
def cluster() -> Iterator[Cluster]:
    """Yield a cluster whose nodes take pods; all of it is gone after the block."""
    folder = Path(tempfile.mkdtemp(prefix="jyk-"))
    with ExitStack() as closing:
        closing.callback(remove, folder)
        registry = Registry(folder / "registry", everywhere=True)
        registry.start()
        closing.callback(registry.stop)
        _fill(registry.host)
        network = Network()
        closing.callback(network.close)
        guard.look_again()
        processes = Processes(folder)
        made = Cluster(folder, network, processes, registry)
        for node in made.nodes:
            closing.callback(node.close)
        closing.callback(processes.close)
        made.start()
        yield made


def _fill(registry: str) -> None:
    """Put busybox there, and an image that sleeps for the pods themselves."""
    pause = f"{registry}/pause:1"
    dockerfile = f"FROM busybox:latest\nCMD {json.dumps(['sh', '-c', _SLEEPS])}\n"
    build = ["docker", "build", "--quiet", "--tag", pause, "-"]
    subprocess.run(build, input=dockerfile, text=True, check=True, capture_output=True)
    run("docker", "tag", "busybox:latest", f"{registry}/busybox:latest")
    for image in (pause, f"{registry}/busybox:latest"):
        run("docker", "push", "--quiet", image)
        run("docker", "rmi", image)


def call(command: list[str]) -> int:
    """Run a command with a cluster, and return its exit status."""
    with cluster() as made:
        return subprocess.run(command, env={**os.environ, **made.environment()}, check=False).returncode
