"""A network around a private engine: a namespace with addresses of each kind, which answer over HTTP."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.waiting import eventually

HOST, LINK, FAR = "198.18.0.1", "198.18.0.1/30", "198.18.0.2/30"
HOST_6, LINK_6, FAR_6 = "2001:db8:1::1", "2001:db8:1::1/64", "2001:db8:1::2/64"
PUBLIC, PRIVATE, SHARED, METADATA, ALIBABA = (
    "203.0.113.1",
    "10.1.2.3",
    "100.64.0.1",
    "169.254.169.254",
    "100.100.100.200",
)
PUBLIC_6, PRIVATE_6, METADATA_6 = "2001:db8::1", "fd12::1", "fd00:ec2::254"
FAR_AWAY = (PUBLIC, PRIVATE, SHARED, METADATA, ALIBABA, PUBLIC_6, PRIVATE_6, METADATA_6)
_SERVER = """
import http.server, socket, sys, threading
class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *_):
        pass
servers = [Server(("::", port), Handler) for port in (80, 53)]
for server in servers:
    threading.Thread(target=server.serve_forever).start()
print("ready", flush=True)
"""


class Surroundings:
    """What is beyond the engine's machine, which is the namespace of `pid`; both listen on the ports 80 and 53."""

    def __init__(self, pid: int) -> None:
        self._here = ("nsenter", f"--net=/proc/{pid}/ns/net")
        self._holder = subprocess.Popen(("unshare", "--net", "sleep", "infinity"))
        own = Path("/proc/self/ns/net").readlink()
        eventually(lambda: Path(f"/proc/{self._holder.pid}/ns/net").readlink() != own)
        self._there = ("nsenter", f"--net=/proc/{self._holder.pid}/ns/net")
        self._connect()
        self._servers = [self._serve(where) for where in (self._here, self._there)]

    def here(self, *command: str, given: str = "") -> str:
        """The output of a command on the engine's machine."""
        return _run(*self._here, *command, given=given)

    def close(self) -> None:
        for process in (*self._servers, self._holder):
            process.kill()
            process.wait()
            if process.stdout:
                process.stdout.close()

    def _connect(self) -> None:
        self.here(
            "ip", "link", "add", "out0", "type", "veth", "peer", "name", "in0", "netns", str(self._holder.pid)
        )
        for where, device, addresses in (
            (self._here, "out0", (LINK, LINK_6)),
            (self._there, "in0", (FAR, FAR_6)),
        ):
            _run(*where, "ip", "link", "set", "lo", "up")
            _run(*where, "ip", "link", "set", device, "up")
            for address in addresses:
                _run(*where, "ip", "address", "add", address, "dev", device, *_at_once(address))
        for address in FAR_AWAY:
            via = (FAR_6 if ":" in address else FAR).partition("/")[0]
            _run(*self._there, "ip", "address", "add", address, "dev", "lo", *_at_once(address))
            self.here("ip", "route", "add", address, "via", via)
        _run(*self._there, "ip", "-6", "route", "add", "default", "via", HOST_6)
        self.here("sysctl", "-qw", "net.ipv6.conf.all.forwarding=1")

    def _serve(self, where: tuple[str, ...]) -> subprocess.Popen[str]:
        server = subprocess.Popen((*where, sys.executable, "-c", _SERVER), stdout=subprocess.PIPE, text=True)
        assert server.stdout
        assert server.stdout.readline() == "ready\n"
        return server


def _at_once(address: str) -> tuple[str, ...]:
    return ("nodad",) if ":" in address else ()


def _run(*command: str, given: str = "") -> str:
    done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, (command, done.stderr)
    return done.stdout


@contextmanager
def surroundings(pid: int) -> Iterator[Surroundings]:
    around = Surroundings(pid)
    try:
        yield around
    finally:
        around.close()
