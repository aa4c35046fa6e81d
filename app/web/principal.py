"""Who is calling: an API token, or a browser that is logged in. No policy lives here but the roles."""

from __future__ import annotations

import enum
import hashlib
import hmac
import secrets
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error
from starlette.requests import HTTPConnection

from app.domain import limits
from app.store import tokens, users
from app.store.database import Database, Tx
from app.web.problems import Problem
from app.web.server_context import ServerContext, server_of

COOKIE = "jobyard_session"
SESSION_LASTS = timedelta(days=14)
LINK_LASTS = timedelta(hours=1)
TOKEN_PREFIX = "jy_"  # noqa: S105 - what a token begins with, so that scanners find a leaked one
_passwords = PasswordHasher()
_hashing = threading.BoundedSemaphore(2)  # each takes 64 MiB
_places = threading.BoundedSemaphore(8)
_no_such_user = _passwords.hash("spends the time that a wrong password would")


class Role(enum.StrEnum):
    """Each may do what those before it may."""

    VIEWER = "viewer"  # read
    OPERATOR = "operator"  # change jobs, build, run, cancel
    ADMIN = "admin"  # projects, tokens, users


_RANK = {role: rank for rank, role in enumerate(Role)}


@dataclass(frozen=True)
class Principal:
    """`project_id` limits a token to one project; None means all."""

    name: str
    role: Role
    project_id: int | None = None
    is_browser: bool = False

    def may(self, role: Role, project_id: int | None = None) -> bool:
        in_reach = self.project_id is None or self.project_id == project_id
        return in_reach and _RANK[self.role] >= _RANK[role]


def digest(secret: str) -> str:
    """What is stored of a token or session: its SHA-256. They are random, so that is enough."""
    return hashlib.sha256(secret.encode()).hexdigest()


def new_token() -> str:
    return TOKEN_PREFIX + secrets.token_urlsafe(32)


def identify(connection: HTTPConnection) -> Principal | None:
    """The caller, or None. Blocking: it asks the store."""
    server = server_of(connection)
    scheme, _, credentials = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return _by_token(server, credentials.strip())
    session = connection.cookies.get(COOKIE)
    return _by_session(server, session) if session else None


def _by_token(server: ServerContext, token: str) -> Principal | None:
    hash_ = digest(token)
    if server.admin_token_hash is not None and hmac.compare_digest(hash_, server.admin_token_hash):
        return Principal("admin token", Role.ADMIN)
    now = server.clock.now()
    with server.db.read() as tx:
        found = tokens.with_hash(tx, hash_, now)
    if found is None:
        return None
    if found.last_used_at is None or now - found.last_used_at > tokens.SEEN_EVERY:
        with server.db.write() as tx:
            tokens.mark_used(tx, found.id, now)
    return Principal(found.name, Role(found.role), found.project_id)


def _by_session(server: ServerContext, session: str) -> Principal | None:
    now = server.clock.now()
    with server.db.read() as tx:
        found = users.login(tx, digest(session), now)
        if found is None or not _still_opens(server, tx, found.opened_with, now):
            return None
    return Principal(found.user.name, Role(found.user.role), is_browser=True)


def _still_opens(server: ServerContext, tx: Tx, token_hash: str | None, now: datetime) -> bool:
    """Whether the token that a session was opened with, if it was one, is neither revoked nor expired."""
    if token_hash is None or token_hash == server.admin_token_hash:
        return True
    return tokens.with_hash(tx, token_hash, now) is not None


def log_in(server: ServerContext, name: str, password: str) -> str | None:
    """A new session's secret for the right password, or for an API token of an administrator given as password.

    Raises a Problem (429) while too many others try.
    """
    if len(password) > limits.PASSWORD:
        return None
    token = _by_token(server, password)
    if token is not None and token.role is Role.ADMIN and token.project_id is None:
        return open_session(server, opened_with=digest(password))
    with server.db.read() as tx:
        user = users.named(tx, name)
    if not _is_right(password, user.password_hash if user else _no_such_user) or user is None:
        return None
    return open_session(server, user.id)


def _is_right(password: str, hashed: str) -> bool:
    """Slow on purpose, so only a few wait for it: else anybody could take the whole server's memory and time."""
    if not _places.acquire(blocking=False):
        raise Problem(
            429, "Too many are logging in at once: try again in a moment.", headers={"Retry-After": "5"}
        )
    try:
        with _hashing:
            return _passwords.verify(hashed, password)
    except Argon2Error:
        return False
    finally:
        _places.release()


def open_session(server: ServerContext, user_id: int | None = None, opened_with: str | None = None) -> str:
    """A new session's secret: of a user, or of an administrator by token (`opened_with` is its hash) or by link."""
    session = secrets.token_urlsafe(32)
    with server.db.write() as tx:
        users.add_login(
            tx, digest(session), server.clock.now(), SESSION_LASTS, user_id=user_id, opened_with=opened_with
        )
    return session


def new_login_path(db: Database, now: datetime) -> str:
    """The path of a link that logs an administrator in, once; links made before are void."""
    code = secrets.token_urlsafe(24)
    with db.write() as tx:
        users.add_login_link(tx, digest(code), now, LINK_LASTS)
    return f"/login/once/{code}"


def hash_password(password: str) -> str:
    return _passwords.hash(password)
