"""Where a Git server may be: anywhere but at a link-local address (see `app.domain.addresses`).

Names are resolved here, all their addresses are looked at, and over HTTP `git` is told to connect to just these: a name
that means something else a moment later gains nothing. (ssh connects by name: what a metadata service says is nothing
to it.)
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from ipaddress import ip_address

from app.checkout.failures import FetchRefused
from app.checkout.urls import Remote
from app.domain.addresses import is_refused
from app.domain.errors import GitUnavailable
from app.domain.host_keys import SSH_PORT

Resolve = Callable[[str, int], list[str]]

_PORTS = {"https": 443, "http": 80, "ssh": SSH_PORT}
_AUTHORITY = re.compile(
    r"(?:[a-z]+://)?(?:[^@/]*@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^:/]+)(?::(?P<port>\d+)(?=/))?"
)


def resolve(host: str, port: int) -> list[str]:
    """Return the addresses that the name has now. Raises OSError if it has none."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def way_to(remote: Remote, resolve: Resolve = resolve) -> tuple[tuple[str, str], ...]:
    """Return settings that hold `git` to the addresses of the remote. Raises FetchRefused, or GitUnavailable
    without any.
    """
    authority = _AUTHORITY.match(remote.url)
    if remote.transport not in _PORTS or authority is None:
        return ()
    host, port = authority["host"], int(authority["port"] or _PORTS[remote.transport])
    addresses = addresses_of(remote.url, host.strip("[]"), port, resolve)
    if remote.transport == "ssh" or host.startswith("["):
        return ()
    return (("http.curloptResolve", f"{host}:{port}:{','.join(map(_for_curl, addresses))}"),)


def ssh_server(remote: Remote) -> tuple[str, int]:
    """Return the host and port of a remote that is reached by ssh."""
    authority = _AUTHORITY.match(remote.url)
    assert authority is not None  # a remote was parsed
    has_port = authority["port"] and "://" in remote.url
    return authority["host"].strip("[]"), int(authority["port"]) if has_port else SSH_PORT


def addresses_of(what: str, host: str, port: int, resolve: Resolve = resolve) -> list[str]:
    """Return all addresses of a host's name, none of them refused. Raises FetchRefused, or GitUnavailable without
    any.
    """
    try:
        addresses = resolve(host, port)
    except OSError as error:
        raise GitUnavailable(
            f"{what} could not be reached: the name {host} has no address ({error.strerror})."
        ) from None
    for each in addresses:
        if is_refused(ip_address(each)):
            raise FetchRefused(
                f"{what} is at the link-local address {each}, where clouds keep their machines' credentials and"
                " no Git server is: use its real address."
            )
    return addresses


def _for_curl(address: str) -> str:
    return f"[{address}]" if ":" in address else address
