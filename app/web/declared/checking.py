"""What can be said of a file for `apply` without a server: every fault that is in it by itself."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from app.web.declared.documents import Declared, Fault, Item, read_documents
from app.web.declared.unknown_fields import with_suggestions
from app.web.schemas.project import ProjectPatch
from app.web.validation_messages import field_errors

ANY = "any"  # a project for what names none
KEPT = ("secret", "webhook_secret", "address", "private_key")  # which the server may have already


def faults_of(documents: Sequence[Any], begin: str = "documents") -> list[Fault]:
    """Everything that is wrong, by its place; what names a thing of a server is not looked up."""
    declared: Declared = read_documents(documents, ANY, begin)
    return [*declared.faults, *(fault for item in declared.items for fault in _of(item))]


def _of(item: Item) -> Iterator[Fault]:
    form: type[BaseModel] = ProjectPatch if item.kind is None else item.kind.form
    fields = {name: value for name, value in item.fields.items() if value is not None or name not in KEPT}
    if isinstance(fields.get("env"), dict):
        fields["env"] = {name: value for name, value in fields["env"].items() if value is not None}
    label = item.label.replace(f"{ANY}/", "")
    try:
        form.model_validate_json(json.dumps(fields), strict=True)
    except ValidationError as error:
        for each in field_errors(error):
            field = each["field"]
            if field in KEPT and each["message"].endswith("is missing."):
                continue
            said = with_suggestions(each["message"], field, item.kind)
            yield f"{item.place}.{field}", f"{label}: {said}"
