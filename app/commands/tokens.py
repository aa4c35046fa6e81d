"""API tokens: made, with their secret shown once, and known again by its hash."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from app.domain import principals
from app.domain.errors import InvalidValue, NotFound
from app.domain.principals import Grant, Principal, Role, Scope
from app.store import projects, tokens
from app.store.database import Database, Tx
from app.store.tokens import Token

LASTS = timedelta(days=365)  # unless it is said otherwise
TOKEN_PREFIX = "jy_"  # noqa: S105 - what a token begins with, so that scanners find a leaked one
OF_SETTINGS = Principal(principals.OF_SETTINGS, (Grant.of_role(Role.ADMIN),))  # JOBYARD_ADMIN_TOKEN


@dataclass(frozen=True)
class IssuedToken:
    """A new token with its secret, which is stored nowhere."""

    token: Token
    secret: str = field(repr=False)


def digest(secret: str) -> str:
    """What is stored of a token or session: its SHA-256. They are random, so that is enough."""
    return hashlib.sha256(secret.encode()).hexdigest()


def new_token() -> str:
    return TOKEN_PREFIX + secrets.token_urlsafe(32)


def issue_token(
    tx: Tx,
    *,
    name: str,
    scopes: Collection[Scope],
    project: str | None,
    expires_at: datetime | None,
    now: datetime,
) -> IssuedToken:
    """Create a token for all projects, or for the one named. Raises InvalidValue, Conflict."""
    if not scopes:
        raise InvalidValue("scopes", "scopes must name at least one of read, run, deploy and admin.")
    if expires_at is not None and expires_at <= now:
        raise InvalidValue("expires_at", f"expires_at must be in the future, not {expires_at.isoformat()}.")
    secret = new_token()
    project_id = None if project is None else _project_id(tx, project)
    made = tokens.add(tx, name, digest(secret), scopes, now, project_id=project_id, expires_at=expires_at)
    return IssuedToken(made, secret)


def _project_id(tx: Tx, name: str) -> int:
    try:
        return projects.named(tx, name).id
    except NotFound:
        raise InvalidValue("project", f"project must name a project, not {name!r}.") from None


def holder_of(db: Database, secret: str, now: datetime, admin_token_hash: str | None) -> Principal | None:
    """Who has this token, or None for one that is unknown or expired; its use is stored once a minute at most."""
    hash_ = digest(secret)
    if _is_of_settings(hash_, admin_token_hash):
        return OF_SETTINGS
    with db.read() as tx:
        found = tokens.with_hash(tx, hash_, now)
    if found is None:
        return None
    if found.last_used_at is None or now - found.last_used_at > tokens.SEEN_EVERY:
        with db.write() as tx:
            tokens.mark_used(tx, found.id, now)
    return _principal(found)


def principal_of(tx: Tx, hash_: str, now: datetime, admin_token_hash: str | None) -> Principal | None:
    """Who has the token of this hash, or None for one that is unknown or expired."""
    if _is_of_settings(hash_, admin_token_hash):
        return OF_SETTINGS
    found = tokens.with_hash(tx, hash_, now)
    return None if found is None else _principal(found)


def _is_of_settings(hash_: str, admin_token_hash: str | None) -> bool:
    return admin_token_hash is not None and hmac.compare_digest(hash_, admin_token_hash)


def _principal(token: Token) -> Principal:
    return Principal(token.name, (token.grant,), token_id=token.id)
