"""Sealed values in tests: as earlier releases made them, and opened wherever they belong."""

from __future__ import annotations

import base64
from typing import Any

from cryptography.fernet import Fernet

from app.commands.key_rotation import KEY_RING, Resealed, begin, finish, openers_now, reseal_all
from app.domain.sealing import written_place
from app.secrets import SecretBox, first_ring, key_id, open_ring
from app.secrets.keys import derived
from app.store import facts
from app.store.database import Database


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


def box_of(db: Database, key: bytes) -> SecretBox:
    """As a server with this key opens the data."""

    def ring() -> Any:
        with db.read() as tx:
            stored = facts.read(tx, KEY_RING)
        return first_ring(key) if stored is None else open_ring(stored, key)

    return SecretBox(ring(), ring)


def rotate(db: Database, old: bytes, new: bytes) -> Resealed:
    """Another key for all of it, as the command does it; it goes on where it was interrupted."""
    if openers_now(db)[-1:] != (key_id(new),):
        begin(db, old, new)
    box = box_of(db, new)
    done = reseal_all(db, box)
    finish(db, box, new)
    return done
