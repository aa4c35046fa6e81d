"""The ring: the keys that values are sealed with, itself sealed with the operator's key.

Values are sealed with a key of the ring, never with the operator's. So a rotation seals the ring with two operator's
keys for as long as some server has only the first, and no server has to be told both. The ring of an installation that
never rotated follows from its operator's key and is stored nowhere.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.secrets.keys import SecretKeyError, derived, key_id, required_key

NONCE_BYTES = 12
ANOTHER_KEY = (
    "The secret key is not the one this data was sealed with; "
    "set JOBYARD_SECRET_KEY to the earlier key or restore its key file, and start again."
)


@dataclass(frozen=True)
class Ring:
    """Keys by their ids. `current` seals, all of them open; `former` open what was sealed before there were rings.

    `digest_key` stays for good: what is made with it names images and caches. `opener` is the id of the operator's key
    that it was opened with.
    """

    opener: str
    current: str
    keys: Mapping[str, bytes] = field(repr=False)
    former: Mapping[str, bytes] = field(repr=False)
    digest_key: bytes = field(repr=False)

    @property
    def in_use(self) -> str:
        """The ids of the operator's key and of the key that seals."""
        return f"{self.opener} {self.current}"

    def of_two(self) -> Ring:
        """The ring when nothing is sealed with other keys than the current any more.

        The one before it stays until the next rotation, for what a server was sealing just then.
        """
        kept = dict(list(self.keys.items())[:2])  # the newest are first
        return replace(self, keys=kept, former={})


def first_ring(key: bytes) -> Ring:
    """The ring of an installation that never rotated its key. Raises SecretKeyError for a weak key."""
    key = required_key(key)
    data_key = derived(key, b"jobyard first key of the ring")
    return Ring(
        opener=key_id(key),
        current=key_id(data_key),
        keys={key_id(data_key): data_key},
        former={key_id(key): derived(key, b"jobyard secrets at rest")},
        digest_key=derived(key, b"jobyard digests of secrets"),
    )


def next_ring(ring: Ring) -> Ring:
    """The ring with a new key that seals from now on."""
    data_key = secrets.token_bytes(32)
    keys = {key_id(data_key): data_key, **ring.keys}
    return replace(ring, current=key_id(data_key), keys=keys)


def seal_ring(ring: Ring, keys: Iterable[bytes]) -> str:
    """The ring as it is stored: once for each of the operator's keys, any of which opens it."""
    content = {
        "current": ring.current,
        "keys": _as_text(ring.keys),
        "former": _as_text(ring.former),
        "digest_key": _as_text({"": ring.digest_key})[""],
    }
    return json.dumps(
        {key_id(key): _sealed(key, json.dumps(content).encode()) for key in map(required_key, keys)}
    )


def open_ring(stored: str, key: bytes) -> Ring:
    """The stored ring. Raises SecretKeyError for a key that it was not sealed with."""
    key = required_key(key)
    token = json.loads(stored).get(key_id(key))
    if token is None:
        raise SecretKeyError(ANOTHER_KEY)
    raw = base64.urlsafe_b64decode(token)
    try:
        content = json.loads(_cipher(key).decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], key_id(key).encode()))
    except InvalidTag:
        raise SecretKeyError(ANOTHER_KEY) from None
    return Ring(
        key_id(key),
        content["current"],
        _from_text(content["keys"]),
        _from_text(content["former"]),
        _from_text({"": content["digest_key"]})[""],
    )


def openers(stored: str) -> tuple[str, ...]:
    """The ids of the operator's keys that open a stored ring, the newest last."""
    return tuple(json.loads(stored))


def _sealed(key: bytes, content: bytes) -> str:
    nonce = secrets.token_bytes(NONCE_BYTES)
    token = nonce + _cipher(key).encrypt(nonce, content, key_id(key).encode())
    return base64.urlsafe_b64encode(token).decode()


def _cipher(key: bytes) -> AESGCM:
    return AESGCM(derived(key, b"jobyard key ring"))


def _as_text(keys: Mapping[str, bytes]) -> dict[str, str]:
    return {name: base64.urlsafe_b64encode(key).decode() for name, key in keys.items()}


def _from_text(texts: Mapping[str, str]) -> dict[str, bytes]:
    return {name: base64.urlsafe_b64decode(text) for name, text in texts.items()}
