"""The bodies of webhook calls: JSON, or a form that has it in a field."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs, unquote_to_bytes

from pydantic_core import from_json

from app.forges.base import single_header
from app.web.problems import Problem

FORM_TYPE, FORM_BEGINS, FORM_FIELDS = b"application/x-www-form-urlencoded", b"payload=", 10


def plain(body: bytes) -> bytes:
    """A body that nobody has verified yet, so that what it names can be read in it."""
    return unquote_to_bytes(body.replace(b"+", b" ")) if body.startswith(FORM_BEGINS) else body


def without_form(body: bytes, headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    """The JSON of a body that came as a form with the field `payload`; any other body as it is."""
    if body.startswith(b"{"):
        return body
    kind = (single_header(headers, b"content-type") or b"").partition(b";")[0].strip().lower()
    if kind != FORM_TYPE and not body.startswith(FORM_BEGINS):
        return body
    try:
        fields = parse_qs(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=FORM_FIELDS)
    except ValueError as error:
        raise Problem(400, "The form can't be read: it is not UTF-8, or has too many fields.") from error
    if len(fields.get("payload", ())) != 1:
        raise Problem(400, "A form must have the field payload, once, with the event as JSON.")
    return fields["payload"][0].encode()


def parse(body: bytes) -> Any:
    try:
        return from_json(body)
    except ValueError as error:
        raise Problem(
            400, "The body is not JSON: set the webhook's content type to application/json."
        ) from error
