"""The backups that are made by themselves."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo

from app.buckets import SCHEME
from app.config.data import DataSettings
from app.domain.backups import BackupPlan
from app.domain.errors import InvalidValue
from app.domain.schedule import Schedule

BACKUP_CRON = "0 3 * * *"
_BUCKET = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^?#@\s/]+)*")


def _place(value: str | None, info: ValidationInfo) -> str | None:
    """The address of a bucket, or the whole path of a directory."""
    if not value:
        return None
    if value.startswith(SCHEME):
        if not _BUCKET.fullmatch(value.rstrip("/")):
            raise ValueError("must be a directory, or s3://BUCKET/PREFIX without keys or options in it")
        return value.rstrip("/")
    if "://" in value:
        raise ValueError("must be a directory, or s3://BUCKET/PREFIX")
    data: Path = info.data.get("data", Path())
    if Path(value).resolve().is_relative_to(data.resolve()):
        raise ValueError("must not be in JOBYARD_DATA: what happens to that would happen to its backups")
    return str(Path(value).resolve())


def _times(value: str) -> str:
    if value != BACKUP_CRON:  # so that servers without need not load what reads it
        try:
            Schedule.parse(value)
        except InvalidValue as error:
            raise ValueError(str(error)) from None
    return value


class BackupSettings(DataSettings):
    backup_to: Annotated[str | None, AfterValidator(_place)] = Field(
        default=None, description="backups are made there by themselves: a directory, or s3://BUCKET/PREFIX"
    )
    backup_cron: Annotated[str, AfterValidator(_times)] = Field(
        default=BACKUP_CRON, description="when, in UTC: five cron fields or an @alias"
    )
    backup_keep: int = Field(
        default=14, ge=0, le=10**6, description="backups are kept, of those made by themselves; 0: all"
    )
    backup_with_key: bool | None = Field(
        default=None, description="whether the key file is in them; if unset, in files and not in buckets"
    )

    @property
    def backups(self) -> BackupPlan | None:
        """The backups that are made by themselves, if any are."""
        if self.backup_to is None:
            return None
        return BackupPlan(
            self.backup_to, Schedule.parse(self.backup_cron), self.backup_keep, self.backup_with_key
        )
