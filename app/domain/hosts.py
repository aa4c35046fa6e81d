"""Where credentials may go: a secret for one server is never sent to another."""

from __future__ import annotations

from app.domain.events import repo_key

PUBLIC_REGISTRY = "docker.io"  # what a reference without a registry means


def git_host(url: str) -> str:
    """The host of a repository's URL, with its port unless that is the transport's own; empty for a local one."""
    return "" if url.startswith(("/", "file:")) else repo_key(url).partition("/")[0]


def registry_host(reference: str) -> str:
    """The registry of an image reference, as the engine understands it."""
    first, slash, _ = reference.partition("/")
    is_host = bool(slash) and ("." in first or ":" in first or first == "localhost")
    return first if is_host else PUBLIC_REGISTRY


def may_be_sent(credential_host: str, host: str) -> bool:
    """Whether a credential for `credential_host` is for `host`: any host if it names none, any port likewise."""
    wanted, given = credential_host.lower(), host.lower()
    return wanted in ("", given) or (":" not in wanted and wanted == given.partition(":")[0])
