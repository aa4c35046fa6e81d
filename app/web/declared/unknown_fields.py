"""What somebody probably meant by a field that there isn't."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from pydantic import BaseModel

from app.web.declared.documents import suggestion
from app.web.declared.kinds import Kind
from app.web.schemas.project import ProjectPatch

UNKNOWN = "There is no field "


def with_suggestions(sentence: str, field: str, kind: Kind | None) -> str:
    """The sentence, with the closest field that a thing of this kind has where it says that there is no such field."""
    return with_hint(sentence, field, ProjectPatch if kind is None else kind.form)


def with_hint(sentence: str, field: str, form: type[BaseModel]) -> str:
    """The same for a form."""
    if not sentence.startswith(UNKNOWN):
        return sentence
    hint = suggestion(field.rpartition(".")[2], _fields_of(form))
    return sentence.removesuffix(".") + hint


@cache
def _fields_of(form: type[BaseModel]) -> list[str]:
    """The names of all fields of a form, of whatever is in it too."""
    return sorted(set(_names(form.model_json_schema())))


def _names(schema: Any) -> Iterator[str]:
    match schema:
        case dict():
            properties = schema.get("properties")
            if isinstance(properties, dict):
                yield from properties
            for each in schema.values():
                yield from _names(each)
        case list():
            for each in schema:
                yield from _names(each)
