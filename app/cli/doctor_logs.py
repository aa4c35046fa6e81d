"""Whether all servers of a database can read all logs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from app.cli.findings import Finding
from app.domain.errors import UserError

if TYPE_CHECKING:
    from app.config import Settings

NAME = "logs"


def check_logs(settings: Settings) -> Iterator[Finding]:
    if settings.log_bucket is not None:
        yield _check_bucket(settings.log_bucket)
    elif settings.log_store is not None:
        yield _check_volume(settings)
    elif not settings.store_url.startswith("sqlite:"):
        yield Finding(
            "warn",
            NAME,
            "Another server on this database could not read the logs of this one: set JOBYARD_LOG_STORE to a shared "
            "volume or a bucket if there are several.",
        )


def _check_bucket(address: str) -> Finding:
    from app.buckets import Stored, folders
    from app.config import read_bucket

    try:
        next(folders(read_bucket(), Stored.of(f"{address}/", "")), None)
    except UserError as error:
        return Finding("fail", NAME, f"JOBYARD_LOG_STORE can't be read. {error}")
    return Finding("ok", NAME, f"They are in {address}, which answers.")


def _check_volume(settings: Settings) -> Finding:
    if not os.access(settings.logs, os.W_OK | os.X_OK):
        sentence = f"{settings.logs} of JOBYARD_LOG_STORE is no directory that can be written: mount the volume there."
        return Finding("fail", NAME, sentence)
    return Finding("ok", NAME, f"They are in {settings.logs}, which every server has to have.")
