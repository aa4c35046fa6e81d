"""How a credential reaches Git: in the environment of one child process, never in its arguments or a URL."""

from __future__ import annotations

import base64
import hashlib
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from app.checkout.urls import Remote
from app.domain.errors import InvalidValue
from builders.private import private_directory

ANYBODY = "anybody"
_TOKEN_USER = "x-access-token"  # noqa: S105 - the user name that goes with tokens of GitHub, GitLab and Gitea


@dataclass(frozen=True, slots=True)
class Credential:
    """What a Git server knows one by: `secret` is a token or password (https, http) or a private key in PEM or
    OpenSSH form (ssh).
    """

    secret: str = field(repr=False)
    username: str | None = None


@dataclass(frozen=True, slots=True)
class Access:
    """What one Git process is given to get in: settings, environment, and what must be masked in its output.

    `who` names the credential without giving it away, so that what one may see is not handed to another.
    """

    who: str = ANYBODY
    config: tuple[tuple[str, str], ...] = ()
    environment: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)


@contextmanager
def access(remote: Remote, credential: Credential | None, known_hosts: Path) -> Iterator[Access]:
    """Yield the access for one call. A private key exists as a file (mode 0600) only while the call runs."""
    if remote.transport == "ssh":
        with private_directory() as folder:
            key = folder / "key"
            if credential is not None:
                _write_private(key, credential.secret.strip() + "\n")
            yield Access(
                who=_fingerprint(credential),
                environment=(("GIT_SSH_COMMAND", ssh_command(key, known_hosts)),),
                secrets=tuple(credential.secret.splitlines()) if credential else (),
            )
    elif credential is None or remote.transport == "file":
        yield Access()
    else:
        token = basic(credential)
        header = (f"http.{remote.origin}.extraHeader", f"Authorization: Basic {token}")
        yield Access(_fingerprint(credential), config=(header,), secrets=(token, credential.secret))


def ssh_command(key: Path, known_hosts: Path) -> str:
    """Return an ssh command that uses nothing of the host's configuration, agent or keys.

    A host key is remembered at the first connection and a different one is refused ever after; an operator who
    wants it stricter fills `known_hosts` beforehand.
    """
    options = {
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "BatchMode": "yes",
        "StrictHostKeyChecking": "accept-new",
        "UserKnownHostsFile": str(known_hosts),
        "GlobalKnownHostsFile": "/dev/null",
        "ConnectTimeout": "20",
        "ServerAliveInterval": "15",
        "ForwardAgent": "no",
        "PermitLocalCommand": "no",
    }
    words = ["ssh", "-F", "/dev/null", "-i", str(key)]
    words += [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    return shlex.join(words)


def basic(credential: Credential) -> str:
    """Return what follows `Authorization: Basic`."""
    user = credential.username or _TOKEN_USER
    if any(not text.isprintable() for text in (user, credential.secret)) or ":" in user:
        raise InvalidValue("credential", "The Git credential must be one line, and its user without a colon.")
    return base64.b64encode(f"{user}:{credential.secret}".encode()).decode()


def _fingerprint(credential: Credential | None) -> str:
    if credential is None:
        return ANYBODY
    return hashlib.sha256(f"{credential.username}\0{credential.secret}".encode()).hexdigest()[:12]


def _write_private(path: Path, content: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(content)
