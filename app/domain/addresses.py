"""Which addresses nothing that a user names may be at.

Private networks and this machine are the normal case of a self-hosted tool, and whoever may name a repository may run
code there anyway. But no server of anybody's has a link-local address, while a cloud's metadata service, which gives
the machine's own credentials to whoever asks, has one.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

REFUSED: tuple[Network, ...] = tuple(
    map(
        ip_network,
        (
            "169.254.0.0/16",
            "fe80::/10",
            "100.100.100.200/32",  # Alibaba's metadata service; those below are reached over IPv6
            "fd00:ec2::23/128",  # AWS, for pods
            "fd00:ec2::254/128",  # AWS
            "fd20:ce::254/128",  # Google
            "fd00:c1::a9fe:a9fe/128",  # Oracle
            "64:ff9b::a9fe:0/112",  # 169.254.0.0/16 as a NAT64 carries it
            "2002:a9fe::/32",  # and as 6to4 does
        ),
    )
)
_NAT64 = ip_network("64:ff9b::/96")
_NUMBER = re.compile(r"0[xX][0-9A-Fa-f]{1,8}|0[0-7]{0,11}|[1-9][0-9]{0,9}")
_LAST_PART = (1 << 32, 1 << 24, 1 << 16, 1 << 8)  # the last number of an address counts for all bytes left


def is_refused(address: Address) -> bool:
    """Return whether nothing that a user names may be at an address, also where IPv6 carries an IPv4 one."""
    if isinstance(address, IPv6Address):
        carried = address.ipv4_mapped or address.sixtofour
        if carried is None and address in _NAT64:
            carried = IPv4Address(int(address) & 0xFFFFFFFF)
        if carried is not None:
            return is_refused(carried)
    return any(address in network for network in REFUSED)


def readable(text: str) -> Address | None:
    """Return the address that is written there, without the scope that it may have; None if it is none."""
    try:
        return ip_address(text.partition("%")[0])
    except ValueError:
        return None


def literal(host: str) -> Address | None:
    """The address that a host is itself, in any form that resolvers take: `2852039166` and `0xa9fe.0xa9fe`, too."""
    plain = readable(host.removeprefix("[").removesuffix("]"))
    if plain is not None:
        return plain
    parts = host.split(".")
    numbers = [int(part, _base(part)) for part in parts if _NUMBER.fullmatch(part)]
    if len(numbers) != len(parts) or len(parts) > len(_LAST_PART):
        return None
    *first, last = numbers
    if any(number > 0xFF for number in first) or last >= _LAST_PART[len(first)]:
        return None
    packed = last + sum(number << (24 - 8 * at) for at, number in enumerate(first))
    return IPv4Address(packed)


def _base(part: str) -> int:
    return 16 if part[:2].lower() == "0x" else 8 if part.startswith("0") else 10
