"""Bodies and queries into models. JSON types are taken strictly: `"5"` is no number, and 1 is not true."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from app.domain.errors import InvalidValue
from app.web.form_rules import FormRules
from app.web.problems import Problem

EXACT = 2**53  # below it each whole number is a floating-point number of its own
BODY_LIMIT = 1024 * 1024
M = TypeVar("M", bound=BaseModel)


def read_model(model: type[M], body: bytes, rules: FormRules) -> M:
    """The body as the model; no body is an empty object. Raises a Problem (400), InvalidValue or ValidationError."""
    value = _json_object(body)
    for path, text in _texts(value, ""):
        if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
            path = path.encode("utf-8", "replace").decode()
            raise InvalidValue(
                path, f"{path} has a character that no text may have (NUL or half a surrogate)."
            )
    return read_value(model, value, rules)


def read_value(model: type[M], value: Any, rules: FormRules) -> M:
    """A JSON value as the model; validators find the rules in their context."""
    try:
        return model.model_validate_json(json.dumps(value), strict=True, context=rules)
    except ValidationError as error:
        if any(each["type"] == "json_invalid" for each in error.errors(include_input=False)):
            raise Problem(
                400, "The body is not JSON that Jobyard can read: it has a number that is too big."
            ) from None
        raise


def read_query(model: type[M], items: Sequence[tuple[str, str]]) -> M:
    """Query parameters as the model; each may be given once."""
    given: dict[str, str] = {}
    for name, value in items:
        if name in given:
            raise InvalidValue(name, f"{name} is given twice.")
        given[name] = value
    return model.model_validate(given)


def _number(text: str) -> float | int:
    """Read `4.0` as 4, a whole number to JSON Schema and to programs that know floating-point numbers alone."""
    value = float(text)
    return int(value) if value.is_integer() and abs(value) < EXACT else value


def _json_object(body: bytes) -> Any:
    if not body.strip():
        return {}
    try:
        value = json.loads(body, parse_float=_number)
    except (ValueError, RecursionError) as error:
        raise Problem(400, "The body is not JSON.") from error
    if not isinstance(value, dict):
        raise Problem(400, "The body must be a JSON object.")
    return value


def _texts(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Every text in a JSON value, keys included, with the field it belongs to."""
    match value:
        case str():
            yield path, value
        case list():
            for number, item in enumerate(value):
                yield from _texts(item, f"{path}.{number}" if path else str(number))
        case dict():
            for name, item in value.items():
                below = f"{path}.{name}" if path else name
                yield path or "body", name
                yield from _texts(item, below)
