"""Registries as the engine meets them: where they may be, and what is wrong with one."""

from __future__ import annotations

import socket
from collections.abc import Callable
from ipaddress import ip_address

from app.domain.addresses import is_refused
from app.domain.egress import Egress
from app.domain.hosts import PUBLIC_REGISTRY, host_and_port, registry_host
from app.engines.base import ImageUnavailable

AddressesOf = Callable[[str, int], list[str]]
_KINDS = (
    ("connection refused", "refuses the connection"),
    ("no such host", "has a name without an address"),
    ("i/o timeout", "does not answer in time"),
    ("Client.Timeout", "does not answer in time"),
    ("context deadline exceeded", "does not answer in time"),
    ("HTTP response to HTTPS client", "answers without TLS, which the engine wants"),
    ("x509:", "has a certificate that the engine doesn't trust"),
    ("tls:", "does not speak TLS as the engine wants"),
    ("toomanyrequests", "takes no more requests for now"),
    ("response body", "answers, but not as a registry does"),
    ("received unexpected HTTP status", "answers with an error of its own"),
)


def what_is_wrong(explanation: str) -> str:
    """Return what a registry does wrong, by kind: the engine's words may hold what any server answered to it."""
    return next((kind for sign, kind in _KINDS if sign in explanation), "does not answer")


def addresses_of(host: str, port: int) -> list[str]:
    """Return the addresses that the name has now. Raises OSError if it has none."""
    return [str(each[4][0]) for each in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def require_reachable(reference: str, egress: Egress, addresses_of: AddressesOf = addresses_of) -> None:
    """Raise ImageUnavailable for a registry at an address where none can be (see `app.domain.addresses`) or may be."""
    host = registry_host(reference)
    if host == PUBLIC_REGISTRY:
        return
    name, port = host_and_port(host)
    try:
        addresses = addresses_of(name, port or 443)
    except (OSError, UnicodeError):
        return  # the engine may know better, and will say so if it doesn't
    for address in addresses:
        parsed = ip_address(address.partition("%")[0])
        if is_refused(parsed):
            raise ImageUnavailable(
                f"{reference} is at the link-local address {address}, where clouds keep their machines' credentials"
                " and no registry is: use its real address.",
                is_missing=False,
            )
        if reach := egress.leaves_out(parsed, host):
            raise ImageUnavailable(
                f"{reference} is at {address}, which counts as {reach}: that is none of {egress} (JOBYARD_EGRESS).",
                is_missing=False,
            )
