"""Unions whose members a field tells apart, such as nodes by their `type`: what is wrong is said at the field given.

Pydantic's discriminator chooses the member and describes the union in OpenAPI, but puts the tag into the places of
errors, and says of another member's field only that there is no such field. `told_by` puts both right.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError, core_schema

from app.web.validation_messages import RULE

_KNOWN_TYPES = frozenset(get_args(core_schema.ErrorType))
Line = InitErrorDetails


def told_by(tag: str, what: str, *members: type[BaseModel]) -> WrapValidator:
    """For a union with `Field(discriminator=tag)`; `what` is how a member is called, such as `a node of type`.

    A null for a field of another member counts as left out.
    """
    by_tag = {str(value): names_of(each) for each in members for value in _literals(each, tag)}
    known = frozenset[str]().union(*by_tag.values())
    common = known.intersection(*by_tag.values())

    def validate(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        chosen = str(value.get(tag)) if isinstance(value, dict) else ""
        if chosen in by_tag:
            value = without_nulls(value, known - by_tag[chosen])

        def line_of(error: ErrorDetails) -> Line:
            match error["type"], error["loc"]:
                case "union_tag_not_found", _:
                    return rule(error, (tag,), f"is missing: it is one of {', '.join(by_tag)}")
                case "union_tag_invalid", _:
                    *others, last = map(repr, by_tag)
                    expected = f"{', '.join(others)} or {last}"
                    return Line(type="enum", loc=(tag,), input=value[tag], ctx={"expected": expected})
                case "missing", (_, str(name)) if name not in common:
                    return rule(error, (name,), f"is missing: {what} {chosen} needs it")
                case "extra_forbidden", (_, str(name)) if name in known:
                    return rule(error, (name,), f"is not for {what} {chosen}: leave it out")
                case _, loc:
                    return same(error, loc[1:])

        return translated(handler, value, line_of)

    return WrapValidator(validate)


def names_of(model: type[BaseModel]) -> frozenset[str]:
    """What the model's fields are called in JSON."""
    return frozenset(field.alias or name for name, field in model.model_fields.items())


def without_nulls(value: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    return {name: given for name, given in value.items() if given is not None or name not in names}


def translated(
    handler: ValidatorFunctionWrapHandler, value: Any, line_of: Callable[[ErrorDetails], Line]
) -> Any:
    """What the handler makes of the value; each error of it as `line_of` puts it."""
    try:
        return handler(value)
    except ValidationError as error:
        lines = [line_of(each) for each in error.errors(include_url=False)]
        raise ValidationError.from_exception_data(error.title, lines, hide_input=True) from None


def rule(error: ErrorDetails, loc: Sequence[int | str], text: str) -> Line:
    """An error that says in `text`, which goes on after the field's name, what would be right."""
    return Line(
        type=PydanticCustomError(RULE, "{said}", {"said": text}), loc=tuple(loc), input=error["input"]
    )


def same(error: ErrorDetails, loc: Sequence[int | str]) -> Line:
    """The error at another place."""
    type_: str | PydanticCustomError = error["type"]
    if error["type"] not in _KNOWN_TYPES:
        type_ = PydanticCustomError(error["type"], "{said}", {"said": error["msg"]})
    return Line(type=type_, loc=tuple(loc), input=error["input"], ctx=error.get("ctx", {}))


def _literals(model: type[BaseModel], tag: str) -> Sequence[Any]:
    field = next(each for name, each in model.model_fields.items() if tag in (name, each.alias))
    arguments: Sequence[Any] = get_args(field.annotation)
    return arguments
