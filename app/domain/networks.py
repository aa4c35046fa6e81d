"""Which network an address is in: as wide as one household, or one customer of a provider, has addresses."""

from __future__ import annotations

import ipaddress

PREFIXES = {4: 24, 6: 64}


def network_of(address: str) -> str:
    """The network of an IP address, such as 203.0.113.0/24; what is no IP address stands for itself."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:60]
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    return str(ipaddress.ip_network((ip, PREFIXES[ip.version]), strict=False))
