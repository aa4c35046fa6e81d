"""Sealed values in tests: as earlier releases made them, and opened wherever they belong."""

from __future__ import annotations

import base64

from cryptography.fernet import Fernet

from app.domain.sealing import written_place
from app.secrets import SecretBox
from app.secrets.keys import derived, key_id


def unsealed(box: SecretBox, sealed: str) -> str:
    """The value, at the place that it names."""
    place = written_place(sealed)
    assert place is not None
    return box.open(sealed, place)


def sealed_before(key: bytes, value: str, purpose: str) -> str:
    """A value as releases before places sealed it."""
    fernet = Fernet(base64.urlsafe_b64encode(derived(key, b"jobyard secrets at rest")))
    wrapped = b"%d:%s%s" % (len(purpose.encode()), purpose.encode(), value.encode())
    return f"v1.{key_id(key)}.{fernet.encrypt(wrapped).decode()}"
