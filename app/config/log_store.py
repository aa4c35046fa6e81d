"""Where the logs of runs and builds are kept."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, Field

from app.buckets import SCHEME
from app.config.data import DataSettings

_FILES = "file://"
_BUCKET = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^?#@\s/]+)*")


def _store(value: str | None) -> str | None:
    if not value:
        return None
    if value.startswith(SCHEME) and _BUCKET.fullmatch(value.rstrip("/")):
        return value.rstrip("/")
    if value.startswith(f"{_FILES}/") and not urlsplit(value).query:
        return value
    raise ValueError("must be file:///DIRECTORY, or s3://BUCKET/PREFIX without keys or options in it")


class LogStoreSettings(DataSettings):
    log_store: Annotated[str | None, AfterValidator(_store)] = Field(
        default=None,
        description="logs that several servers read: file:///DIRECTORY of a shared volume, or s3://BUCKET/PREFIX",
    )

    @property
    def logs(self) -> Path:
        """The directory of the logs: where they are in a bucket, of those that this server writes or has read."""
        if self.log_store is not None and self.log_store.startswith(_FILES):
            return Path(unquote(urlsplit(self.log_store).path)).resolve()
        return self.data.resolve() / "logs"

    @property
    def log_bucket(self) -> str | None:
        """The address of the bucket that logs are in, if they are in one."""
        return self.log_store if self.log_store is not None and self.log_store.startswith(SCHEME) else None

    @property
    def has_shared_logs(self) -> bool:
        """Whether another server can read the logs of this one."""
        return self.log_store is not None
