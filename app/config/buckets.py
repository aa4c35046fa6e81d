"""How buckets are reached, from the variables that every tool for S3 knows."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.buckets import Bucket


class BucketSettings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="AWS_", extra="ignore", frozen=True, hide_input_in_errors=True, defer_build=True
    )

    endpoint_url: str | None = None
    region: str | None = None
    default_region: str | None = None
    access_key_id: str | None = Field(default=None, repr=False)
    secret_access_key: str | None = Field(default=None, repr=False)
    session_token: str | None = Field(default=None, repr=False)


def read_bucket() -> Bucket:
    """How buckets are reached."""
    given = BucketSettings()
    return Bucket(
        given.endpoint_url,
        given.region or given.default_region,
        given.access_key_id,
        given.secret_access_key,
        given.session_token,
    )
