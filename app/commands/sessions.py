"""Sessions of browsers: opened by a password, an administrator's token or a link, and known again by their hash."""

from __future__ import annotations

import secrets
import threading
from datetime import datetime, timedelta
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error

from app.commands.tokens import digest, holder_of
from app.domain import limits
from app.domain.errors import Busy
from app.domain.principals import Principal, Role
from app.store import tokens, users
from app.store.database import Database, Tx

SESSION_LASTS = timedelta(days=14)
LINK_LASTS = timedelta(hours=1)
_passwords = PasswordHasher()
_hashing = threading.BoundedSemaphore(2)  # each takes 64 MiB
_places = threading.BoundedSemaphore(8)


@cache
def _of_nobody() -> str:
    """A hash to compare with where there is no such user: that takes the time that a wrong password would."""
    return _passwords.hash("nobody's password")


def log_in(db: Database, name: str, password: str, now: datetime, admin_token_hash: str | None) -> str | None:
    """A new session's secret for the right password, or for an API token of an administrator given as password.

    Raises Busy while too many others try.
    """
    if len(password) > limits.PASSWORD:
        return None
    holder = holder_of(db, password, now, admin_token_hash)
    if holder is not None and holder.role is Role.ADMIN and holder.project_id is None:
        return open_session(db, now, opened_with=digest(password))
    with db.read() as tx:
        user = users.named(tx, name)
    if not _is_right(password, user.password_hash if user else _of_nobody()) or user is None:
        return None
    return open_session(db, now, user.id)


def _is_right(password: str, hashed: str) -> bool:
    """Slow on purpose, so only a few wait for it: else anybody could take the whole server's memory and time."""
    if not _places.acquire(blocking=False):
        raise Busy("Too many are logging in at once: try again in a moment.")
    try:
        with _hashing:
            return _passwords.verify(hashed, password)
    except Argon2Error:
        return False
    finally:
        _places.release()


def open_session(
    db: Database, now: datetime, user_id: int | None = None, opened_with: str | None = None
) -> str:
    """A new session's secret: of a user, or of an administrator by token (`opened_with` is its hash) or by link."""
    session = secrets.token_urlsafe(32)
    with db.write() as tx:
        users.add_login(tx, digest(session), now, SESSION_LASTS, user_id=user_id, opened_with=opened_with)
    return session


def spend_login_link(db: Database, code: str, now: datetime) -> str | None:
    """A new session's secret the one time that a valid link is used; else None."""
    with db.write() as tx:
        is_valid = users.spend_login_link(tx, digest(code), now)
    return open_session(db, now) if is_valid else None


def log_out(db: Database, session: str) -> None:
    with db.write() as tx:
        users.log_out(tx, digest(session))


def owner_of(db: Database, session: str, now: datetime, admin_token_hash: str | None) -> Principal | None:
    """Who is logged in by this session, or None."""
    with db.read() as tx:
        found = users.login(tx, digest(session), now)
        if found is None or not _still_opens(tx, found.opened_with, now, admin_token_hash):
            return None
    return Principal(found.user.name, Role(found.user.role), is_browser=True)


def _still_opens(tx: Tx, token_hash: str | None, now: datetime, admin_token_hash: str | None) -> bool:
    """Whether the token that a session was opened with, if it was one, is neither revoked nor expired."""
    if token_hash is None or token_hash == admin_token_hash:
        return True
    return tokens.with_hash(tx, token_hash, now) is not None


def new_login_path(db: Database, now: datetime) -> str:
    """The path of a link that logs an administrator in, once; links made before are void."""
    code = secrets.token_urlsafe(24)
    with db.write() as tx:
        users.add_login_link(tx, digest(code), now, LINK_LASTS)
    return f"/login/once/{code}"


def hash_password(password: str) -> str:
    return _passwords.hash(password)
