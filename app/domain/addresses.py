"""Which addresses nothing that a user names may be at.

Private networks and this machine are the normal case of a self-hosted tool, and whoever may name a repository may run
code there anyway. But no server of anybody's has a link-local address, while a cloud's metadata service, which gives
the machine's own credentials to whoever asks, has one.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

Address = IPv4Address | IPv6Address

_METADATA_ELSEWHERE = frozenset(map(ip_address, ("fd00:ec2::254", "100.100.100.200")))
_NAT64 = ip_network("64:ff9b::/96")


def is_refused(address: Address) -> bool:
    """Also inside of the forms in which IPv6 carries IPv4."""
    if isinstance(address, IPv6Address):
        carried = address.ipv4_mapped or address.sixtofour
        if carried is None and address in _NAT64:
            carried = IPv4Address(int(address) & 0xFFFFFFFF)
        if carried is not None:
            return is_refused(carried)
    return address.is_link_local or address in _METADATA_ELSEWHERE
