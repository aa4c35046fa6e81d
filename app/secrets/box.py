"""Secrets at rest: sealed with a key of the ring, bound to the place they are for."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import logging
import secrets
from collections.abc import Callable
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.domain.errors import TransientError
from app.domain.sealing import CURRENT_FORM, FORMER_FORM, Place, written_place
from app.secrets.keys import SecretKeyError
from app.secrets.ring import ANOTHER_KEY, NONCE_BYTES, Ring

log = logging.getLogger(__name__)
CHECK: Final = Place("key check", 0, "installation")


class SecretBox:
    """Seals with the ring's current key and opens with any of them.

    A sealed value is `v2.KEYID.TOKEN.PLACE`: AES-GCM whose associated data is the place, so that it opens nowhere else,
    whoever may have copied it. `v1.KEYID.TOKEN`, of earlier releases, is Fernet and holds its purpose alone. `reload`
    gives the ring as it is stored by now; it is asked when a key is not known, and by `refresh`.
    """

    def __init__(self, ring: Ring, reload: Callable[[], Ring] | None = None) -> None:
        self._ring = ring
        self._reload = reload

    def __repr__(self) -> str:
        return f"<SecretBox of {len(self._ring.keys)} keys>"

    def in_use(self) -> str:
        """Take over what was rotated meanwhile; return the ids of the operator's key and of the one that seals."""
        self.refresh()
        return self._ring.in_use

    def refresh(self) -> None:
        """Take over the keys of a rotation. Those that are known stay in force while the stored can't be had."""
        if self._reload is None:
            return
        try:
            self._ring = self._reload()
        except (SecretKeyError, TransientError) as error:
            log.warning("the keys of secrets stay as they were: %s", error)

    def seal(self, value: str, place: Place) -> str:
        """`value` encrypted for `place`; every time another text."""
        ring, nonce = self._ring, secrets.token_bytes(NONCE_BYTES)
        cipher = AESGCM(ring.keys[ring.current])
        token = nonce + cipher.encrypt(nonce, _encoded(value), str(place).encode())
        text = base64.urlsafe_b64encode(token).decode()
        return f"{CURRENT_FORM}.{ring.current}.{text}.{place}"

    def open(self, sealed: str, place: Place) -> str:
        """The value sealed for `place`; raises `SecretKeyError` if key or place is another or `sealed` was changed."""
        form, _, rest = sealed.partition(".")
        used, _, _ = rest.partition(".")
        if not self._knows(form, used):
            self.refresh()
            if not self._knows(form, used):
                raise SecretKeyError(
                    "A secret was sealed with a key this server does not have; "
                    "set JOBYARD_SECRET_KEY to the key that was used then."
                )
        return self._open_former(sealed, place) if form == FORMER_FORM else self._open_current(sealed, place)

    def _knows(self, form: str, used: str) -> bool:
        return used in {CURRENT_FORM: self._ring.keys, FORMER_FORM: self._ring.former}.get(form, {})

    def _open_current(self, sealed: str, place: Place) -> str:
        used, token = sealed.split(".", 3)[1:3]
        if written_place(sealed) != place:
            raise SecretKeyError(_SEALED_FOR_ELSE.format(place.label))
        try:
            raw = base64.b64decode(token.encode(), altchars=b"-_", validate=True)
            cipher = AESGCM(self._ring.keys[used])
            return _decoded(cipher.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], str(place).encode()))
        except (InvalidTag, ValueError, binascii.Error):
            raise SecretKeyError(_DAMAGED.format(place.label)) from None

    def _open_former(self, sealed: str, place: Place) -> str:
        _, used, token = sealed.split(".", 2)
        try:
            opened = Fernet(base64.urlsafe_b64encode(self._ring.former[used])).decrypt(token.encode())
        except InvalidToken:
            raise SecretKeyError(_DAMAGED.format(place.label)) from None
        prefix = _wrap(place.purpose, "")
        if not opened.startswith(prefix):
            raise SecretKeyError(_SEALED_FOR_ELSE.format(place.label))
        return _decoded(opened.removeprefix(prefix))

    def is_current(self, sealed: str) -> bool:
        """Whether a value is sealed as it would be today: in this form, with this key."""
        return sealed.startswith(f"{CURRENT_FORM}.{self._ring.current}.")

    def reseal(self, sealed: str, place: Place) -> str:
        """A value sealed anew, for the place that it names or, in the former form, for this one.

        Raises SecretKeyError for one that doesn't open there.
        """
        own = written_place(sealed) or place
        return self.seal(self.open(sealed, own), own)

    def digest(self, value: str, purpose: str) -> str:
        """The same for the same value and purpose, for good; says nothing to who lacks the key."""
        return hmac.new(self._ring.digest_key, _wrap(purpose, value), hashlib.sha256).hexdigest()

    def key_check(self) -> str:
        """A token to store with the data, by which `verify` knows this key again."""
        return self.seal("", CHECK)

    def verify(self, key_check: str) -> None:
        """Raise `SecretKeyError` unless the data that carries `key_check` was sealed with one of our keys."""
        try:
            self.open(key_check, CHECK)
        except SecretKeyError:
            raise SecretKeyError(ANOTHER_KEY) from None


_DAMAGED = "The stored secret for {} is damaged; set it again."
_SEALED_FOR_ELSE = "The stored secret for {} was sealed for something else; set it again."


def _wrap(purpose: str, value: str) -> bytes:
    # With the length in front no purpose can pass for the beginning of another's value.
    named = purpose.encode()
    return b"%d:%s" % (len(named), named) + _encoded(value)


def _encoded(value: str) -> bytes:
    return value.encode("utf-8", "surrogatepass")


def _decoded(value: bytes) -> str:
    return value.decode("utf-8", "surrogatepass")
