"""Where a server keeps the logs of runs and builds."""

from __future__ import annotations

from app.buckets import Stored
from app.config import read_bucket
from app.domain.plans import MIB
from app.installation import Installation
from app.logs.copies import Copies
from app.runtime.log_storage import LogStorage
from app.store import epochs


def make_log_storage(own: Installation) -> LogStorage:
    """Return the storage that the settings name. Nothing is asked yet."""
    settings, copies = own.settings, None
    if settings.log_bucket is not None:
        copies = Copies(settings.logs, read_bucket(), Stored.of(f"{settings.log_bucket}/", ""))
    with own.db.read() as tx:
        era = epochs.number(tx)
    return LogStorage(
        settings.logs,
        own.signals,
        settings.log_cap_mb * MIB,
        is_shared=settings.has_shared_logs and copies is None,
        copies=copies,
        is_alone=own.db.is_sqlite,
        era=era,
    )
