"""The operator's key, which seals secrets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr, ValidationInfo

from app.config.data import DataSettings


def _one_key(value: str | None, info: ValidationInfo) -> str | None:
    if value and info.data.get("secret_key"):
        raise ValueError("can't be set together with JOBYARD_SECRET_KEY: unset one of them")
    return value or None


class KeySettings(DataSettings):
    secret_key: SecretStr | None = Field(
        default=None,
        description="seals secrets; a key file with mode 0600 is made in the data directory if unset",
    )
    secret_key_file: Path | None = Field(
        default=None, description="the key file, where it is not in the data directory"
    )
    secret_key_command: Annotated[str | None, AfterValidator(_one_key)] = Field(
        default=None, description="prints the key within 30 s, such as a call of a password store; no shell"
    )

    @property
    def key_file(self) -> Path:
        return self.secret_key_file or self.data / "secret.key"
