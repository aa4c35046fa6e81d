"""The API's reference in the guide: the OpenAPI description in words and tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from app.domain.documents import Json
from app.web.api.openapi import describe
from app.web.api.operations import PREFIX, Operation
from app.web.guide import Reference, table

DEEPEST = 3  # levels of fields in fields


def api_reference(operations: Sequence[Operation]) -> Reference:
    return Reference(lambda: _write(describe(operations)), lambda: _outline(operations))


def _write(document: Json) -> str:
    by_tag: dict[str, list[str]] = {}
    for path, methods in document["paths"].items():
        for method, entry in methods.items():
            text = _entry(f"{method.upper()} {path.removeprefix(PREFIX)}", entry, document)
            by_tag.setdefault(entry["tags"][0], []).append(text)
    return "\n\n".join(f"## {_title(tag)}\n\n" + "\n\n".join(texts) for tag, texts in by_tag.items())


def _title(tag: str) -> str:
    return tag.replace("-", " ").capitalize()


def _outline(operations: Iterable[Operation]) -> str:
    return "\n\n".join(f"### {each.method} {each.path}\n\n{each.summary}." for each in operations)


def _entry(heading: str, entry: Json, document: Json) -> str:
    parts = [f"### {heading}", f"{entry['summary'].rstrip('.')}. {entry['description']}"]
    rows = [
        (f"`{each['name']}`", each["in"], _kind(each["schema"], document), each["description"])
        for each in entry.get("parameters", [])
        if each["in"] != "path"
    ]
    body = entry.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    rows += [(f"`{name}`", "body", kind, text) for name, (kind, text) in _fields(body, document).items()]
    if rows:
        parts.append(table(("name", "in", "is", "what"), rows))
    return "\n\n".join(parts)


def _fields(
    schema: Json | None, document: Json, prefix: str = "", level: int = 1
) -> dict[str, tuple[str, str]]:
    """Each field of a body with its type and description, and those of objects in it down to `DEEPEST`.

    A field that several kinds of an object have, such as `type`, is there once, with what it is in all of them.
    """
    found: dict[str, tuple[str, str]] = {}
    for name, each in _resolved(schema or {}, document).get("properties", {}).items():
        path, kind, text = f"{prefix}{name}", _kind(each, document), str(each.get("description", ""))
        found[path] = (kind, text)
        if level < DEEPEST:
            inside = f"{path}[]." if "items" in each else f"{path}."
            for choice in _choices(each.get("items", each)):
                for below, (its_kind, its_text) in _fields(choice, document, inside, level + 1).items():
                    known = found.get(below, ("", ""))[0]
                    kinds = dict.fromkeys(filter(None, (*known.split(" or "), its_kind)))
                    found[below] = (" or ".join(kinds), its_text)
    return found


def _choices(schema: Json) -> Sequence[Json]:
    choices: Sequence[Json] = schema.get("anyOf") or schema.get("oneOf") or [schema]
    return [below for each in choices for below in ([each] if each is schema else _choices(each))]


def _kind(schema: Json, document: Json) -> str:
    """The type in a word or a few; an enumeration by its values."""
    schema = _resolved(schema, document)
    if "enum" in schema:
        return ", ".join(f"`{each}`" for each in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        kinds = dict.fromkeys(_kind(each, document) for each in choices)
        return " or ".join(kinds)
    kind = str(schema.get("type", "any"))
    return f"{kind} of {_kind(schema['items'], document)}" if kind == "array" and "items" in schema else kind


def _resolved(schema: Json, document: Json) -> Json:
    if "$ref" not in schema:
        return schema
    found: Json = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return found
