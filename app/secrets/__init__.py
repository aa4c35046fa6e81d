"""Secrets at rest: what seals them, and the operator's key that opens what seals them."""

from app.secrets.box import SecretBox
from app.secrets.keys import (
    SecretKeyError,
    key_id,
    key_of_command,
    load_or_create_key,
    make_key_file,
    replace_key_file,
    required_key,
)
from app.secrets.ring import Ring, first_ring, next_ring, open_ring, openers, seal_ring

__all__ = [
    "Ring",
    "SecretBox",
    "SecretKeyError",
    "first_ring",
    "key_id",
    "key_of_command",
    "load_or_create_key",
    "make_key_file",
    "next_ring",
    "open_ring",
    "openers",
    "replace_key_file",
    "required_key",
    "seal_ring",
]
