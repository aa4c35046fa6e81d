"""Validation errors as sentences: which field, what would be right, and what was given unless it may be a secret."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from app.domain.errors import InvalidValue

SENTENCE = "sentence"  # the type of an error whose message is whole already
SECRETIVE = frozenset({"env", "webhook_secret", "secret", "value", "password", "token"})
_LONGEST_ECHO = 60

_RULES: Mapping[str, str] = {
    "missing": "is missing",
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "too_short": "must have at least {min_length} items",
    "too_long": "must have at most {max_length} items",
    "datetime_from_date_parsing": "must be a time such as 2026-01-31T12:00:00Z",
    "datetime_parsing": "must be a time such as 2026-01-31T12:00:00Z",
    "datetime_type": "must be a time such as 2026-01-31T12:00:00Z",
    "timezone_aware": "must say its zone, such as 2026-01-31T12:00:00Z",
}
_BARE = ("missing", "string_too_short", "string_too_long", "too_short", "too_long")


def field_errors(error: ValidationError) -> list[dict[str, str]]:
    """One `{field, message}` for each thing that is wrong."""
    return [_field_error(each) for each in error.errors(include_url=False)]


def as_sentence(error: InvalidValue) -> PydanticCustomError:
    """For validators: an error of the domain, to be reported at the field that is being validated."""
    return PydanticCustomError(SENTENCE, "{said}", {"said": f"{str(error).rstrip('.')}."})


def join_errors(errors: Sequence[Mapping[str, str]]) -> str:
    """The sentence for all of them."""
    first = errors[0]["message"]
    return first if len(errors) == 1 else f"{first} There is more: {len(errors) - 1} other fields are wrong."


def _field_error(error: ErrorDetails) -> dict[str, str]:
    parts = [str(part) for part in error["loc"] if part != "[key]"]
    field = ".".join(parts)
    kind = error["type"]
    if kind == SENTENCE:
        return {"field": field, "message": f"{field}: {error['msg']}"}
    if kind == "extra_forbidden":
        return {"field": field, "message": f"There is no field {field}."}
    if kind == "value_error":
        rule = error["msg"].removeprefix("Value error, ")
    else:
        rule = _RULES[kind].format(**error.get("ctx", {})) if kind in _RULES else f"is wrong ({error['msg']})"
    is_name = "[key]" in error["loc"]
    hidden = not parts or kind in _BARE or (not is_name and not SECRETIVE.isdisjoint(parts))
    return {
        "field": field,
        "message": f"{field or 'The body'} {rule}{'' if hidden else _given(error['input'])}.",
    }


def _given(value: Any) -> str:
    match value:
        case None:
            return ", not null"
        case bool():
            return f", not {str(value).lower()}"
        case str() | int() | float() if len(str(value)) <= _LONGEST_ECHO:
            return f", not {value!r}"
        case dict():
            return ", not an object"
        case list():
            return ", not a list"
        case _:
            return ""
