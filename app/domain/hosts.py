"""Where credentials may go: a secret for one server is never sent to another."""

from __future__ import annotations

from app.domain.addresses import is_refused, literal
from app.domain.events import repo_key

PUBLIC_REGISTRY = "docker.io"  # what a reference without a registry means
_PUBLIC_TOO = frozenset({"index.docker.io", "registry-1.docker.io"})
_USUAL_PORTS = (443, 80)


def git_host(url: str) -> str:
    """The host of a repository's URL, with its port unless that is the transport's own; empty for a local one."""
    return "" if url.startswith(("/", "file:")) else repo_key(url).partition("/")[0]


def registry_host(reference: str) -> str:
    """The registry of an image reference, as the engine understands it."""
    first, slash, _ = reference.partition("/")
    is_host = bool(slash) and ("." in first or ":" in first or first == "localhost" or first != first.lower())
    return first if is_host else PUBLIC_REGISTRY


def same_registry(one: str, other: str) -> bool:
    """Return whether two hosts are the same server however they are written; names are not looked up."""
    return _plain_registry(one) == _plain_registry(other)


def _plain_registry(host: str) -> tuple[str, int | None]:
    name, port = host_and_port(host.lower())
    name = name.removesuffix(".")
    address = literal(name)
    if name in _PUBLIC_TOO:
        name = PUBLIC_REGISTRY
    elif name == "localhost" or (address is not None and address.is_loopback):
        name = "localhost"
    elif address is not None:
        name = str(address)
    return name, None if port in _USUAL_PORTS else port


def host_and_port(host: str) -> tuple[str, int | None]:
    """`registry:5000` is `("registry", 5000)`; an IPv6 address loses its brackets."""
    name, colon, port = host.rpartition(":")
    if not colon or not port.isdecimal() or host.endswith("]"):
        name, port = host, ""
    return name.removeprefix("[").removesuffix("]"), int(port) if port else None


def is_refused_host(host: str) -> bool:
    """Return whether a host is, as it is written, an address that nothing a user names may be at."""
    address = literal(host_and_port(host)[0])
    return address is not None and is_refused(address)


def may_be_sent(credential_host: str, host: str) -> bool:
    """Return whether a credential for `credential_host` is for `host`, on any port if it names none; for "" it is for
    none.
    """
    wanted, given = credential_host.lower(), host.lower()
    return wanted != "" and (wanted == given or (":" not in wanted and wanted == given.partition(":")[0]))
