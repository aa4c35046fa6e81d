"""Where secrets are read from that are not kept here, and which of them a project may name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from app.config.data import DataSettings
from app.domain.errors import UserError
from app.domain.external_secrets import (
    VAULT_PATHS,
    SecretRules,
    read_allowed_paths,
    read_allowed_variables,
)


def _directory(value: Path | None) -> Path | None:
    if value is not None and not value.is_absolute():
        raise ValueError("must be a whole path, such as /etc/jobyard/secrets")
    return value


def _variables(value: str) -> str:
    read_allowed_variables(value)
    return value


def _address(value: str | None) -> str | None:
    if value and not value.startswith(("https://", "http://")):
        raise ValueError("must begin with https:// or http://")
    return value or None


def _paths(value: str) -> str:
    read_allowed_paths(value)
    return value


class SecretSourceSettings(DataSettings):
    secrets_dir: Annotated[Path | None, AfterValidator(_directory)] = Field(
        default=None,
        description="secrets in files, a directory for each project; those of _shared are for all",
    )
    secrets_env: Annotated[str, AfterValidator(_variables)] = Field(
        default="",
        description="variables of the server that jobs may have: [PROJECT:]NAME or [PROJECT:]PREFIX*, with commas",
    )
    vault_addr: Annotated[str | None, AfterValidator(_address)] = Field(
        default=None, description="the Vault that has secrets of jobs"
    )
    vault_token: SecretStr | None = Field(default=None, description="the token that Vault is asked with")
    vault_token_file: Path | None = Field(
        default=None, description="a file with that token, read each time, such as of Vault's agent"
    )
    vault_role_id: str | None = Field(default=None, description="or the AppRole that the server logs in as")
    vault_secret_id: SecretStr | None = Field(default=None, description="proves that to Vault")
    vault_namespace: str | None = Field(default=None, description="the namespace that Vault is asked in")
    vault_paths: Annotated[str, AfterValidator(_paths)] = Field(
        default=VAULT_PATHS,
        description="what jobs may have of Vault: [PROJECT:]PATH or [PROJECT:]PREFIX*, with commas",
    )

    @property
    def secret_rules(self) -> SecretRules:
        """What projects may name of what is kept elsewhere."""
        return SecretRules(
            has_files=self.secrets_dir is not None,
            variables=read_allowed_variables(self.secrets_env),
            has_vault=self.vault_addr is not None,
            paths=read_allowed_paths(self.vault_paths),
        )

    @property
    def secret_variables(self) -> dict[str, str]:
        """Those variables of this process that some project may read."""
        rules = self.secret_rules
        return {name: value for name, value in os.environ.items() if rules.lets_somebody_read(name)}

    def require_one_login(self) -> None:
        """Raises UserError for a Vault with none of the three ways to log in, or more than one."""
        ways = {
            "JOBYARD_VAULT_TOKEN": self.vault_token,
            "JOBYARD_VAULT_TOKEN_FILE": self.vault_token_file,
            "JOBYARD_VAULT_ROLE_ID with JOBYARD_VAULT_SECRET_ID": self.vault_role_id and self.vault_secret_id,
        }
        if self.vault_addr is not None and sum(bool(way) for way in ways.values()) != 1:
            raise UserError(f"JOBYARD_VAULT_ADDR needs one of {', '.join(ways)}.")
