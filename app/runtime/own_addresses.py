"""Which addresses are this machine's."""

from __future__ import annotations

import socket

from app.domain.addresses import Address


def is_own(address: Address) -> bool:
    """Return whether an interface of this machine has the address: one can listen at no other."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((str(address), 0))
        except OSError:
            return False
    return True
