"""What the cluster's processes run on: directories, control groups, containerd and a kubelet for each node."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from tests.support.kubernetes_cluster.network import MACHINE, Namespace, address, tied

CONTROL_GROUPS = Path("/sys/fs/cgroup")
_CONTAINERD = """version = 2
disabled_plugins = ["io.containerd.internal.v1.opt"]
root = "{root}/containerd"
state = "{root}/state"
[grpc]
  address = "{root}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = true
  sandbox_image = "{pause}"
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "{root}/cni"
[plugins."io.containerd.grpc.v1.cri".registry]
  config_path = "{root}/registries"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
    SystemdCgroup = false
"""


def wait_until(is_so: Callable[[], bool], what: str, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} within {seconds:.0f} s")
        time.sleep(0.1)


class Processes:
    """Started with their output in a file each, in a directory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: list[subprocess.Popen[bytes]] = []

    def start(self, name: str, namespace: Namespace, *command: str) -> subprocess.Popen[bytes]:
        with (self._folder / f"{name}.log").open("ab") as log:
            made = subprocess.Popen(
                (*namespace.entering, *tied(*command)), stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        self._running.append(made)
        return made

    def end(self, process: subprocess.Popen[bytes]) -> None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()
        process.wait()

    def close(self) -> None:
        for process in reversed(self._running):
            self.end(process)


class Node:
    """A machine of the cluster: its containerd, its kubelet and what they run."""

    def __init__(
        self, folder: Path, number: int, namespace: Namespace, processes: Processes, registry: str
    ) -> None:
        self.name = f"node-{number}"
        self.number = number
        self.namespace = namespace
        self._root = folder / self.name
        self._group = f"jyk{os.getpid()}-{number}"
        self._processes = processes
        self._registry = registry
        self._kubelet: subprocess.Popen[bytes] | None = None
        for each in ("cni", "kubelet", "pods", f"registries/{registry}"):
            (self._root / each).mkdir(parents=True)
        self._write_settings()

    def start(self, programs: Path, kubeconfig: Path) -> None:
        start, socket = self._processes.start, self._root / "containerd.sock"
        start(
            f"{self.name}-containerd",
            self.namespace,
            "containerd",
            "--config",
            f"{self._root}/containerd.toml",
        )
        wait_until(socket.exists, f"containerd of {self.name}")
        self._kubelet = start(
            f"{self.name}-kubelet",
            self.namespace,
            *(str(programs), "kubelet", f"--config={self._root}/kubelet.json", f"--kubeconfig={kubeconfig}"),
            *(f"--hostname-override={self.name}", f"--node-ip={address(self.number)}"),
            *(f"--root-dir={self._root}/kubelet", f"--cert-dir={self._root}/pki"),
        )

    def kill(self) -> None:
        """End all that runs there at once, as a machine does that loses its power."""
        assert self._kubelet
        self._kubelet.kill()
        for pid in self._contained():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def close(self) -> None:
        """Remove what a kubelet and a containerd that have ended left behind."""
        for _ in range(3):  # a shim that ends may leave a last process
            for pid in (*self._shims(), *self._contained()):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self._unmount()
        for group in self._groups():
            with suppress(OSError):
                group.rmdir()

    def _write_settings(self) -> None:
        root = self._root
        toml = _CONTAINERD.format(root=root, pause=f"{self._registry}/pause:1")
        (root / "containerd.toml").write_text(toml)
        at = f"http://{MACHINE}:{self._registry.partition(':')[2]}"
        (root / "registries" / self._registry / "hosts.toml").write_text(f'server = "{at}"\n[host."{at}"]\n')
        pods = f"10.80.{self.number}.0/24"
        bridge = {
            "type": "bridge",
            "bridge": "cni0",
            "isGateway": True,
            "ipMasq": True,
            "ipam": {"type": "host-local", "ranges": [[{"subnet": pods}]], "routes": [{"dst": "0.0.0.0/0"}]},
        }
        bridge["ipam"]["dataDir"] = str(root / "addresses")
        network = {"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge]}
        (root / "cni" / "pods.conflist").write_text(json.dumps(network))
        (root / "kubelet.json").write_text(json.dumps(self._kubelet_settings()))
        for controller in _controllers():
            (controller / self._group).mkdir(exist_ok=True)
            _inherit(controller, self._group)

    def _kubelet_settings(self) -> dict[str, object]:
        return {
            "kind": "KubeletConfiguration",
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
            "authorization": {"mode": "AlwaysAllow"},
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{self._group}",
            "containerRuntimeEndpoint": f"unix://{self._root}/containerd.sock",
            "evictionHard": {"memory.available": "1Mi", "nodefs.available": "0%", "imagefs.available": "0%"},
            "failSwapOn": False,
            "imageGCHighThresholdPercent": 100,
            "nodeLeaseDurationSeconds": 8,
            "nodeStatusUpdateFrequency": "2s",
            "oomScoreAdj": 0,
            "podLogsDir": f"{self._root}/pods",
            "readOnlyPort": 0,
            "registerWithTaints": [],
            "resolvConf": "",
        }

    def _shims(self) -> Iterator[int]:
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if f"{self._root}/containerd.sock".encode() in (entry / "cmdline").read_bytes().split(b"\0"):
                    yield int(entry.name)

    def _contained(self) -> Iterator[int]:
        for group in self._groups():
            with suppress(OSError):
                yield from map(int, (group / "cgroup.procs").read_text().split())

    def _groups(self) -> Iterator[Path]:
        """Its control groups, the innermost first."""
        for controller in _controllers():
            top = controller / self._group
            if top.is_dir():
                yield from sorted((path for path in top.rglob("*") if path.is_dir()), reverse=True)
                yield top

    def _unmount(self) -> None:
        places = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
        ours = sorted((place for place in places if place.startswith(f"{self._root}/")), reverse=True)
        if ours:
            subprocess.run(["umount", "--lazy", "--quiet", *ours], check=False, capture_output=True)


def _controllers() -> list[Path]:
    """The hierarchies of control groups: one each, but for those that are links to another."""
    return [each for each in CONTROL_GROUPS.iterdir() if each.is_dir() and not each.is_symlink()]


def _inherit(controller: Path, group: str) -> None:
    """Give a group of cpuset what its parent has: without processors nothing may enter it."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        if (controller / name).is_file():
            (controller / group / name).write_text((controller / name).read_text())


def remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
