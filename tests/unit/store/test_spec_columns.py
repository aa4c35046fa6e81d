"""Columns of specifications: what repeats is read once, where the database gives texts."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy.dialects import postgresql, sqlite

from app.store.schema.specs import LONGEST, Spec


def test_a_text_that_was_read_lately_is_not_read_again() -> None:
    read: list[Any] = []

    def decode(value: Any) -> Any:
        read.append(value)
        return (value["name"],)

    value_of = Spec(dict, decode).result_processor(sqlite.dialect(), None)
    assert value_of is not None
    assert value_of('{"name": "a"}') is value_of('{"name": "a"}')
    assert value_of('{"name": "b"}') == ("b",)
    assert [each["name"] for each in read] == ["a", "b"]
    long = json.dumps({"name": "c" * LONGEST})  # these are few, and would take the memory of many
    assert value_of(long) == value_of(long)
    assert len(read) == 4
    assert value_of(None) is None


def test_what_a_driver_has_read_itself_is_decoded() -> None:
    column = Spec(dict, lambda value: (value["name"],))
    assert column.process_result_value({"name": "a"}, postgresql.dialect()) == ("a",)
    assert column.process_result_value(None, postgresql.dialect()) is None
