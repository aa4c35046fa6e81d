"""Logins as the container CLI reads them: in a file that is there only while it runs."""

import base64
import json
import os
from collections.abc import Mapping
from pathlib import Path

from builders.backends.base import Login

PUBLIC = "docker.io"  # the registry of references that name none
_PUBLIC_KEY = "https://index.docker.io/v1/"  # what the CLI calls it


def registry_of(reference: str) -> str:
    first, slash, _ = reference.partition("/")
    is_host = bool(slash) and ("." in first or ":" in first or first == "localhost")
    return first if is_host else PUBLIC


def address_of(registry: str) -> str:
    """Return what a login to the registry is known by."""
    return _PUBLIC_KEY if registry == PUBLIC else registry


def write_logins(directory: Path, logins: Mapping[str, Login]) -> None:
    """Write `config.json`, with mode 0600, into the directory that will be the CLI's `DOCKER_CONFIG`."""
    auths = {address_of(host): {"auth": _pair(login)} for host, login in logins.items()}
    file = os.open(directory / "config.json", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(file, "w") as config:
        json.dump({"auths": auths}, config)


def _pair(login: Login) -> str:
    return base64.b64encode(f"{login.username}:{login.password}".encode()).decode()
