"""Which servers containers ask for names."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from app.domain.addresses import Address, readable

RESOLVER_FILES = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))
DAEMON_FILE = Path("/etc/docker/daemon.json")


def nameservers(files: Sequence[Path] = RESOLVER_FILES, daemon: Path = DAEMON_FILE) -> tuple[Address, ...]:
    """Return the servers that Docker on this machine gives to containers: its own setting's, or the machine's but for
    those on loopback.
    """
    found: list[str] = []
    for file in files:
        with suppress(OSError):
            words = [line.split() for line in file.read_text(errors="replace").splitlines()]
            found += [line[1] for line in words if len(line) > 1 and line[0] == "nameserver"]
    with suppress(OSError, ValueError, TypeError, AttributeError):
        found += [str(each) for each in json.loads(daemon.read_text()).get("dns", ())]
    addresses = {address for text in found if (address := readable(text)) and not address.is_loopback}
    return tuple(sorted(addresses, key=str))
