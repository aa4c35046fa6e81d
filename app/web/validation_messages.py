"""Validation errors as sentences: which field, what would be right, and what was given unless it may be a secret."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from app.domain.errors import InvalidValue

SENTENCE = "sentence"  # the type of an error whose message is whole already
RULE = "rule"  # the type of an error whose message goes on after the field's name
SECRETIVE = frozenset({"env", "webhook_secret", "secret", "value", "password", "token"})
_LONGEST_ECHO = 60
_NAMED = 5  # fields in one sentence

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
_LENGTHS = ("string_too_short", "string_too_long", "too_short", "too_long")


def field_errors(error: ValidationError) -> list[dict[str, str]]:
    """One `{field, message}` for each thing that is wrong."""
    return [_field_error(each) for each in error.errors(include_url=False)]


def as_sentence(error: InvalidValue) -> PydanticCustomError:
    """For validators: an error of the domain, to be reported at the field that is being validated."""
    return PydanticCustomError(SENTENCE, "{said}", {"said": f"{str(error).rstrip('.')}."})


def join_errors(errors: Sequence[Mapping[str, str]]) -> str:
    """The sentence for all of them."""
    first = errors[0]["message"]
    others = list(dict.fromkeys(error["field"] for error in errors[1:]))
    if not others:
        return first
    more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
    return f"{first} Also wrong: {', '.join(others[:_NAMED])}{more}."


def _field_error(error: ErrorDetails) -> dict[str, str]:
    parts = [str(part) for part in error["loc"] if part != "[key]"]
    field = ".".join(parts)
    kind = error["type"]
    if kind == SENTENCE:
        return {"field": field, "message": f"{field}: {error['msg']}"}
    if kind == RULE:
        return {"field": field, "message": f"{field} {error['msg']}."}
    if kind == "extra_forbidden":
        return {"field": field, "message": f"There is no field {field}."}
    if kind == "value_error":
        rule = error["msg"].removeprefix("Value error, ")
    elif _is_empty(error):
        rule = "must not be empty"
    else:
        rule = _RULES[kind].format(**error.get("ctx", {})) if kind in _RULES else f"is wrong ({error['msg']})"
    return {"field": field, "message": f"{field or 'The body'} {rule}{_instead(error, parts)}."}


def _is_empty(error: ErrorDetails) -> bool:
    """Whether anything at all would have been enough."""
    return error["type"] in _LENGTHS and error.get("ctx", {}).get("min_length") == 1


def _instead(error: ErrorDetails, parts: Sequence[str]) -> str:
    """What was given; of what may be a secret no more than its kind."""
    kind, value = error["type"], error["input"]
    if not parts or kind == "missing" or _is_empty(error):
        return ""
    if kind == "value_error" and isinstance(value, dict | list):
        return ""  # it is what it should be, and something in it is not
    if kind in _LENGTHS:
        return f", not {len(value)}"
    is_name = "[key]" in error["loc"]
    if is_name or SECRETIVE.isdisjoint(parts):
        return _given(value)
    return _given(value) if isinstance(value, dict | list | None) else f", not {_KINDS[type(value)]}"


_KINDS = {str: "text", int: "a number", float: "a number", bool: "true or false"}


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
