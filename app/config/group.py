"""What a group of settings is made of. A setting belongs to one group; `settings.Settings` is all of them together."""

from __future__ import annotations

from pydantic_settings import BaseSettings, SettingsConfigDict


class Group(BaseSettings):
    """Some settings, read from the variables `JOBYARD_` + their names and from `.env`.

    A field's description is what `jobyard config` prints. What its value has to be is an `AfterValidator` beside it,
    which raises ValueError with what is shown after "JOBYARD_NAME is not usable:".
    """

    model_config = SettingsConfigDict(
        env_prefix="JOBYARD_",
        env_file=".env",
        extra="ignore",
        frozen=True,
        validate_default=True,
        defer_build=True,
    )
