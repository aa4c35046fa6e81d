"""Where an installation keeps what it has: its directory and its database."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from app.config.group import Group


def _known_database(value: SecretStr | None) -> SecretStr | None:
    given = value.get_secret_value() if value else ""
    if given and not given.startswith(("sqlite:///", "postgresql://", "postgres://")):
        raise ValueError("must begin with postgresql:// or sqlite:///")
    return value if given else None


class DataSettings(Group):
    data: Path = Field(default=Path("data"), description="database, logs, checkouts, key file")
    database_url: Annotated[SecretStr | None, AfterValidator(_known_database)] = Field(
        default=None, description="SQLite in the data directory; postgresql://… for several replicas"
    )

    @property
    def store_url(self) -> str:
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.data.resolve() / 'jobyard.db'}"
