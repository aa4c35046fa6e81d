"""A variable as it is given and shown: its value, or where a secret is read from as a run or build starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from app.domain import limits
from app.domain.external_secrets import (
    EnvironmentSecret,
    ExternalSecret,
    FileSecret,
    VaultSecret,
    is_file_path,
    is_vault_path,
)
from app.domain.job.variables import EnvDraft, EnvScope
from app.web.schemas.base import Model
from app.web.schemas.fields import EnvName, EnvSize, EnvText
from app.web.schemas.tagged import told_by

Scope = Literal["run", "build", "both"]


def _file_path(value: str) -> str:
    if not is_file_path(value):
        raise ValueError("must be a path below the project's directory of secrets, such as db/password")
    return value


def _vault_path(value: str) -> str:
    if not is_vault_path(value):
        raise ValueError("must be a path of Vault's API without a / at either end, such as secret/data/app")
    return value


class EnvForm(Model):
    """A variable; a bare string stands for its value. A secret's value is write-only: it is shown as null."""

    from_: Literal["value"] = Field(default="value", alias="from", exclude=True)
    value: EnvText | None = Field(default=None, repr=False)
    secret: bool = False
    scope: Scope = "run"


class ReferenceForm(Model):
    """A secret that is read from elsewhere, anew for each attempt of a run and each build."""

    secret: Literal[True] = True
    scope: Scope = "run"


class FileSecretForm(ReferenceForm):
    """A file below JOBYARD_SECRETS_DIR: of the project's directory there, or of `_shared`."""

    from_: Literal["file"] = Field(alias="from")
    path: Annotated[
        str,
        Field(max_length=limits.PATH, json_schema_extra={"format": "secret-path"}),
        AfterValidator(_file_path),
    ]


class EnvironmentSecretForm(ReferenceForm):
    """A variable of the server that JOBYARD_SECRETS_ENV lets the project read."""

    from_: Literal["env"] = Field(alias="from")
    name: EnvName


class VaultSecretForm(ReferenceForm):
    """An entry of a secret in Vault (KV version 1 or 2), by the path of its API."""

    from_: Literal["vault"] = Field(alias="from")
    path: Annotated[
        str,
        Field(max_length=limits.PATH, json_schema_extra={"format": "secret-path"}),
        AfterValidator(_vault_path),
    ]
    key: str = Field(min_length=1, max_length=limits.VAULT_KEY)


def _as_object(value: Any) -> Any:
    match value:
        case str():
            return {"from": "value", "value": value}
        case dict():
            return value if value.get("from") is not None else {**value, "from": "value"}
        case _:
            raise ValueError("must be text, or an object with a value")


_KINDS = (EnvForm, FileSecretForm, EnvironmentSecretForm, VaultSecretForm)
AnyEnvForm = EnvForm | FileSecretForm | EnvironmentSecretForm | VaultSecretForm
EnvEntry = Annotated[
    AnyEnvForm,
    Field(discriminator="from_"),
    told_by("from", "a variable from", *_KINDS),
    BeforeValidator(_as_object, json_schema_input_type=EnvText | AnyEnvForm),
]
Variables = Annotated[dict[EnvName, EnvEntry], Field(max_length=limits.VARIABLES), EnvSize]


def env_drafts(env: Mapping[str, AnyEnvForm]) -> dict[str, EnvDraft]:
    return {name: _draft(entry, entry.scope) for name, entry in env.items()}


def env_draft_of_its_own(entry: AnyEnvForm) -> EnvDraft:
    """What the entry says itself; the rest is as the job has it."""
    draft = _draft(entry, entry.scope if "scope" in entry.model_fields_set else None)
    said = not isinstance(entry, EnvForm) or "secret" in entry.model_fields_set
    return draft if said else EnvDraft(draft.value, None, draft.scope)


def _draft(entry: AnyEnvForm, scope: Scope | None) -> EnvDraft:
    wanted = None if scope is None else EnvScope(scope)
    if isinstance(entry, EnvForm):
        return EnvDraft(entry.value, entry.secret, wanted)
    return EnvDraft(None, True, wanted, _reference(entry))


def _reference(entry: FileSecretForm | EnvironmentSecretForm | VaultSecretForm) -> ExternalSecret:
    match entry:
        case FileSecretForm():
            return FileSecret(entry.path)
        case EnvironmentSecretForm():
            return EnvironmentSecret(entry.name)
        case VaultSecretForm():
            return VaultSecret(entry.path, entry.key)


def merged_entry(known: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """A stored variable with a patch of it on top. What is secret stays so, unless it is said otherwise; a reference
    takes the place of a value, and the other way round.
    """
    now, before = change.get("from"), known.get("from", "value")
    if now is None:
        now = "value" if change.get("value") is not None else before
    if now == before:
        return {**known, **change}
    kept = ("secret", "scope") if now == "value" else ("scope",)
    return {**{name: known[name] for name in kept if name in known}, **change}
