"""`Idempotency-Key`: a request that is sent again gets its first answer, and makes nothing more."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from typing import Any

from pydantic_core import to_jsonable_python

from app.domain.errors import InvalidValue
from app.domain.sealing import FORMER_FORM, Place
from app.store import idempotency_keys
from app.store.database import Tx
from app.web.api.operations import ApiContext

HEADER = "Idempotency-Key"
PURPOSE = "idempotency"
_KEY = re.compile(r"[\x21-\x7e]{1,255}")


def is_repeated(ctx: ApiContext[Any, Any], tx: Tx) -> bool:
    """Whether the request was answered before, so that nothing has to be found out for it."""
    key = ctx.request.headers.get(HEADER)
    return key is not None and idempotency_keys.is_remembered(tx, _request(ctx, key))


def _request(ctx: ApiContext[Any, Any], key: str) -> idempotency_keys.KeyedRequest:
    user_id = ctx.principal.user_id
    whose = (
        ctx.principal.name if user_id is None else f"user {user_id}"
    )  # no token is called so: its name has no space
    return idempotency_keys.KeyedRequest(whose, ctx.request.url.path, key)


def once(ctx: ApiContext[Any, Any], tx: Tx, make: Callable[[], Any]) -> Any:
    """What `make` answers, or answered to the same request before. The caller is already known to have the right."""
    key = ctx.request.headers.get(HEADER)
    if key is None:
        return to_jsonable_python(make())
    if not _KEY.fullmatch(key):
        raise InvalidValue(HEADER, f"{HEADER} must be 1 to 255 visible ASCII characters.")
    request = _request(ctx, key)
    fingerprint = ctx.server.vault.digest(ctx.body.model_dump_json(), PURPOSE)
    if idempotency_keys.reserve(tx, request, fingerprint, ctx.now):
        answer = to_jsonable_python(make())
        idempotency_keys.remember(tx, request, answer)
        return answer
    first = idempotency_keys.remembered(tx, request)
    if not _is_of(ctx, first.fingerprint, fingerprint):
        raise InvalidValue(HEADER, f"{HEADER} {key} was used for another request: take a new key.")
    return first.answer


def _is_of(ctx: ApiContext[Any, Any], stored: str, fingerprint: str) -> bool:
    """Whether the first request was this one; what earlier releases stored is a sealed hash of its body."""
    if not stored.startswith(f"{FORMER_FORM}."):
        return hmac.compare_digest(stored, fingerprint)
    body = ctx.body.model_dump_json().encode()
    return ctx.server.vault.open(stored, Place(PURPOSE, 0, "")) == hashlib.sha256(body).hexdigest()
