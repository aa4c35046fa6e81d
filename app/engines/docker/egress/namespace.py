"""The network namespace that the engine has its bridges in, and its packet filter, where this process may set it."""

from __future__ import annotations

import shutil
import socket
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from app.engines.docker.egress.rules import Version

_SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ANSWER_SECONDS = 10
_NET_ADMIN, _SYS_ADMIN = 12, 21  # bits of a process's capabilities
PROGRAMS: dict[Version, str] = {4: "iptables", 6: "ip6tables"}
_PROC = Path("/proc")


class NotFilterable(Exception):
    """The rules are not ours to set: `str()` says why, as the rest of a sentence."""


@dataclass(frozen=True)
class Namespace:
    """The network namespace of a process."""

    pid: int

    @property
    def interfaces(self) -> frozenset[str]:
        lines = (_PROC / str(self.pid) / "net/dev").read_text().splitlines()[2:]
        return frozenset(line.partition(":")[0].strip() for line in lines)

    def saved(self, version: Version) -> str:
        """Return the rules of the table `filter`. Raises NotFilterable."""
        return self._run(f"{PROGRAMS[version]}-save", "-t", "filter")

    def restore(self, version: Version, text: str) -> None:
        """Carry out all lines of `text`, or none. Raises NotFilterable."""
        self._run(f"{PROGRAMS[version]}-restore", "--noflush", "-w", "5", given=text)

    def _run(self, name: str, *arguments: str, given: str = "") -> str:
        argv = (*self._entering(), _program(name), *arguments)
        try:
            done = subprocess.run(
                argv, input=given, capture_output=True, text=True, timeout=_ANSWER_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NotFilterable(f"{name} can't be run ({type(error).__name__}).") from error
        if done.returncode != 0:
            said = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[0]
            raise NotFilterable(f"{name} fails ({said.rstrip('.')}).")
        return done.stdout

    def _entering(self) -> tuple[str, ...]:
        theirs = Path("ns/net")
        if (_PROC / str(self.pid) / theirs).readlink() == (_PROC / "self" / theirs).readlink():
            return ()
        return (_program("nsenter"), f"--net={_PROC / str(self.pid) / theirs}")


def engine_namespace(url: str, bridges: frozenset[str]) -> Namespace:
    """Return the namespace in which the engine at `url` has these bridges. Raises NotFilterable."""
    if not url.startswith("unix://"):
        raise NotFilterable("the engine is on another machine.")
    if not _capabilities() >> _NET_ADMIN & 1:
        raise NotFilterable("the server may not change packet filters (it has no CAP_NET_ADMIN).")
    namespace = Namespace(_listener(url.removeprefix("unix://")))
    try:
        is_there = namespace.pid > 0 and bridges <= namespace.interfaces
        is_own = not is_there or not namespace._entering()
    except OSError:
        is_there = is_own = False
    if not is_there or not (is_own or _capabilities() >> _SYS_ADMIN & 1):
        raise NotFilterable(
            "the server is not where the engine has its networks, as in a container, or beside a virtual machine."
        )
    return namespace


def _listener(path: str) -> int:
    """Return the process that listens there; 0 if it can't be seen from here. Raises NotFilterable if none does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(_ANSWER_SECONDS)
        try:
            client.connect(path)
            peer = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        except OSError as error:
            raise NotFilterable(f"the engine does not answer ({error.strerror}).") from error
    return int(struct.unpack("3i", peer)[0])


def _capabilities() -> int:
    status = (_PROC / "self" / "status").read_text()
    return next(_hexadecimal(status, "CapEff:"), 0)


def _hexadecimal(text: str, name: str) -> Iterator[int]:
    return (int(line.removeprefix(name), 16) for line in text.splitlines() if line.startswith(name))


def _program(name: str) -> str:
    found = shutil.which(name, path=_SEARCH_PATH)
    if found is None:
        raise NotFilterable(f"{name} is not installed.")
    return found
