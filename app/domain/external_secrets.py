"""Secrets that are kept elsewhere and read as a run or build starts: what may name them, and who may have which.

Whoever may change a job names what the server reads for it. So the server's operator says what each project may have:
files of its own directory, variables and Vault's paths by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from app.domain import limits
from app.domain.documents import Stored
from app.domain.errors import TransientError, UserError

SHARED = "_shared"  # a directory that no project can have the name of
PROJECT = "{project}"
VAULT_PATHS = f"secret/data/{PROJECT}/*"
_OWN_PREFIX = "JOBYARD_"
_VAULT_PART = re.compile(r"[A-Za-z0-9_.@=+ -]+")
_PROJECT_NAME = re.compile(r"[a-z0-9-]*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class SecretRefused(UserError):
    """It isn't there, may not be had, or is nothing that a variable could hold. Trying again changes nothing."""


class SecretUnavailable(TransientError):
    """What keeps it did not answer; it may later."""


@dataclass(frozen=True, slots=True)
class FileSecret:
    """A file below the project's directory of secrets, or below the one that all projects have."""

    path: str
    origin: Literal["file"] = "file"

    def __str__(self) -> str:
        return f"file {self.path}"


@dataclass(frozen=True, slots=True)
class EnvironmentSecret:
    """A variable of the server's own environment."""

    name: str
    origin: Literal["env"] = "env"

    def __str__(self) -> str:
        return f"environment variable {self.name}"


@dataclass(frozen=True, slots=True)
class VaultSecret:
    """One entry of what Vault has at a path of its API, such as `secret/data/app`."""

    path: str
    key: str
    origin: Literal["vault"] = "vault"

    def __str__(self) -> str:
        return f"Vault {self.path}#{self.key}"


ExternalSecret = FileSecret | EnvironmentSecret | VaultSecret


def reference_to_json(reference: ExternalSecret) -> dict[str, str]:
    match reference:
        case EnvironmentSecret(name=name):
            return {"from": "env", "name": name}
        case FileSecret(path=path):
            return {"from": "file", "path": path}
        case VaultSecret(path=path, key=key):
            return {"from": "vault", "path": path, "key": key}


def reference_from_json(stored: Stored) -> ExternalSecret:
    match stored["from"]:
        case "env":
            return EnvironmentSecret(stored["name"])
        case "file":
            return FileSecret(stored["path"])
        case "vault":
            return VaultSecret(stored["path"], stored["key"])
        case unknown:
            raise ValueError(f"no secret is read from {unknown!r}")


def usable(text: str) -> str:
    """What was read, as a variable can hold it. Raises SecretRefused with the rest of a sentence for what none can."""
    value = text.removesuffix("\n").removesuffix("\r")
    if not value:
        raise SecretRefused("it is empty; give it a text.")
    if len(value) > limits.VARIABLE:
        raise SecretRefused(f"it has {len(value):,} characters; a variable has at most {limits.VARIABLE:,}.")
    if "\0" in value:
        raise SecretRefused("it has a NUL character, which no variable can have.")
    return value


def is_file_path(path: str) -> bool:
    """Whether a path stays below the directory it is looked up in, whatever links there are."""
    return path.isprintable() and "\\" not in path and _is_below(path)


def is_vault_path(path: str) -> bool:
    """Whether a path names one thing in Vault, however a server reads it."""
    return _is_below(path) and all(_VAULT_PART.fullmatch(part) for part in path.split("/"))


def _is_below(path: str) -> bool:
    return all(part not in ("", ".", "..") for part in path.split("/"))


@dataclass(frozen=True, slots=True)
class Allowed:
    """Names that may be read: one, or all that begin as `pattern` does before its `*`; by one project or (None) all."""

    pattern: str
    project: str | None = None

    def covers(self, name: str, project: str) -> bool:
        if self.project not in (None, project):
            return False
        wanted = self.pattern.replace(PROJECT, project)
        return name.startswith(wanted[:-1]) if wanted.endswith("*") else name == wanted


def read_allowed_variables(text: str) -> tuple[Allowed, ...]:
    """`[PROJECT:]NAME` and `[PROJECT:]PREFIX*`, separated by commas. Raises ValueError."""
    return tuple(_allowed(item, _is_variable_pattern, "shop:DB_* or API_KEY") for item in _items(text))


def read_allowed_paths(text: str) -> tuple[Allowed, ...]:
    """Likewise with paths of Vault, in which `{project}` is the project's name. Raises ValueError."""
    return tuple(
        _allowed(item, _is_path_pattern, f"shop:kv/shop/* or {VAULT_PATHS}") for item in _items(text)
    )


def _items(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def _allowed(item: str, is_pattern: Callable[[str], bool], example: str) -> Allowed:
    project, colon, pattern = item.rpartition(":")
    if not is_pattern(pattern) or not _PROJECT_NAME.fullmatch(project) or bool(colon) != bool(project):
        raise ValueError(f"{item!r} is not [PROJECT:]NAME, nor [PROJECT:]PREFIX*, such as {example}")
    return Allowed(pattern, project or None)


def _is_variable_pattern(pattern: str) -> bool:
    name = pattern.removesuffix("*")
    return _VARIABLE.fullmatch(name) is not None and not name.startswith(_OWN_PREFIX)


def _is_path_pattern(pattern: str) -> bool:
    path = pattern.replace(PROJECT, "project")
    return is_vault_path(path.removesuffix("*").removesuffix("/"))


@dataclass(frozen=True, slots=True)
class SecretRules:
    """What the operator lets projects name; by default, nothing."""

    has_files: bool = False
    variables: Sequence[Allowed] = ()
    has_vault: bool = False
    paths: Sequence[Allowed] = ()

    def why_not(self, reference: ExternalSecret, project: str) -> str:
        """The rest of a sentence why the project may not have it, with what would help; empty if it may."""
        match reference:
            case FileSecret():
                return "" if self.has_files else _NO_FILES
            case EnvironmentSecret(name=name):
                if self._lets_read(name, project):
                    return ""
                return f"JOBYARD_SECRETS_ENV lets project {project} read no variable {name}; {_BY_OPERATOR}."
            case VaultSecret(path=path):
                if not self.has_vault:
                    return _NO_VAULT
                if any(each.covers(path, project) for each in self.paths):
                    return ""
                return f"JOBYARD_VAULT_PATHS lets project {project} read nothing at {path}; {_BY_OPERATOR}."

    def lets_somebody_read(self, name: str) -> bool:
        """Whether there may be a project that may have the variable."""
        return any(self._lets_read(name, each.project or "") for each in self.variables)

    def _lets_read(self, name: str, project: str) -> bool:
        is_own = name.startswith(_OWN_PREFIX)  # which are settings, some of them secret
        return not is_own and any(each.covers(name, project) for each in self.variables)


_BY_OPERATOR = "name another, or have the server's operator allow it"
_NO_FILES = "this server reads no files; have its operator set JOBYARD_SECRETS_DIR, or give the value."
_NO_VAULT = "this server asks no Vault; have its operator set JOBYARD_VAULT_ADDR, or give the value."
