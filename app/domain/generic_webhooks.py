"""Webhooks of whatever calls with JSON: where in it is said what was pushed, and how the caller proves itself."""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from app.domain.documents import Json, Stored

POINTER = re.compile(r"(?:/(?:[^~/]|~[01])*){1,20}")
HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")


class Proof(enum.StrEnum):
    HMAC = "hmac"  # the HMAC-SHA-256 of the body by the webhook secret, in hexadecimal digits, after sha256= or not
    TOKEN = "token"  # noqa: S105 - the webhook secret itself, after Bearer or not


@dataclass(frozen=True, slots=True)
class GenericWebhook:
    """A project's. `id` is a part of its address; the rest are JSON Pointers (RFC 6901) into the body of a call.

    `repository` may as well be an address, where the body doesn't tell any; `before` None means that it isn't told.
    """

    id: str
    proof: Proof = Proof.HMAC
    header: str = "X-Signature"
    ref: str = "/ref"
    sha: str = "/after"
    before: str | None = None
    repository: str = "/repository/clone_url"

    @property
    def names_repository(self) -> bool:
        """Whether `repository` is an address itself."""
        return not self.repository.startswith("/")


def webhook_to_json(webhook: GenericWebhook) -> Json:
    return asdict(webhook)


def webhook_from_json(stored: Stored | None) -> GenericWebhook | None:
    return None if stored is None else GenericWebhook(**{**stored, "proof": Proof(stored["proof"])})


def pointed_at(document: object, pointer: str) -> object:
    """Return what a JSON Pointer leads to; None where there is nothing."""
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(document, dict):
            document = document.get(name)
        elif isinstance(document, Sequence) and not isinstance(document, str) and _is_index(name, document):
            document = document[int(name)]
        else:
            return None
    return document


def _is_index(name: str, items: Sequence[object]) -> bool:
    return name.isascii() and name.isdecimal() and len(name) < 9 and int(name) < len(items)
