"""The address people, forges and links call this server by, and that of an identity provider."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")
_SUCH = "such as https://jobyard.example.com"


def read_public_url(text: str) -> str:
    """The address in one spelling, without a slash at its end. Raises ValueError with what would be right."""
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError(f"must be an address in plain ASCII, {_SUCH}")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError(f"has a host or a port that can't be read: it must be an address, {_SUCH}") from None
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"must begin with http:// or https://, {_SUCH}")
    if "@" in parts.netloc or "?" in text or "#" in text or parts.path not in ("", "/"):
        raise ValueError(f"must be scheme, host and port alone, {_SUCH}: no path, question, or user in it")
    if port == 0 or parts.netloc.endswith(":"):
        raise ValueError("must have a port from 1 to 65535, or none for the scheme's own")
    _require_reachable(host, is_bracketed="[" in parts.netloc)
    return f"{parts.scheme}://{parts.netloc.lower()}"


def read_issuer(text: str) -> str:
    """The address of an identity provider, just as it was given. Raises ValueError with what would be right."""
    such = "such as https://id.example.com/realms/team"
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError(f"has a host or a port that can't be read: it must be an address, {such}") from None
    is_readable = text.isascii() and text.isprintable() and " " not in text
    if not is_readable or parts.scheme not in ("http", "https") or not host or "@" in parts.netloc:
        raise ValueError(f"must be an address, {such}")
    if "?" in text or "#" in text:
        raise ValueError(f"must be an address without a question in it, {such}")
    if parts.scheme == "http" and host not in ("localhost", "127.0.0.1", "::1"):
        raise ValueError("must begin with https:// unless the provider is on this machine")
    return text


def listening_url(host: str, port: int) -> str:
    """Return how a server that listens there is called on its own machine."""
    if is_every_address(host):
        host = "::1" if ":" in host else "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def is_every_address(host: str) -> bool:
    """Return whether listening there is listening at all addresses of the machine, which is no address to call."""
    try:
        return host == "" or _nowhere(ip_address(host))
    except ValueError:
        return False


def _require_reachable(host: str, *, is_bracketed: bool) -> None:
    """Raises ValueError for a host that nobody can call."""
    is_numeric = is_bracketed or _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2])
    if not is_numeric:
        if len(host) > 253 or not _NAME.fullmatch(host):
            raise ValueError(f"must have a host name or an IP address, {_SUCH}")
        return
    try:
        address = ip_address("" if "%" in host else host)  # a zone means something on one machine only
    except ValueError:
        raise ValueError(f"must have a host name or an IP address, {_SUCH}") from None
    if _nowhere(address) or address.is_multicast or host == "255.255.255.255":
        raise ValueError(
            f"{host} is an address to listen at, not one to call: name the host as it is called from outside"
        )


def _nowhere(address: IPv4Address | IPv6Address) -> bool:
    carried = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (carried or address).is_unspecified
