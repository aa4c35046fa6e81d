"""Credentials as they are given and shown. What is secret goes in and never comes out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from app.commands.credentials import (
    CredentialChange,
    CredentialDraft,
)
from app.domain import limits
from app.domain.errors import require_consistent
from app.domain.host_keys import HostKey, read_key
from app.domain.hosts import is_refused_host
from app.web.schemas.base import Model, with_example
from app.web.schemas.fields import LINK_LOCAL, Name, Time

_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?(?::[0-9]{1,5})?")


def _host(value: str) -> str:
    if not _HOST.fullmatch(value):
        raise ValueError("must be a host such as github.com or registry.example.com:5000")
    if is_refused_host(value):
        raise ValueError(f"must not be {value}, {LINK_LOCAL}")
    return value


Host = Annotated[str, AfterValidator(_host), Field(json_schema_extra={"pattern": f"^(?:{_HOST.pattern})$"})]


def _host_key(value: str) -> str:
    return str(read_key(value))


HostKeyLine = Annotated[
    str,
    Field(max_length=limits.CREDENTIAL, json_schema_extra={"format": "ssh-host-key"}),
    AfterValidator(_host_key),
]
HostKeyLines = Annotated[list[HostKeyLine], Field(max_length=20)]


def _api_url(value: str) -> str:
    such = "such as https://github.example.com/api/v3"
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError(f"has a host or a port that can't be read: it must be an address, {such}") from None
    is_readable = value.isascii() and value.isprintable() and " " not in value
    if not is_readable or parts.scheme not in ("http", "https") or not host or "@" in parts.netloc:
        raise ValueError(f"must be an address, {such}")
    if "?" in value or "#" in value:
        raise ValueError(f"must be an address without a question in it, {such}")
    if is_refused_host(parts.netloc):
        raise ValueError(f"must not be at {host}, {LINK_LOCAL}")
    return value.rstrip("/")


ApiUrl = Annotated[
    str,
    Field(max_length=limits.URL, json_schema_extra={"format": "web-url"}),
    AfterValidator(lambda value: value and _api_url(value)),
]
API_URL = (
    "where the forge's API is, if not where its kind has it: `https://HOST/api/v3` for GitHub Enterprise"
)
ForgeKind = Literal["", "github", "gitlab", "gitea", "bitbucket"]
FORGE = "the kind of the forge (`gitea` is Forgejo too), if neither the host's name nor the `api_url` tells"


SECRET_OR_KEY = {
    "oneOf": [
        {
            "required": ["secret"],
            "properties": {"secret": {"type": "string"}, "ssh_key": {"const": False}},
        },
        {
            "required": ["ssh_key"],
            "properties": {"secret": {"type": "null"}, "ssh_key": {"const": True}, "kind": {"const": "git"}},
        },
    ]
}


class CredentialForm(Model):
    """A user and password or token, or (for git by ssh) a private key. It is sent to `host` alone."""

    model_config = with_example(
        {"name": "github", "kind": "git", "host": "github.com", "secret": "a token"}, SECRET_OR_KEY
    )

    name: Name
    kind: Literal["git", "registry"]
    host: Host = Field(description="with its port, if that is not the usual one; without, for all its ports")
    username: str = Field(default="", max_length=limits.USERNAME)
    secret: str | None = Field(
        default=None,
        min_length=1,
        max_length=limits.CREDENTIAL,
        repr=False,
        description="write-only; a private key has no passphrase",
    )
    ssh_key: bool = Field(
        default=False,
        description="instead of a `secret`: make an ed25519 key here, whose public part is in the answer",
    )
    host_keys: HostKeyLines = Field(
        default=[],
        description="those that the ssh server has to have, of a git credential; empty: what it shows first is pinned",
    )
    api_url: ApiUrl = Field(default="", description=f"{API_URL}; only of a git credential")
    forge: ForgeKind = Field(default="", description=f"{FORGE}; only of a git credential")

    def draft(self) -> CredentialDraft:
        """Raises Contradictions unless there is one secret: given, or a key to be made."""
        require_consistent(self._contradictions())
        given = (self.name, self.kind, self.host, self.username, self.secret, self.api_url)
        keys = [read_key(each) for each in self.host_keys]
        return CredentialDraft(*given, keys, self.forge)

    def _contradictions(self) -> Iterator[tuple[str, str]]:
        if not self.ssh_key and self.secret is None:
            yield "secret", "is missing"
        if self.ssh_key and self.secret is not None:
            yield "secret", "must be left out where ssh_key is true: the key that is made is the secret"
        if self.ssh_key and self.kind != "git":
            yield "ssh_key", "can be true for a credential of kind git alone"


class CredentialPatch(Model):
    """Another user or secret, for all that use it from then on, or the host of one that has none.

    Anything else has to be as it is, or left out.
    """

    model_config = with_example({"secret": "another token"})

    name: Name | None = None
    kind: Literal["git", "registry"] | None = None
    host: Host | None = None
    username: str | None = Field(default=None, max_length=limits.USERNAME)
    secret: str | None = Field(
        default=None,
        min_length=1,
        max_length=limits.CREDENTIAL,
        repr=False,
        description="write-only; left out, it stays",
    )
    ssh_key: bool = Field(default=False, description="make an ed25519 key here, unless it has one")
    host_keys: HostKeyLines | None = Field(
        default=None,
        description="those that the ssh server has to have from now on; empty: what it shows next is pinned",
    )
    api_url: ApiUrl | None = Field(
        default=None, description=f"{API_URL}; another one needs the secret as well, as that is sent there"
    )
    forge: ForgeKind | None = Field(default=None, description=FORGE)

    def change(self) -> CredentialChange:
        keys = None if self.host_keys is None else [read_key(each) for each in self.host_keys]
        wants = (self.name, self.kind, self.host, self.username, self.secret, keys, self.ssh_key)
        return CredentialChange(*wants, api_url=self.api_url, forge=self.forge)


class HostKeyAnswer(Model):
    key: str = Field(description="as in a known_hosts file, without the host")
    fingerprint: str = Field(description="as ssh shows it")

    @classmethod
    def of(cls, key: HostKey) -> HostKeyAnswer:
        return cls(key=str(key), fingerprint=key.fingerprint)


class HostKeysAnswer(Model):
    """What the ssh server of a credential shows at this moment; nothing is stored by looking."""

    shown: list[HostKeyAnswer]
    is_known: bool = Field(description="whether one of them is pinned, or published by the forge")


class CredentialAnswer(Model):
    id: int
    name: str
    kind: Literal["git", "registry", "github-app"]
    host: str
    username: str
    secret: None = None
    public_key: str | None = Field(
        description="of a private key: to be pasted at the repository as a deploy key"
    )
    host_keys: list[HostKeyAnswer] = Field(
        description="one of which its ssh server has to have; empty while none is known"
    )
    host_keys_from: Literal["nobody", "first_use", "person", "forge"] = Field(
        description="who says that they are right: nobody yet, the server itself when it was first asked, a person,"
        " or the page of a big forge"
    )
    api_url: str = Field(description="empty where it is where the forge's kind has it")
    forge: ForgeKind = Field(description="empty where the host or `api_url` tells")
    created_at: Time
    warnings: list[str] = Field(description="why it is of no use as it is")
