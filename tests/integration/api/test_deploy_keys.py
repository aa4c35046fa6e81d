"""Deploy keys and host keys of credentials, through the API."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from app.commands.credentials import pin_shown
from app.commands.remote_access import git_access
from app.domain.host_keys import PUBLISHED, HostKey, read_key
from app.secrets.key_pairs import new_key, public_key_of
from app.store import credentials, projects
from app.web.server_context import ServerContext
from tests.support.api import Caller

CREDENTIALS = "/projects/acme/credentials"
BASE = {"name": "theirs", "kind": "git", "host": "git.example.com:2222"}
RSA = rsa.generate_private_key(65537, 2048)
FIRST, SECOND = (read_key(public_key_of(new_key())) for _ in range(2))


def refused(answer: Any) -> list[dict[str, str]]:
    assert answer.status_code == 422, answer.text
    return list(answer.json()["errors"])


def used(context: ServerContext) -> Any:
    """The credential as Git is given it."""
    with context.db.read() as tx:
        found = credentials.named(tx, projects.named(tx, "acme").id, "theirs")
        return git_access(tx, context.vault, found.id, "ssh://git@git.example.com:2222/acme/report")


def test_a_key_is_made_here_and_only_its_public_part_is_shown(admin: Caller, context: ServerContext) -> None:
    made = admin.made(CREDENTIALS, {**BASE, "ssh_key": True})
    assert (made["host_keys"], made["host_keys_from"], made["secret"]) == ([], "nobody", None)
    secret = used(context).secret
    assert made["public_key"] == public_key_of(secret)
    assert "PRIVATE" not in admin.get(CREDENTIALS).text

    same = admin.patch(f"{CREDENTIALS}/theirs", json={**BASE, "ssh_key": True}).json()
    assert same == made  # so a file can be applied again
    other = admin.patch(f"{CREDENTIALS}/theirs", json={"secret": new_key()}).json()
    assert other["public_key"] not in (None, made["public_key"])
    token = admin.patch(f"{CREDENTIALS}/theirs", json={"secret": "a token"}).json()
    assert token["public_key"] is None


@pytest.mark.parametrize(
    "form", [PrivateFormat.OpenSSH, PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL]
)
def test_a_key_that_lost_its_lines_is_put_in_order(
    admin: Caller, context: ServerContext, form: PrivateFormat
) -> None:
    text = RSA.private_bytes(Encoding.PEM, form, NoEncryption()).decode()
    made = admin.made(CREDENTIALS, {**BASE, "secret": text.replace("\n", "")})
    assert made["public_key"] == public_key_of(text)
    assert public_key_of(used(context).secret) == made["public_key"]
    assert max(map(len, used(context).secret.splitlines())) <= 64


def test_what_is_no_usable_key_is_refused_by_name(admin: Caller) -> None:
    locked = RSA.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, BestAvailableEncryption(b"x")).decode()
    passphrase = (
        "secret must be a private key without a passphrase, as nobody is there to type it: make a key for Jobyard"
        " alone."
    )
    useless = (
        "secret must be a whole private key that ssh can use"
        " (ed25519, ECDSA or RSA), from -----BEGIN to -----END."
    )
    public = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"
    for secret, message in (
        (locked, passphrase),
        (new_key()[:200], useless),
        (public, useless),
    ):
        errors = refused(admin.post(CREDENTIALS, json={**BASE, "secret": secret}))
        assert errors == [{"field": "secret", "message": message}]
    both = refused(admin.post(CREDENTIALS, json={**BASE, "ssh_key": True, "secret": "x"}))
    assert both == [
        {
            "field": "secret",
            "message": "secret must be left out where ssh_key is true: the key that is made is the secret.",
        }
    ]
    registry = refused(admin.post(CREDENTIALS, json={**BASE, "kind": "registry", "ssh_key": True}))
    assert [each["message"] for each in registry] == [
        "ssh_key can be true for a credential of kind git alone."
    ]
    assert refused(admin.post(CREDENTIALS, json=BASE))[0]["message"] == "secret is missing."


def test_what_a_server_shows_first_is_pinned_until_somebody_says_otherwise(
    admin: Caller, context: ServerContext
) -> None:
    admin.made(CREDENTIALS, {**BASE, "ssh_key": True})
    pin = pin_shown(context.db)
    pin(used(context), [FIRST])
    pin(used(context), [SECOND])  # another server was as quick
    shown = admin.got(f"{CREDENTIALS}/theirs")
    assert shown["host_keys"] == [{"key": str(FIRST), "fingerprint": FIRST.fingerprint}]
    assert (shown["host_keys_from"], used(context).host_keys) == ("first_use", (FIRST,))

    confirmed = admin.patch(
        f"{CREDENTIALS}/theirs", json={"host_keys": [f"[git.example.com]:2222 {SECOND} a"]}
    )
    assert confirmed.json()["host_keys_from"] == "person"
    assert used(context).host_keys == (SECOND,)
    forgotten = admin.patch(f"{CREDENTIALS}/theirs", json={"host_keys": []}).json()
    assert (forgotten["host_keys"], forgotten["host_keys_from"]) == ([], "nobody")


def test_host_keys_that_are_none_are_refused(admin: Caller) -> None:
    admin.made(CREDENTIALS, {**BASE, "ssh_key": True})
    for text, rule in (
        ("nonsense", "must be a host key such as ssh-ed25519 AAAA…, not 'nonsense'"),
        ("ssh-rsa AAAA", "has a host key of type ssh-rsa that is cut short or none, not 'ssh-rsa AAAA'"),
    ):
        (error,) = refused(admin.patch(f"{CREDENTIALS}/theirs", json={"host_keys": [text]}))
        assert error["message"] == f"host_keys.0 {rule}."
    admin.made(CREDENTIALS, {"name": "images", "kind": "registry", "host": "ghcr.io", "secret": "x"})
    (error,) = refused(admin.patch(f"{CREDENTIALS}/images", json={"host_keys": [str(FIRST)]}))
    assert error["message"] == "host_keys can be set for a credential of kind git alone."
    no_git = admin.post(f"{CREDENTIALS}/images/host-keys")
    assert (no_git.status_code, no_git.json()["detail"]) == (
        409,
        "Credential images is for no Git server, so there are no host keys to ask for.",
    )


def test_a_server_is_asked_for_its_keys_and_nothing_is_stored(admin: Caller, context: ServerContext) -> None:
    asked: list[str] = []

    def shown_by(host: str) -> tuple[HostKey, ...]:
        asked.append(host)
        return (FIRST,)

    admin.made(CREDENTIALS, {**BASE, "ssh_key": True})
    admin = Caller(replace(context, host_keys_of=shown_by))
    answer = admin.post(f"{CREDENTIALS}/theirs/host-keys").json()
    assert answer == {"shown": [{"key": str(FIRST), "fingerprint": FIRST.fingerprint}], "is_known": False}
    assert asked == ["git.example.com:2222"]
    assert admin.got(f"{CREDENTIALS}/theirs")["host_keys"] == []
    admin.patch(f"{CREDENTIALS}/theirs", json={"host_keys": [str(FIRST)]})
    assert admin.post(f"{CREDENTIALS}/theirs/host-keys").json()["is_known"] is True


def test_what_the_big_forges_publish_is_known_from_the_beginning(admin: Caller) -> None:
    """The fingerprints are those of the pages that `PUBLISHED` names."""
    expected = {
        "github.com": [
            "+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU",
            "p2QAMXNIC1TJYWeIOttrVc98/R1BUFWu3/LiyKgUfQM",
        ],
        "gitlab.com": [
            "eUXGGm1YGsMAS7vkcx6JOJdOGHPem5gQp4taiCfCLB8",
            "HbW3g8zUjNSksFbqTiUWPWg2Bq1x8xdGUrliXFzSnUw",
        ],
        "bitbucket.org": [
            "ybgmFkzwOSotHTHLJgHO0QN8L0xErw6vd0VhFA9m3SM",
            "FC73VB6C4OQLSCrjEayhMp9UMxS97caD/Yyi2bhW/J0",
        ],
    }
    assert expected.keys() == PUBLISHED.keys()
    for number, (host, fingerprints) in enumerate(expected.items()):
        made = admin.made(
            CREDENTIALS, {"name": f"forge-{number}", "kind": "git", "host": host, "ssh_key": True}
        )
        assert made["host_keys_from"] == "forge"
        assert [each["fingerprint"] for each in made["host_keys"]] == [
            f"SHA256:{each}" for each in fingerprints
        ]


def test_a_key_of_a_kind_that_ssh_has_dropped_is_refused(admin: Caller) -> None:
    old = dsa.generate_private_key(1024).private_bytes(
        Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
    )
    (error,) = refused(admin.post(CREDENTIALS, json={**BASE, "secret": old.decode()}))
    assert error["field"] == "secret"
