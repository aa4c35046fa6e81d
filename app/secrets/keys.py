"""The operator's key: a text that only the operator has, in a file, a variable or behind a command."""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from app.domain.errors import JobyardError

MIN_KEY_BYTES: Final = 16
COMMAND_SECONDS: Final = 30.0


class SecretKeyError(JobyardError):
    """The key is unusable or not the one the data was sealed with; only the operator can help."""


def required_key(key: bytes) -> bytes:
    """The key without white space around it. Raises SecretKeyError for one that is too short."""
    stripped = key.strip()
    if len(stripped) < MIN_KEY_BYTES:
        raise SecretKeyError(
            f"JOBYARD_SECRET_KEY must be at least {MIN_KEY_BYTES} characters of randomness, "
            "for example the output of `openssl rand -hex 32`."
        )
    return stripped


def key_id(key: bytes) -> str:
    """Eight characters that tell one key from others, and say nothing else about it."""
    return hashlib.sha256(b"jobyard key id\0" + key).hexdigest()[:8]


def derived(key: bytes, use: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=use).derive(key)


def key_of_command(command: str) -> bytes:
    """The key that a command prints, which is called without a shell and has 30 s. Raises SecretKeyError.

    What it writes is repeated nowhere: it may be the key.
    """
    what = "The command of JOBYARD_SECRET_KEY_COMMAND"
    try:
        arguments = shlex.split(command) or [""]
        done = subprocess.run(arguments, capture_output=True, timeout=COMMAND_SECONDS, check=False)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise SecretKeyError(f"{what} can't be called: {reason}.") from None
    except subprocess.TimeoutExpired:
        raise SecretKeyError(f"{what} gave no key within {COMMAND_SECONDS:.0f} s.") from None
    if done.returncode != 0:
        raise SecretKeyError(f"{what} ended with status {done.returncode}: call it by hand to see why.")
    if len(done.stdout.strip()) < MIN_KEY_BYTES:
        raise SecretKeyError(f"{what} printed no key: it has to print at least {MIN_KEY_BYTES} characters.")
    return done.stdout.strip()


def load_or_create_key(path: Path) -> bytes:
    """The key in the file at `path`, which is made with a random one and mode 0600 if there is none.

    Of several servers that start at once all get the same key. Raises `SecretKeyError` if the file can't be
    used.
    """
    try:
        if not path.exists():
            make_key_file(path)
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


def make_key_file(path: Path, key: bytes | None = None) -> None:
    """Write a key, by default a random one, to a file with mode 0600; one that is there already stays. Raises OSError.

    It is complete under another name first and then gets its own: nobody ever sees half a key.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600 by contract
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write((key or base64.urlsafe_b64encode(secrets.token_bytes(32))) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            return  # another server was first; its key is the key
    finally:
        Path(draft).unlink()
    sync_directory(path.parent)


def replace_key_file(path: Path, new: Path) -> Path:
    """Put the key file `new` in the place of `path`; return where the old one is now. Raises OSError.

    It may be repeated after it was interrupted.
    """
    kept = path.with_name(f"{path.name}.{key_id(path.read_bytes().strip())}")
    if not kept.exists():
        os.link(path, kept)
    new.rename(path)
    sync_directory(path.parent)
    return kept


def sync_directory(path: Path) -> None:
    """Make sure that names which were given or taken in a directory outlive a loss of power."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
