"""Network namespaces on one bridge, which this machine has an address on as well."""

from __future__ import annotations

import ipaddress
import os
import subprocess
from pathlib import Path

SUBNET = ipaddress.ip_network("10.79.0.0/24")
HUB, MACHINE = str(SUBNET[1]), str(SUBNET[254])


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def tied(*command: str) -> tuple[str, ...]:
    """The command as a process that doesn't outlive this one."""
    return ("setpriv", "--pdeathsig", "KILL", *command)


class Namespace:
    """A network namespace, held by a process that sleeps."""

    def __init__(self) -> None:
        ours = Path("/proc/self/ns/net").readlink()
        self._holder = subprocess.Popen(tied("unshare", "--net", "sleep", "infinity"))
        while Path(f"/proc/{self._holder.pid}/ns/net").readlink() == ours:
            assert self._holder.poll() is None
        self.run("ip", "link", "set", "lo", "up")

    @property
    def pid(self) -> int:
        return self._holder.pid

    @property
    def entering(self) -> tuple[str, ...]:
        """What a command begins with that runs in it; `ip netns exec` would hide the control groups."""
        return ("nsenter", f"--net=/proc/{self.pid}/ns/net")

    def run(self, *command: str) -> str:
        return run(*self.entering, *command)

    def close(self) -> None:
        self._holder.kill()
        self._holder.wait()


class Network:
    """The hub has the bridge: in this machine's own namespace its packet filter would have a say."""

    def __init__(self) -> None:
        self.hub = Namespace()
        self._spokes: list[Namespace] = []
        self._ours = f"jyk{os.getpid()}"
        self.hub.run("ip", "link", "add", "br0", "type", "bridge")
        self.hub.run("ip", "address", "add", f"{HUB}/{SUBNET.prefixlen}", "dev", "br0")
        self.hub.run("ip", "link", "set", "br0", "up")
        run(
            "ip",
            "link",
            "add",
            self._ours,
            "type",
            "veth",
            "peer",
            "name",
            "machine",
            "netns",
            str(self.hub.pid),
        )
        self.hub.run("ip", "link", "set", "machine", "master", "br0", "up")
        run("ip", "address", "add", f"{MACHINE}/{SUBNET.prefixlen}", "dev", self._ours)
        run("ip", "link", "set", self._ours, "up")

    def spoke(self, number: int) -> Namespace:
        """Return a new namespace with the address `address(number)`, and the hub's end of its cable as `spoke…`."""
        made = Namespace()
        self._spokes.append(made)
        ours, theirs = f"spoke{number}", str(made.pid)
        self.hub.run("ip", "link", "add", ours, "type", "veth", "peer", "name", "eth0", "netns", theirs)
        self.hub.run("ip", "link", "set", ours, "master", "br0", "up")
        made.run("ip", "address", "add", f"{address(number)}/{SUBNET.prefixlen}", "dev", "eth0")
        made.run("ip", "link", "set", "eth0", "up")
        made.run("ip", "route", "add", "default", "via", MACHINE)
        return made

    def cut(self, number: int, *, is_cut: bool) -> None:
        """Take a spoke's cable out, or put it in again."""
        self.hub.run("ip", "link", "set", f"spoke{number}", "down" if is_cut else "up")

    def close(self) -> None:
        subprocess.run(["ip", "link", "delete", self._ours], check=False, capture_output=True)
        for each in (*self._spokes, self.hub):
            each.close()


def address(number: int) -> str:
    return str(SUBNET[10 + number])
