"""Secrets at rest: sealed with the server's key, bound to what they are for."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from app.domain.errors import JobyardError

MIN_KEY_BYTES: Final = 16
_CHECK_PURPOSE: Final = "key check"


class SecretKeyError(JobyardError):
    """The key is unusable or not the one the data was sealed with; only the operator can help."""


class SecretBox:
    """Seals with the first of `keys`, opens with any of them, so that a key can be replaced.

    A key is any text of at least `MIN_KEY_BYTES` random bytes. A sealed value is `v1.KEYID.TOKEN`, where the
    token (Fernet: AES-CBC with HMAC) holds the purpose beside the value: moved to a row of another purpose it
    does not open.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys or any(len(key.strip()) < MIN_KEY_BYTES for key in keys):
            raise SecretKeyError(
                f"JOBYARD_SECRET_KEY must be at least {MIN_KEY_BYTES} characters of randomness, "
                "for example the output of `openssl rand -hex 32`."
            )
        self._fernets = {_key_id(key.strip()): _fernet(key.strip()) for key in keys}
        self._current = next(iter(self._fernets))
        self._digest_key = _derived(keys[0].strip(), b"jobyard digests of secrets")

    def __repr__(self) -> str:
        return f"<SecretBox of {len(self._fernets)} keys>"

    def seal(self, value: str, purpose: str) -> str:
        """`value` encrypted for `purpose`, such as `job 17 env TOKEN`; every time another text."""
        token = self._fernets[self._current].encrypt(_wrap(purpose, value))
        return f"v1.{self._current}.{token.decode()}"

    def open(self, sealed: str, purpose: str) -> str:
        """The value sealed for `purpose`; raises `SecretKeyError` if key or purpose is another or `sealed`
        was changed.
        """
        version, _, rest = sealed.partition(".")
        key_id, _, token = rest.partition(".")
        fernet = self._fernets.get(key_id)
        if version != "v1" or fernet is None:
            raise SecretKeyError(
                "A secret was sealed with a key this server does not have; "
                "set JOBYARD_SECRET_KEY to the key that was used then."
            )
        try:
            opened = fernet.decrypt(token.encode())
        except InvalidToken:
            raise SecretKeyError(f"The stored secret for {purpose} is damaged; set it again.") from None
        prefix = _wrap(purpose, "")
        if not opened.startswith(prefix):
            raise SecretKeyError(
                f"The stored secret for {purpose} was sealed for something else; set it again."
            )
        return opened.removeprefix(prefix).decode("utf-8", "surrogatepass")

    def digest(self, value: str, purpose: str) -> str:
        """The same for the same value and purpose, as long as our first key is; says nothing to who lacks the key."""
        return hmac.new(self._digest_key, _wrap(purpose, value), hashlib.sha256).hexdigest()

    def key_check(self) -> str:
        """A token to store with the data, by which `verify` knows this key again."""
        return self.seal("", _CHECK_PURPOSE)

    def verify(self, key_check: str) -> None:
        """Raise `SecretKeyError` unless the data that carries `key_check` was sealed with one of our keys."""
        try:
            self.open(key_check, _CHECK_PURPOSE)
        except SecretKeyError:
            raise SecretKeyError(
                "The secret key is not the one this data was sealed with; "
                "set JOBYARD_SECRET_KEY to the earlier key or restore its key file, and start again."
            ) from None


def load_or_create_key(path: Path) -> bytes:
    """The key in the file at `path`, which is made with a random one and mode 0600 if there is none.

    Of several servers that start at once all get the same key. Raises `SecretKeyError` if the file can't be
    used.
    """
    try:
        if not path.exists():
            _create_key(path)
        key = path.read_bytes().strip()
    except OSError as error:
        raise SecretKeyError(
            f"The key file {path} can't be used ({error.strerror}); "
            "make it readable and writable for the server, or set JOBYARD_SECRET_KEY."
        ) from error
    if len(key) < MIN_KEY_BYTES:
        raise SecretKeyError(
            f"The key file {path} holds no key; restore it from a backup, "
            "or set JOBYARD_SECRET_KEY to the key it held."
        )
    return key


def _create_key(path: Path) -> None:
    """Make the file complete under another name first, then give it its own: nobody ever sees half a key."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600 by contract
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(Fernet.generate_key() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            return  # another server was first; its key is the key
    finally:
        Path(draft).unlink()
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _key_id(key: bytes) -> str:
    return hashlib.sha256(b"jobyard key id\0" + key).hexdigest()[:8]


def _fernet(key: bytes) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(_derived(key, b"jobyard secrets at rest")))


def _derived(key: bytes, use: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=use).derive(key)


def _wrap(purpose: str, value: str) -> bytes:
    # With the length in front no purpose can pass for the beginning of another's value.
    named = purpose.encode()
    return b"%d:%s" % (len(named), named) + value.encode("utf-8", "surrogatepass")
