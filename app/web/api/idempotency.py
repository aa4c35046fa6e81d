"""`Idempotency-Key`: a request that is sent again gets its first answer, and makes nothing more."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Any

from pydantic_core import to_jsonable_python

from app.domain.errors import InvalidValue
from app.store import answers
from app.store.database import Tx
from app.web.api.operations import Call

HEADER = "Idempotency-Key"
PURPOSE = "idempotency"
_KEY = re.compile(r"[\x21-\x7e]{1,255}")


def is_repeated(call: Call[Any, Any], tx: Tx) -> bool:
    """Whether the request was answered before, so that nothing has to be found out for it."""
    key = call.request.headers.get(HEADER)
    return key is not None and answers.is_remembered(tx, _request(call, key))


def _request(call: Call[Any, Any], key: str) -> answers.Request:
    return answers.Request(call.who, call.request.url.path, key)


def once(call: Call[Any, Any], tx: Tx, make: Callable[[], Any]) -> Any:
    """What `make` answers, or answered to the same request before. The caller is already known to have the right."""
    key = call.request.headers.get(HEADER)
    if key is None:
        return to_jsonable_python(make())
    if not _KEY.fullmatch(key):
        raise InvalidValue(HEADER, f"{HEADER} must be 1 to 255 visible ASCII characters.")
    vault = call.yard.vault
    request = _request(call, key)
    fingerprint = hashlib.sha256(call.body.model_dump_json().encode()).hexdigest()
    if answers.reserve(tx, request, vault.seal(fingerprint, PURPOSE), call.yard.clock.now()):
        answer = to_jsonable_python(make())
        answers.remember(tx, request, answer)
        return answer
    first = answers.remembered(tx, request)
    if vault.open(first.fingerprint, PURPOSE) != fingerprint:
        raise InvalidValue(HEADER, f"{HEADER} {key} was used for another request: take a new key.")
    return first.answer
