"""What the schemas are called in the description, for programs that are made from it: no name of a module is in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

REF = "#/components/schemas/{model}"
_PAGE = re.compile(r"Page_(\w+)_")
_PREFIX = REF.format(model="")


def public_name(name: str) -> str:
    """Return what a schema is called that Pydantic names so.

    A list of jobs, `Page_JobAnswer_`, is a `JobAnswerPage`. Where several models have a name, Pydantic puts the whole
    module before each: here the last part of it is enough, as in `PlanStageAnswer`. What a model is as it is sent is
    called by its own name, and by that and Output as it is answered.
    """
    if paged := _PAGE.fullmatch(name):
        return f"{public_name(paged[1])}Page"
    name = name.removesuffix("-Input").replace("-Output", "Output")
    *modules, own = name.split("__")
    return "".join(part.capitalize() for part in modules[-1:]) + own


def renamed(schema: Any, names: Mapping[str, str]) -> Any:
    """Return the schema with each reference in it to the public name."""
    if isinstance(schema, list):
        return [renamed(each, names) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: _value(key, value, names) for key, value in _with_names(schema).items()}


def _with_names(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """An object whose keys match a pattern: as other keys are refused, the pattern is one of `propertyNames`."""
    match schema.get("patternProperties"):
        case {**patterns} if len(patterns) == 1:
            ((pattern, value),) = patterns.items()
            rest = {key: each for key, each in schema.items() if key != "patternProperties"}
            names = {**rest.get("propertyNames", {}), "pattern": pattern}
            return {**rest, "additionalProperties": value, "propertyNames": names}
        case _:
            return schema


def _value(key: str, value: Any, names: Mapping[str, str]) -> Any:
    if key == "$ref":
        return _PREFIX + names[value.removeprefix(_PREFIX)]
    if key == "mapping":  # of a discriminator
        return {tag: _PREFIX + names[ref.removeprefix(_PREFIX)] for tag, ref in value.items()}
    return renamed(value, names)
