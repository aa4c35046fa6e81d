"""Browsers that are logged in, links that are of use once, and browsers that logged in before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import delete, update
from sqlmodel import col, or_, select

from app.domain.errors import NotFound
from app.domain.principals import Grant, Role
from app.store.database import Tx
from app.store.schema import AccountLinkRow, GrantRow, KnownDeviceRow, LoginRow, UserRow

SEEN_EVERY = timedelta(minutes=1)
DEVICES_KEPT = 20  # of each user
SHOWN = 16  # characters of a session's hash: enough to name it, and of no use to anybody


@dataclass(frozen=True)
class SessionLimits:
    """How long a session lasts at most: without being used, and in all."""

    idle: timedelta = timedelta(days=7)
    absolute: timedelta = timedelta(days=14)


@dataclass(frozen=True)
class Login:
    """A session that is valid: of a user, or (`user_id` None) of an API token whose hash is `opened_with`."""

    user_id: int | None
    name: str
    grants: tuple[Grant, ...]
    last_seen_at: datetime
    opened_with: str | None = field(repr=False)


@dataclass(frozen=True)
class Session:
    """What is shown of a session. `id` names it among those of its user."""

    id: str
    address: str
    browser: str
    created_at: datetime
    last_seen_at: datetime


@dataclass(frozen=True)
class AccountLink:
    """`kind` is setup | invitation | reset; `user_id` None for setup."""

    kind: str
    user_id: int | None


def add(
    tx: Tx,
    hash_: str,
    now: datetime,
    limits: SessionLimits,
    *,
    user_id: int | None = None,
    opened_with: str | None = None,
    address: str = "",
    browser: str = "",
) -> None:
    """A session of a user, or of the API token with the hash `opened_with`; those that are over are swept."""
    over = or_(
        col(LoginRow.created_at) <= now - limits.absolute, col(LoginRow.last_seen_at) <= now - limits.idle
    )
    tx.connection().execute(delete(LoginRow).where(over))
    tx.add(
        LoginRow(
            hash=hash_,
            user_id=user_id,
            opened_with=opened_with,
            address=address,
            browser=browser,
            created_at=now,
            last_seen_at=now,
        )
    )
    tx.flush()


def find(tx: Tx, hash_: str, now: datetime, limits: SessionLimits) -> Login | None:
    """The session with this secret, if it is valid and its user is not disabled. One statement: each page asks it."""
    query = (
        select(LoginRow, UserRow, GrantRow.role, GrantRow.project_id)
        .outerjoin(UserRow, col(UserRow.id) == col(LoginRow.user_id))
        .outerjoin(GrantRow, col(GrantRow.user_id) == col(LoginRow.user_id))
        .where(LoginRow.hash == hash_)
    )
    found = tx.exec(query).all()
    if not found:
        return None
    row, user = found[0][0], found[0][1]
    seen = row.last_seen_at or row.created_at
    if row.created_at <= now - limits.absolute or seen <= now - limits.idle:
        return None
    if row.user_id is None:
        return Login(None, "", (), seen, row.opened_with)
    if user.disabled_at is not None:
        return None
    grants = tuple(Grant.of_role(Role(role), project_id) for _, _, role, project_id in found if role)
    return Login(user.id, user.name, grants, seen, None)


def mark_seen(tx: Tx, hash_: str, now: datetime) -> None:
    tx.connection().execute(update(LoginRow).where(col(LoginRow.hash) == hash_).values(last_seen_at=now))


def of_user(tx: Tx, user_id: int, now: datetime, limits: SessionLimits) -> Sequence[Session]:
    """Those that are valid, the one used last first."""
    rows = tx.exec(select(LoginRow).where(LoginRow.user_id == user_id))
    found = [
        Session(
            row.hash[:SHOWN], row.address, row.browser, row.created_at, row.last_seen_at or row.created_at
        )
        for row in rows
    ]
    valid = [
        each
        for each in found
        if each.created_at > now - limits.absolute and each.last_seen_at > now - limits.idle
    ]
    return sorted(valid, key=lambda each: each.last_seen_at, reverse=True)


def end(tx: Tx, hash_: str) -> None:
    tx.connection().execute(delete(LoginRow).where(col(LoginRow.hash) == hash_))


def end_of_user(tx: Tx, user_id: int, *, but: str | None = None) -> int:
    """End all sessions of a user, or all but the one with this hash; returns how many."""
    query = delete(LoginRow).where(col(LoginRow.user_id) == user_id)
    if but is not None:
        query = query.where(col(LoginRow.hash) != but)
    return tx.connection().execute(query).rowcount


def end_one(tx: Tx, user_id: int, session: str) -> None:
    """End the session of a user that is shown by this id. Raises NotFound."""
    query = delete(LoginRow).where(col(LoginRow.user_id) == user_id)
    begins = col(LoginRow.hash).startswith(session, autoescape=True)
    if len(session) != SHOWN or tx.connection().execute(query.where(begins)).rowcount == 0:
        raise NotFound("There is no such session, or it is over.")


def end_opened_with(tx: Tx, token_hash: str) -> None:
    tx.connection().execute(delete(LoginRow).where(col(LoginRow.opened_with) == token_hash))


def add_link(tx: Tx, hash_: str, kind: str, now: datetime, lasts: timedelta, user_id: int | None) -> None:
    """A link for a user, or (None) for the first administrator. There is one at a time: those before are void."""
    void_links(tx, user_id)
    tx.add(AccountLinkRow(hash=hash_, kind=kind, user_id=user_id, created_at=now, expires_at=now + lasts))
    tx.flush()


def void_links(tx: Tx, user_id: int | None) -> None:
    whose = col(AccountLinkRow.user_id)
    of_them = whose.is_(None) if user_id is None else whose == user_id
    tx.connection().execute(delete(AccountLinkRow).where(of_them))


def link(tx: Tx, hash_: str, now: datetime) -> AccountLink | None:
    """What a link is for, if it is valid."""
    row = tx.get(AccountLinkRow, hash_)
    return None if row is None or row.expires_at <= now else AccountLink(row.kind, row.user_id)


def spend_link(tx: Tx, hash_: str, now: datetime) -> bool:
    """True the one time that a valid link is used."""
    valid = (col(AccountLinkRow.hash) == hash_, col(AccountLinkRow.expires_at) > now)
    return tx.connection().execute(delete(AccountLinkRow).where(*valid)).rowcount == 1


def remember_device(tx: Tx, hash_: str, user_id: int, network: str, now: datetime) -> None:
    """Somebody logged in with this browser from this network. Of each user the latest few are kept."""
    users_turn = select(UserRow.id).where(UserRow.id == user_id)  # one browser may sign in twice at once
    tx.exec(users_turn.with_for_update(key_share=True)).first()
    row = tx.get(KnownDeviceRow, hash_) or KnownDeviceRow(
        hash=hash_, user_id=user_id, network="", used_at=now
    )
    row.user_id, row.network, row.used_at = user_id, network, now
    tx.add(row)
    tx.flush()
    kept = select(KnownDeviceRow.hash).where(KnownDeviceRow.user_id == user_id)
    newest = tx.exec(kept.order_by(col(KnownDeviceRow.used_at).desc()).limit(DEVICES_KEPT)).all()
    older = delete(KnownDeviceRow).where(col(KnownDeviceRow.user_id) == user_id)
    tx.connection().execute(older.where(col(KnownDeviceRow.hash).not_in(newest)))


def is_known(tx: Tx, user_id: int, *, device: str | None, network: str) -> tuple[bool, bool]:
    """Whether the user logged in before with the browser of this hash, and from this network."""
    query = select(KnownDeviceRow.hash, KnownDeviceRow.network).where(KnownDeviceRow.user_id == user_id)
    found = tx.exec(query).all()
    return any(hash_ == device for hash_, _ in found), any(each == network for _, each in found)


def forget_devices(tx: Tx, user_id: int) -> None:
    tx.connection().execute(delete(KnownDeviceRow).where(col(KnownDeviceRow.user_id) == user_id))
