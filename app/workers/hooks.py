"""Looks after webhooks at forges: a forge is told at once of a secret that changed, and asked each day for the rest.

So a webhook that somebody deleted, switched off or led elsewhere is told of without anybody looking for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from app.commands.repository_hooks import RepositoryHooks
from app.store import repository_hooks

TAKES_AT_MOST = timedelta(minutes=2)  # three answers of a forge; then another server may try


@dataclass(frozen=True)
class HookWorker:
    """`public_url` is where forges call this server."""

    hooks: RepositoryHooks
    public_url: str

    def step(self) -> bool:
        """Look after the webhook that is due longest; True if there was one."""
        now = self.hooks.clock.now()
        with self.hooks.db.write() as tx:
            due = repository_hooks.claim(tx, now, now + TAKES_AT_MOST)
        if due is None:
            return False
        self.hooks.look_after(*due, self.public_url)
        return True
