"""Sessions of browsers: opened for a user or with an administrator's token, known again by their hash, and ended."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, replace
from datetime import datetime

from app.commands.tokens import digest, principal_of
from app.domain.networks import network_of
from app.domain.principals import Principal
from app.store import sessions as store
from app.store.database import Database, Tx
from app.store.sessions import SessionLimits

BROWSER_SHOWN = 300


@dataclass(frozen=True)
class Client:
    """The browser that asks. `device` is the secret of the cookie that it got when it logged in before."""

    address: str
    browser: str = ""
    device: str | None = field(default=None, repr=False)

    @property
    def network(self) -> str:
        return network_of(self.address)


def open_session(
    tx: Tx,
    now: datetime,
    limits: SessionLimits,
    client: Client,
    *,
    user_id: int | None = None,
    opened_with: str | None = None,
) -> str:
    """A new session's secret: of a user, or of an administrator by token (`opened_with` is its hash)."""
    session = secrets.token_urlsafe(32)
    store.add(
        tx,
        digest(session),
        now,
        limits,
        user_id=user_id,
        opened_with=opened_with,
        address=client.address,
        browser=client.browser[:BROWSER_SHOWN],
    )
    return session


def log_out(db: Database, session: str) -> None:
    with db.write() as tx:
        store.end(tx, digest(session))


def owner_of(
    db: Database, session: str, now: datetime, limits: SessionLimits, admin_token_hash: str | None
) -> Principal | None:
    """Who is logged in by this session, or None; that it was seen is stored once a minute at most."""
    hash_ = digest(session)
    with db.read() as tx:
        found = store.find(tx, hash_, now, limits)
        if found is None:
            return None
        if found.user_id is not None:
            owner = Principal(found.name, found.grants, is_browser=True, user_id=found.user_id, session=hash_)
        else:
            holder = _holder(tx, found.opened_with, now, admin_token_hash)
            if holder is None:
                return None
            owner = replace(holder, is_browser=True, session=hash_)
    if now - found.last_seen_at > store.SEEN_EVERY:
        with db.write() as tx:
            store.mark_seen(tx, hash_, now)
    return owner


def _holder(tx: Tx, token_hash: str | None, now: datetime, admin_token_hash: str | None) -> Principal | None:
    """Whose token it is that a session was opened with, while it is neither revoked nor expired."""
    if token_hash is None:
        return None
    return principal_of(tx, token_hash, now, admin_token_hash)
