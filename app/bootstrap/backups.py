"""Where the backups of a server are that are made by a schedule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from app.commands.backup_list import BackupList
from app.config import read_bucket
from app.domain.backups import BackupPlan, StoredBackup
from app.installation import Installation

if TYPE_CHECKING:
    from app.commands.backups import BackupShelf


def backup_shelf(own: Installation, plan: BackupPlan) -> BackupShelf:
    from app.commands.backups import BackupShelf  # with what it imports, which few servers need

    return BackupShelf(plan.to, read_bucket(), own.id, own.epoch)


def backup_list(own: Installation) -> BackupList | None:
    """Return what lists them, if any are made."""
    plan = own.settings.backups
    if plan is None:
        return None

    def ask() -> Sequence[StoredBackup]:
        return backup_shelf(own, plan).stored()

    return BackupList(ask, plan.to)
