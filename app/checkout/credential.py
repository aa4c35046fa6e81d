"""How a credential reaches Git: in the environment of one child process, never in its arguments or a URL."""

from __future__ import annotations

import base64
import hashlib
import os
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from app.checkout.addresses import ssh_server
from app.checkout.urls import Remote
from app.domain.errors import InvalidValue
from app.domain.github_apps import AppKey
from app.domain.host_keys import HostKey, keys_in, known_hosts, published_for
from builders.private import private_directory

ANYBODY = "anybody"
_TOKEN_USER = "x-access-token"  # noqa: S105 - the user name that goes with tokens of GitHub, GitLab and Gitea


@dataclass(frozen=True, slots=True)
class Credential:
    """What a Git server knows one by: `secret` is a token or password (https, http) or a private key in PEM or
    OpenSSH form (ssh). `host_keys` are those that its ssh server has to have; without any, what it shows first is
    given to `pin`, and nobody else's after that.
    """

    secret: str = field(repr=False)
    username: str | None = None
    host_keys: tuple[HostKey, ...] = ()
    id: int | None = field(default=None, compare=False)
    app: AppKey | None = None  # whose tokens are the secret, each for one repository and an hour


class TokenSource(Protocol):
    """Where the tokens of GitHub Apps come from."""

    def __call__(self, key: AppKey, url: str, *, anew: bool = False) -> str:
        """Return what opens the repository at `url`. Raises UserError with what would be right, or GitUnavailable."""
        ...


Pin = Callable[[Credential, Sequence[HostKey]], None]


def pin_nowhere(_credential: Credential, _keys: Sequence[HostKey]) -> None:
    """Remembers no host key."""


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
def access(
    remote: Remote, credential: Credential | None, shared: Path, pin: Pin = pin_nowhere
) -> Iterator[Access]:
    """Yield the access for one call. A private key exists as a file (mode 0600) only while the call runs.

    `shared` is a known_hosts of the operator's, asked for servers of which no key is pinned.
    """
    if remote.transport == "ssh":
        with _ssh_access(remote, credential, shared, pin) as way_in:
            yield way_in
    elif credential is None or remote.transport == "file":
        yield Access()
    else:
        token = basic(credential)
        header = (f"http.{remote.origin}.extraHeader", f"Authorization: Basic {token}")
        yield Access(_fingerprint(credential), config=(header,), secrets=(token, credential.secret))


@contextmanager
def _ssh_access(remote: Remote, credential: Credential | None, shared: Path, pin: Pin) -> Iterator[Access]:
    host, port = ssh_server(remote)
    pinned = (credential.host_keys if credential else ()) or published_for(host)
    with private_directory() as folder:
        key, own = folder / "key", folder / "known_hosts"
        if credential is not None:
            _write_private(key, credential.secret.strip() + "\n")
        _write_private(own, known_hosts(pinned, host, port))
        files = [own] if pinned else [own, shared] if credential else [shared]
        try:
            yield Access(
                who=_fingerprint(credential),
                environment=(("GIT_SSH_COMMAND", ssh_command(key, *files, is_pinned=bool(pinned))),),
                secrets=tuple(credential.secret.splitlines()) if credential else (),
            )
        finally:
            learned = () if pinned else tuple(keys_in(own.read_text(errors="replace")))
            if credential is not None and learned:
                pin(credential, learned)


def ssh_command(key: Path, *known_hosts: Path, is_pinned: bool = False) -> str:
    """Return an ssh command that uses nothing of the host's configuration, agent or keys.

    A server is known by the files `known_hosts`. Unless its keys are pinned, what it shows at the first connection is
    added to the first of them; another than a known one is refused.
    """
    options = {
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "BatchMode": "yes",
        "StrictHostKeyChecking": "yes" if is_pinned else "accept-new",
        "UserKnownHostsFile": " ".join(f'"{path}"' for path in known_hosts),
        "GlobalKnownHostsFile": "/dev/null",
        "CheckHostIP": "no",
        "HashKnownHosts": "no",
        "UpdateHostKeys": "no",
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
    if credential.app is not None:  # its tokens come and go
        return hashlib.sha256(f"app {credential.app.credential_id}".encode()).hexdigest()[:12]
    return hashlib.sha256(f"{credential.username}\0{credential.secret}".encode()).hexdigest()[:12]


def _write_private(path: Path, content: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(content)
