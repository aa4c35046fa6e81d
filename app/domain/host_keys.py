"""Host keys of ssh servers: what they are called, and those that the big forges publish."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

SSH_PORT = 22
KINDS = frozenset(
    {"ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa"}
)
COPIES_OF = "2026-11-30"
"""When the keys below were last compared with copies of the pages that they are published on, as archives had them."""


@dataclass(frozen=True, slots=True)
class HostKey:
    """`kind` is its algorithm as OpenSSH calls it, `blob` the public key in base64."""

    kind: str
    blob: str

    def __str__(self) -> str:
        return f"{self.kind} {self.blob}"

    @property
    def fingerprint(self) -> str:
        """As ssh shows it: SHA256:…"""
        digest = hashlib.sha256(base64.b64decode(self.blob)).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


@dataclass(frozen=True, slots=True)
class Published:
    """The host keys of a forge, and the page that they are published on."""

    page: str
    keys: tuple[HostKey, ...]


_ED25519, _ECDSA = "ssh-ed25519", "ecdsa-sha2-nistp256"
_P256 = "AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBB"
PUBLISHED = {
    "github.com": Published(
        "https://docs.github.com/en/authentication/keeping-your-account-and-data-secure/githubs-ssh-key-fingerprints",
        (
            HostKey(_ED25519, "AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"),
            HostKey(
                _ECDSA,
                f"{_P256}EmKSENjQEezOmxkZMy7opKgwFB9nkt5YRrYMjNuG5N87uRgg6CLrbo5wAdT/y6v0mKV0U2w0WZ2YB/++Tpockg=",
            ),
        ),
    ),
    "gitlab.com": Published(
        "https://docs.gitlab.com/user/gitlab_com/#ssh-host-keys-fingerprints",
        (
            HostKey(_ED25519, "AAAAC3NzaC1lZDI1NTE5AAAAIAfuCHKVTjquxvt6CM6tdG4SLp1Btn/nOeHHE5UOzRdf"),
            HostKey(
                _ECDSA,
                f"{_P256}FSMqzJeV9rUzU4kWitGjeR4PWSa29SPqJ1fVkhtj3Hw9xjLVXVYrU9QlYWrOLXBpQ6KWjbjTDTdDkoohFzgbEY=",
            ),
        ),
    ),
    "bitbucket.org": Published(
        "https://bitbucket.org/site/ssh",
        (
            HostKey(_ED25519, "AAAAC3NzaC1lZDI1NTE5AAAAIIazEu89wgQZ4bqs3d63QSMzYVa0MuJ2e2gKTKqu+UUO"),
            HostKey(
                _ECDSA,
                f"{_P256}PIQmuzMBuKdWeF4+a2sjSSpBK0iqitSQ+5BM9KhpexuGt20JpTVM7u5BDZngncgrqDMbWdxMWWOGtZ9UgbqgZE=",
            ),
        ),
    ),
}


def read_key(text: str) -> HostKey:
    """The key of `ssh-ed25519 AAAA…`, with or without a host before and a comment after it. Raises ValueError."""
    words = text.split()
    at = next((number for number, word in enumerate(words[:2]) if word in KINDS), None)
    if at is None or len(words) < at + 2:
        raise ValueError("must be a host key such as ssh-ed25519 AAAA…")
    kind, blob = words[at], words[at + 1]
    try:
        raw = base64.b64decode(blob, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if raw[4 : 4 + len(kind)] != kind.encode():
        raise ValueError(f"has a host key of type {kind} that is cut short or none")
    return HostKey(kind, blob)


def keys_in(known_hosts: str) -> Iterator[HostKey]:
    """The keys of a file as ssh and ssh-keyscan write it; what is none is left out."""
    for line in known_hosts.splitlines():
        try:
            yield read_key(line)
        except ValueError:
            continue


def known_hosts(keys: Sequence[HostKey], host: str, port: int) -> str:
    """A file by which ssh knows these keys, and no others, for a server."""
    name = host if port == SSH_PORT else f"[{host}]:{port}"
    return "".join(f"{name} {key}\n" for key in keys)


def published_for(host: str) -> tuple[HostKey, ...]:
    found = PUBLISHED.get(host.lower())
    return () if found is None else found.keys
