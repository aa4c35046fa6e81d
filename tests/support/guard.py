"""No test speaks with anybody beyond this machine.

What is not Python, engines and the builds in them above all, is not concerned: builds fetch packages.
"""

from __future__ import annotations

import ipaddress
import shutil
import subprocess
import sys
from functools import cache
from typing import Any

ATTEMPTS: list[str] = []  # since a test began


class LeavesTheMachine(OSError):
    """A test tried to speak with somebody else."""


@cache
def _own_networks() -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """Of loopback, of the bridges that containers are at and of clusters; the machine's way to others is none."""
    if shutil.which("ip") is None:  # in a container, which has none of its own
        return []
    lines = subprocess.run(["ip", "-o", "address"], capture_output=True, text=True, check=True).stdout
    fields = [line.split() for line in lines.splitlines()]
    bridges = [each[3] for each in fields if each[1] == "lo" or each[1].startswith(("docker", "br-", "jyk"))]
    return [ipaddress.ip_network(each, strict=False) for each in bridges]


def is_ours(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host in ("localhost", "")
    return address.is_loopback or address.is_unspecified or any(address in each for each in _own_networks())


def look_again() -> None:
    """Networks were made since tests began."""
    _own_networks.cache_clear()


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in ("socket.connect", "socket.sendto"):
        return
    address = arguments[1]
    if isinstance(address, tuple) and not is_ours(str(address[0])):
        ATTEMPTS.append(f"{address[0]}:{address[1]}")
        raise LeavesTheMachine(f"A test wanted to connect to {address[0]}, beyond this machine.")


def stay_here() -> None:
    """From now on, and for as long as this process lives."""
    _own_networks()
    sys.addaudithook(_watch)
