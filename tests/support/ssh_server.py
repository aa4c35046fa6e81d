"""A real sshd on loopback that gives Git repositories or an engine to one key, and may change its own."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.waiting import eventually

SSHD = shutil.which("sshd", path=f"{os.defpath}:/usr/sbin:/sbin") or "/usr/sbin/sshd"


@dataclass
class SshServer:
    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def user(self) -> str:
        return getpass.getuser()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def url(self, path: Path) -> str:
        return f"ssh://{self.user}@{self.host}{path}"

    def let_in(self, *public_keys: str, options: str = "restrict") -> None:
        (self.folder / "authorized_keys").write_text("".join(f"{options} {key}\n" for key in public_keys))

    def take_host_key(self, name: str) -> str:
        """Serve with the host key of that name, made where there is none yet; return its public part."""
        key = self.folder / name
        if not key.exists():
            make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(key)]
            subprocess.run(make, check=True)
        self.stop()
        command = [SSHD, "-D", "-f", str(self._configured(key))]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        eventually(self._answers)
        return key.with_suffix(".pub").read_text().strip()

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait()
            self.process = None

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False

    def _configured(self, key: Path) -> Path:
        path = self.folder / "sshd_config"
        path.write_text(
            f"ListenAddress 127.0.0.1:{self.port}\n"
            f"HostKey {key}\n"
            f"AuthorizedKeysFile {self.folder}/authorized_keys\n"
            "PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n"
            "KbdInteractiveAuthentication no\nPermitRootLogin yes\n"
        )
        return path


@contextmanager
def ssh_server(folder: Path) -> Iterator[SshServer]:
    """Yield a server with the host key `first`, which lets nobody in yet."""
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where sshd of root wants to be alone
    folder.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = SshServer(folder, port)
    server.let_in()
    try:
        server.take_host_key("first")
        yield server
    finally:
        server.stop()
