"""What containers may reach, as `JOBYARD_EGRESS` says it, and which addresses that is.

Link-local addresses and the metadata services of clouds (`domain.addresses.REFUSED`) are never among it.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_network

from app.domain.addresses import Address, Network


class Reach(enum.StrEnum):
    INTERNET = "internet"  # what is neither of the two others
    PRIVATE = "private"  # the addresses of PRIVATE
    HOST = "host"  # the engine's machine, by any address of its own


PRIVATE: tuple[Network, ...] = tuple(
    map(ip_network, ("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"))
)
NOTHING = "none"
USUAL = frozenset({Reach.INTERNET, Reach.PRIVATE})


def _none(_address: Address) -> bool:
    return False


@dataclass(frozen=True)
class Egress:
    """What containers may reach. `on_default_bridge` says whether that is enforced on the engine's default bridge,
    too, which others may use.

    `asked` is where the server and the engine look for images and leave messages for users, but for the administrator's
    own `registry`, which may be anywhere. `is_own` says whether this machine has an address.
    """

    reach: frozenset[Reach] = USUAL
    on_default_bridge: bool = True
    asked: frozenset[Reach] = frozenset(Reach)
    registry: str = ""
    is_own: Callable[[Address], bool] = _none

    def __str__(self) -> str:
        return ", ".join(each for each in Reach if each in self.reach) or NOTHING

    def leaves_out(self, address: Address, registry: str = "") -> Reach | None:
        """Return what the address of a message, or of this registry, counts as, where nothing there is asked."""
        if registry and registry == self.registry:
            return None
        reach = reach_of(address, self.is_own)
        return None if reach in self.asked else reach


def read_reach(text: str) -> frozenset[Reach]:
    """Read a list such as `internet,private`, or `none`. Raises ValueError with a sentence."""
    words = [word.strip() for word in text.split(",")]
    if words == [NOTHING]:
        return frozenset()
    unknown = sorted(set(words) - set(Reach))
    if unknown:
        raise ValueError(
            f"takes internet, private and host, separated by commas, or none alone, not {unknown[0]!r}"
        )
    return frozenset(map(Reach, words))


def reach_of(address: Address, is_own: Callable[[Address], bool]) -> Reach:
    """Return what an address is part of; `is_own` says whether the machine has it."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    if address.is_loopback or address.is_unspecified or is_own(address):
        return Reach.HOST
    return Reach.PRIVATE if any(address in network for network in PRIVATE) else Reach.INTERNET
