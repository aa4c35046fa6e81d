"""The OpenAPI 3.1 description, made of the operations and their models; nothing in it is kept by hand."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from http import HTTPStatus
from typing import Any, Literal

from pydantic import BaseModel, Field, TypeAdapter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.domain.documents import Json
from app.web.api import badges
from app.web.api.idempotency import HEADER
from app.web.api.openapi_names import REF, public_name, renamed
from app.web.api.operations import PREFIX, Operation
from app.web.problems import MEDIA_TYPE
from app.web.schemas.base import Empty, Model

FORMATS = {
    "git-url": "an address that `git clone` takes",
    "web-url": "one of the web",
    "command": "as a shell would split it",
    "cron": "five fields, or one such as @daily",
    "time-zone": "a name of the IANA",
    "path-pattern": "as in an ignore file",
    "ssh-host-key": "as ssh-keyscan prints it",
    "rsa-private-key": "as PEM",
    "secret-path": "below a directory",
    "pointer-or-url": "a JSON Pointer or an address",
    "user-name": "printable",
    "email-or-empty": "an address, or empty for none",
}
ABOUT = (
    "Times are RFC 3339 in UTC. No text has a NUL or half a surrogate. Formats with names of ours: "
    + "; ".join(f"`{name}`, {text}" for name, text in FORMATS.items())
    + ". What has to do with what is stored, or with several fields, is checked beside that."
)
Mode = Literal["validation", "serialization"]
ERRORS = {
    400: "The body can't be read.",
    401: "There is no valid token.",
    403: "The token's role is not enough.",
    404: "There is no such thing, or not for this token.",
    409: "It is not in a state that allows this.",
    413: "The body is too big.",
    422: "A value can't be accepted; `errors` names the fields.",
    503: "Something that Jobyard depends on does not answer.",
}


class FieldError(Model):
    field: str
    message: str


class ProblemAnswer(Model):
    """Every error: RFC 9457."""

    type: str
    title: str
    status: int
    detail: str = Field(description="one sentence")
    errors: list[FieldError] | None = None
    request_id: str | None = Field(
        default=None, description="what the log and `X-Request-Id` call the request"
    )


def openapi_route(operations: Sequence[Operation]) -> Route:
    @cache
    def document() -> Json:
        return describe(operations)

    def answer(_request: Request) -> Response:
        return JSONResponse(document())

    return Route(f"{PREFIX}/openapi.json", answer, methods=["GET"])


def describe(operations: Sequence[Operation]) -> Json:
    """The whole document."""
    keys, schemas = _schemas(operations)
    paths: dict[str, Json] = {}
    for operation in operations:
        entry = _entry(operation, keys)
        paths.setdefault(PREFIX + operation.path, {})[operation.method.lower()] = entry
    paths |= {PREFIX + path: {"get": _badge(path, summary)} for path, summary in badges.SUMMARIES.items()}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Jobyard", "version": "1", "description": ABOUT},
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "responses": {
                str(status): {
                    "description": description,
                    "content": {MEDIA_TYPE: {"schema": keys(ProblemAnswer, "serialization")}},
                }
                for status, description in ERRORS.items()
            },
        },
    }


Lookup = Callable[[Any, Mode], Json]


def _schemas(operations: Sequence[Operation]) -> tuple[Lookup, Json]:
    """How each model is referred to, and the schemas of all of them."""
    wanted: dict[tuple[str, Mode], Any] = {_key(ProblemAnswer, "serialization"): ProblemAnswer}
    for operation in operations:
        if operation.body is not Empty:
            wanted[_key(operation.body, "validation")] = operation.body
        if operation.answer is not None:
            wanted[_key(operation.answer, "serialization")] = operation.answer
    inputs: list[tuple[str, Mode, TypeAdapter[Any]]] = [
        (name, mode, TypeAdapter(model)) for (name, mode), model in wanted.items()
    ]
    found, made = TypeAdapter.json_schemas(inputs, ref_template=REF)
    schemas = made.get("$defs", {})
    names = {name: public_name(name) for name in schemas}

    def lookup(model: Any, mode: Mode) -> Json:
        return dict(renamed(found[_key(model, mode)], names))

    # Generators call a model by its title.
    named = {names[name]: {**renamed(each, names), "title": names[name]} for name, each in schemas.items()}
    return lookup, named


def _key(model: Any, mode: Mode) -> tuple[str, Mode]:
    return (getattr(model, "__name__", str(model)), mode)


def _entry(operation: Operation, lookup: Lookup) -> Json:
    entry: Json = {
        "operationId": _operation_id(operation),
        "summary": operation.summary,
        "description": f"Needs the role {operation.role}.",
        "tags": [_tag(operation)],
        "responses": _responses(operation, lookup),
    }
    parameters = [*_parameters(operation)]
    if parameters:
        entry["parameters"] = parameters
    if operation.body is not Empty:
        content = {"application/json": {"schema": lookup(operation.body, "validation")}}
        entry["requestBody"] = {"required": _needs_body(operation.body), "content": content}
    return entry


def _badge(path: str, summary: str) -> Json:
    """An entry for what is no operation, and open to everybody."""
    image = {"content": {"image/svg+xml": {"schema": {"type": "string"}}}}
    return {
        "operationId": "show_pipeline_badge" if "{pl}" in path else "show_badge",
        "summary": summary,
        "description": "Open to everybody; answers with an ETag.",
        "tags": ["badges"],
        "security": [],
        "parameters": [*_path_parameters(path)],
        "responses": {
            "200": {"description": "How it is doing", **image},
            "304": {"description": "It is as it was."},
            "404": {"description": "There is no such thing, or it is not public.", **image},
        },
    }


def _needs_body(model: type[BaseModel]) -> bool:
    extra = model.model_config.get("json_schema_extra")
    has_rules = isinstance(extra, dict) and "allOf" in extra
    return has_rules or any(each.is_required() for each in model.model_fields.values())


def _responses(operation: Operation, lookup: Lookup) -> Json:
    done: Json = {"description": HTTPStatus(operation.status).phrase}
    if operation.answer is not None:
        schema = lookup(operation.answer, "serialization")
        done["content"] = {media_type: {"schema": schema} for media_type in operation.media_types}
    elif operation.status != 204:
        done["content"] = {media_type: {"schema": {"type": "string"}} for media_type in operation.media_types}
    errors = {str(status): {"$ref": f"#/components/responses/{status}"} for status in ERRORS}
    return {str(operation.status): done, **errors}


def _path_parameters(path: str) -> Iterator[Json]:
    for name in re.findall(r"{(\w+)}", path):
        yield {
            "name": name,
            "in": "path",
            "required": True,
            "description": PATH_PARAMETERS[name],
            "schema": {"type": "string"},
        }


def _parameters(operation: Operation) -> Iterator[Json]:
    yield from _path_parameters(operation.path)
    schema = operation.query.model_json_schema()
    for name, each in schema.get("properties", {}).items():
        described = {key: value for key, value in each.items() if key not in ("title", "description")}
        described = _with(schema.get("$defs", {}), described)
        yield {
            "name": name,
            "in": "query",
            "required": name in schema.get("required", ()),
            "description": each.get("description", ""),
            "schema": described,
        }
    if operation.idempotent:
        yield {
            "name": HEADER,
            "in": "header",
            "required": False,
            "description": "a request that is sent again with the same key gets the first answer, for a day",
            "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
        }


def _with(definitions: Json, schema: Any) -> Any:
    """The schema of a parameter with what it refers to in its place: the document has no other for it."""
    if isinstance(schema, dict):
        if "$ref" in schema:
            found: Json = definitions[schema["$ref"].rpartition("/")[2]]
            return {key: value for key, value in found.items() if key not in ("title", "description")}
        return {key: _with(definitions, value) for key, value in schema.items()}
    return [_with(definitions, each) for each in schema] if isinstance(schema, list) else schema


PATH_PARAMETERS = {
    "p": "a project's name",
    "j": "a job's name",
    "c": "a credential's name",
    "s": "a build service's name",
    "g": "a secret group's name",
    "t": "a notification target's name",
    "a": "an app's name",
    "pl": "a pipeline's name",
    "ga": "the name of a GitHub App",
    "f": "a flow's name",
    "node": "a node's name",
    "id": "an id; of a run, its name will do as well",
}


def _tag(operation: Operation) -> str:
    named = [part for part in operation.path.split("/") if part and not part.startswith("{")]
    return named[1] if named[0] == "projects" and len(named) > 1 else named[0]


def _operation_id(operation: Operation) -> str:
    return operation.handler.__name__
