"""Word between the servers of one PostgreSQL, by `LISTEN` and `NOTIFY`: what is said while nobody listens is lost."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sqlalchemy import func, select

from app.store.database import Database

CHANNEL: Final = "jobyard"


def say(db: Database, texts: Iterable[str]) -> None:
    """Let everybody who listens hear these texts, each of which has less than 8,000 bytes."""
    with db.write() as tx:
        for each in texts:
            tx.connection().execute(select(func.pg_notify(CHANNEL, each)))


class Listening:
    """Hears what is said, on a connection of its own. Raises StoreUnavailable, from then on as well: make another."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._connection = db.connection_apart()
        with db.as_ours(db.OperationalError):
            self._connection.execute(f"LISTEN {CHANNEL}")

    def heard(self, seconds: float) -> list[str]:
        """Return what was said since the last call or is said soon; nothing after so many seconds of silence."""
        with self._db.as_ours(self._db.OperationalError):
            return [each.payload for each in self._connection.notifies(timeout=seconds, stop_after=1)]

    def close(self) -> None:
        self._connection.close()
