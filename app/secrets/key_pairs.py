"""Key pairs for ssh: made here, or read from what somebody pasted."""

from __future__ import annotations

import re

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_ssh_private_key,
)

_PEM = re.compile(r"-----BEGIN (?P<kind>[A-Z ]+)-----(?P<body>.*)-----END (?P=kind)-----", re.DOTALL)
_OPENSSH = "-----BEGIN OPENSSH PRIVATE KEY-----"


_USABLE = Ed25519PrivateKey | EllipticCurvePrivateKey | RSAPrivateKey


def is_private_key(secret: str) -> bool:
    """Return whether a secret means to be a private key, and not a token."""
    return secret.lstrip().startswith("-----BEGIN ")


def with_lines(private_key: str) -> str:
    """Return the key with its lines as they belong: a field of one line, such as one for passwords, loses them."""
    parts = _PEM.fullmatch(private_key.strip())
    body = "".join(parts["body"].split()) if parts else ""
    if parts is None or ":" in body:  # with headers, which only a key with a passphrase has
        return private_key
    lines = [body[at : at + 64] for at in range(0, len(body), 64)]
    return "\n".join([f"-----BEGIN {parts['kind']}-----", *lines, f"-----END {parts['kind']}-----", ""])


def new_key() -> str:
    """Return a new ed25519 private key in OpenSSH's form."""
    made = Ed25519PrivateKey.generate()
    return made.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()


def public_key_of(private_key: str) -> str:
    """Return the public part as forges take it: `ssh-ed25519 AAAA…`. Raises ValueError in words for a field."""
    text = private_key.strip() + "\n"
    load = load_ssh_private_key if text.startswith(_OPENSSH) else load_pem_private_key
    try:
        key = load(text.encode(), password=None)
        if not isinstance(key, _USABLE):
            raise ValueError("of another kind")
        public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    except TypeError:
        raise ValueError(
            "must be a private key without a passphrase, as nobody is there to type it: make a key for Jobyard alone"
        ) from None
    except (ValueError, UnsupportedAlgorithm, AttributeError):
        raise ValueError(
            "must be a whole private key that ssh can use (ed25519, ECDSA or RSA), from -----BEGIN to -----END"
        ) from None
    return public.decode()
