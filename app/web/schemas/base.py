"""What all requests and answers have in common."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from app.web.numbers import LARGEST

Item = TypeVar("Item")


class Model(BaseModel):
    """A request or answer: unknown fields are refused by name, and no error repeats what was given.

    What checks it is made when it is first needed: all of them are 2 MB, and a fifth of a second at the start.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, defer_build=True)


def with_example(example: dict[str, Any], *rules: dict[str, Any]) -> ConfigDict:
    """The `model_config` of a form: its example is shown in the description, and tests send it.

    `rules` are schemas that the whole has to match as well.
    """
    return ConfigDict(json_schema_extra={"examples": [example], **({"allOf": [*rules]} if rules else {})})


def one_of(*names: str, at_most: bool = False) -> dict[str, Any]:
    """The schema of an object that has one of these fields, each of which may be null as well. For `allOf`: next to the
    fields it would make a union of the object for generators of clients.
    """
    choices = [{"required": [name], "properties": {name: {"not": {"type": "null"}}}} for name in names]
    none = {"properties": {name: {"type": "null"} for name in names}}
    return {"oneOf": [*choices, *([none] if at_most else [])]}


class Empty(Model):
    """No fields."""


class Paging(Model):
    limit: int = Field(default=50, ge=1, le=100, description="items a page")
    cursor: int | None = Field(default=None, ge=1, le=LARGEST, description="`next` of the page before")


class Confirm(Model):
    """Asked for by whatever deletes: without it the answer says what to add."""

    model_config = ConfigDict(json_schema_extra={"required": ["confirm"]})

    confirm: str | None = Field(default=None, description="the name of what is deleted, once more")


class Page(Model, Generic[Item]):
    """A list, newest first; `next` is the cursor of the following page, or null on the last."""

    items: list[Item]
    next: int | None
