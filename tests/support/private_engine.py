"""A container engine of a test's own, which may be stopped, killed and started without touching the machine's."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import docker

from app.domain.errors import EngineUnavailable
from app.engines.docker import DockerEngine
from tests.support.engine_harness import BUSYBOX, remove_container, utc_now
from tests.support.waiting import eventually

_CONTAINERD = """version = 2
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]
root = "{root}/containerd-root"
state = "{root}/containerd-state"
[grpc]
  address = "{root}/containerd.sock"
"""


NO_FILTER = ("--iptables=false", "--ip-masq=false")


class PrivateEngine:
    """Its own containerd, directories and network namespace; `image` is the id of busybox in it.

    `flags` are options of dockerd; without any it has no packet filter. `listening` is a socket of this process that it
    takes calls from as well, as `fd://`.
    """

    def __init__(
        self,
        root: Path,
        *,
        live_restore: bool,
        flags: Sequence[str] = NO_FILTER,
        listening: socket.socket | None = None,
    ) -> None:
        self._flags = flags
        self._listening = listening
        self._root = root
        self._sockets = Path(
            tempfile.mkdtemp(prefix="engine-")
        )  # of a short path: an address has 107 bytes at most
        self.keeps_running = live_restore
        self.url = f"unix://{root}/docker.sock"
        self._namespace = self._spawn("namespace", "unshare", "--net", "sleep", "infinity")
        ours = Path("/proc/self/ns/net").readlink()
        eventually(lambda: Path(f"/proc/{self._namespace.pid}/ns/net").readlink() != ours)
        config = root / "containerd.toml"
        config.write_text(_CONTAINERD.format(root=root))
        self._containerd = self._spawn("containerd", "containerd", "--config", str(config))
        eventually((root / "containerd.sock").exists)
        self._dockerd: subprocess.Popen[bytes] | None = None
        self.start()
        self.image = self._copy_image()

    @property
    def pid(self) -> int:
        """The process that holds its network namespace."""
        return self._namespace.pid

    def start(self) -> None:
        """Start dockerd and wait until it answers."""
        options = {
            "--host": self.url,
            "--containerd": f"{self._root}/containerd.sock",
            "--data-root": f"{self._root}/data",
            "--exec-root": str(self._sockets),
            "--pidfile": f"{self._root}/dockerd.pid",
            "--live-restore": str(self.keeps_running).lower(),
            "--shutdown-timeout": "10",
        }
        flags = [f"{name}={value}" for name, value in options.items()]
        enter = ("nsenter", f"--net=/proc/{self._namespace.pid}/ns/net")
        given = self._given_socket()
        self._dockerd = self._spawn("dockerd", *given, *enter, "dockerd", *flags, *self._flags)
        eventually(self._answers, 60)

    def end(self, how: signal.Signals) -> None:
        """End dockerd by this signal, and wait until it has ended."""
        assert self._dockerd
        self._dockerd.send_signal(how)
        self._dockerd.wait(60)

    def process_of(self, container_id: str) -> int:
        """The process id of what runs in it, on this machine."""
        client = self._client()
        try:
            return int(client.inspect_container(container_id)["State"]["Pid"])
        finally:
            client.close()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Meanwhile dockerd takes calls and answers none."""
        assert self._dockerd
        self._dockerd.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._dockerd.send_signal(signal.SIGCONT)

    def close(self) -> None:
        with suppress(AssertionError):
            if self._dockerd is None or self._dockerd.poll() is not None:
                self.start()
            self._remove_containers()
        for process in (self._dockerd, self._containerd, self._namespace):
            if process is not None and process.poll() is None:
                process.terminate()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(20)
                process.kill()
                process.wait()
        subprocess.run(["umount", "--quiet", *self._mounts()], check=False, capture_output=True)
        shutil.rmtree(self._sockets, ignore_errors=True)

    def _mounts(self) -> list[str]:
        places = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
        ours = (f"{self._root}/", f"{self._sockets}/")
        return sorted((place for place in places if place.startswith(ours)), reverse=True)

    def _given_socket(self) -> tuple[str, ...]:
        """What hands the socket over as systemd would: as the third file, to the process with that id."""
        if self._listening is None:
            return ()
        hand_over = f'exec 3<&{self._listening.fileno()}; LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"'
        return ("bash", "-c", hand_over, "bash")

    def _spawn(self, name: str, *command: str) -> subprocess.Popen[bytes]:
        passed = [self._listening.fileno()] if self._listening else []
        with (self._root / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, pass_fds=passed
            )

    def _client(self) -> docker.APIClient:
        return docker.APIClient(base_url=self.url, version="1.41", timeout=60)

    def _answers(self) -> bool:
        assert self._dockerd
        assert self._dockerd.poll() is None, (self._root / "dockerd.log").read_text()[-2000:]
        probe = DockerEngine(url=self.url, installation="probe", clock=utc_now)
        try:
            return probe.info().name == "docker"
        except EngineUnavailable:
            return False
        finally:
            probe.close()

    def _copy_image(self) -> str:
        theirs, ours = docker.APIClient(timeout=60), self._client()
        try:
            ours.load_image(b"".join(theirs.get_image(BUSYBOX)))
            return str(ours.inspect_image(BUSYBOX)["Id"])
        finally:
            theirs.close()
            ours.close()

    def _remove_containers(self) -> None:
        client = self._client()
        try:
            for container in client.containers(all=True):
                remove_container(client, container["Id"])
        finally:
            client.close()


@contextmanager
def private_engine(
    root: Path,
    *,
    live_restore: bool,
    flags: Sequence[str] = NO_FILTER,
    listening: socket.socket | None = None,
) -> Iterator[PrivateEngine]:
    engine = PrivateEngine(root, live_restore=live_restore, flags=flags, listening=listening)
    try:
        yield engine
    finally:
        engine.close()
