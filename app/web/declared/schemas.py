"""JSON Schemas of the files, made of the forms that read them: for editors, and for whoever checks without Jobyard."""

from __future__ import annotations

from typing import Any

from app.domain.documents import Json
from app.web.declared.documents import KINDS, PROJECT, SETTINGS
from app.web.schemas.project import ProjectPatch
from app.web.schemas.repository_file import RepositoryFileForm

DIALECT = "https://json-schema.org/draft/2020-12/schema"
BETWEEN_FIELDS = (
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "if",
)  # rules of whole things, of which a file may say a part
DEFINED = "#/$defs/{model}"


def repository_file_schema() -> Json:
    """The schema of `jobyard.yaml`."""
    return {"$schema": DIALECT, **RepositoryFileForm.model_json_schema(), "title": "jobyard.yaml"}


def apply_schema() -> Json:
    """The schema of one document of a file that `apply` takes: of a thing only its name has to be said, as what is left
    out stays as it is.
    """
    definitions: Json = {}
    sections: Json = {}
    for kind in KINDS:
        thing = kind.form.model_json_schema(ref_template=DEFINED)
        definitions |= thing.pop("$defs", {})
        definitions[kind.form.__name__] = _named(thing)
        sections[kind.section] = {"type": ["array", "null"], "items": _ref(kind.form.__name__)}
    settings = ProjectPatch.model_json_schema(ref_template=DEFINED)
    definitions |= settings.pop("$defs", {})
    document = {
        "type": "object",
        "properties": {
            PROJECT: {"type": "string"},
            SETTINGS: {"anyOf": [settings, {"type": "null"}]},
            **sections,
        },
        "additionalProperties": False,
    }
    job = _ref(next(kind.form.__name__ for kind in KINDS if kind.section == "jobs"))
    either: Any = [document, job, {"type": "array", "items": job}]
    return {"$schema": DIALECT, "title": "A file for jobyard apply", "anyOf": either, "$defs": definitions}


def _ref(name: str) -> Json:
    return {"$ref": DEFINED.format(model=name)}


def _named(thing: Json) -> Json:
    properties = {**thing["properties"], PROJECT: {"type": "string"}}
    for name in ("secret", "webhook_secret", "address", "private_key"):
        if name in properties:
            properties[name] = {"anyOf": [properties[name], {"type": "null"}]}
    rest = {name: value for name, value in thing.items() if name not in BETWEEN_FIELDS}
    return {**rest, "properties": properties, "required": ["name"]}
