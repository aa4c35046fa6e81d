"""Signing in by the word of an identity provider: who is let in, as whom, and with which roles.

Issuer and subject name the user. A name or an e-mail address that somebody here has is never enough to become them.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime

from app.commands.accounts import check_email, check_name
from app.commands.sessions import Client, open_session
from app.commands.sign_in import Desk, SignedIn
from app.commands.tokens import digest
from app.domain import limits
from app.domain.audit import NOBODY, PROVIDER, Action, Actor, Entry, Subject
from app.domain.errors import Conflict, NotFound, UserError
from app.domain.identities import Identity
from app.domain.principals import Grant, Role
from app.runtime import request_id
from app.store import projects, sessions, users
from app.store.audit_recorder import AuditRecorder
from app.store.database import Database, Tx, recorded_by
from app.store.users import User

log = logging.getLogger(__name__)
Roles = Mapping[int | None, Role]


class NotAdmitted(UserError):
    """Somebody has proved who they are, and may not come in; `str(error)` says why."""


def sign_in_by_provider(
    db: Database, desk: Desk, identity: Identity, client: Client, now: datetime
) -> SignedIn:
    """A new session of the user that the identity is, who is made the first time. Raises NotAdmitted.

    The user's roles are those of the claim from now on. Who has none any more loses them, and what is open, at once.
    """
    device = client.device or secrets.token_urlsafe(32)
    with _recorded(Action.SIGN_IN_DONE, replace(NOBODY, address=client.address), now), db.write() as tx:
        known = users.of_identity(tx, identity.issuer, identity.subject)
        roles = _roles(tx, identity)
        if roles and known is None:  # unless another browser of theirs came a moment earlier
            users.take_turn(tx)
            known = users.of_identity(tx, identity.issuer, identity.subject)
        if roles and (known is None or known.disabled_at is None):
            user = known or _make(tx, identity, now)
            _apply(tx, user, roles)
            session = open_session(tx, now, desk.limits, client, user_id=user.id)
            sessions.remember_device(tx, digest(device), user.id, client.network, now)
            return SignedIn(session, device)
    if known is not None and not roles:
        _take_all(db, known, client, now)
    if known is not None and known.disabled_at is not None:
        raise NotAdmitted(f"The account {known.name} is disabled: ask an administrator to enable it.")
    raise NotAdmitted(
        f"The identity provider gives {identity.name[: limits.USER_NAME]} no role here: its claim {identity.claim} "
        "must be, or hold, viewer, operator or admin, or one of these in a project, as PROJECT:viewer."
    )


def turn_away(db: Database, desk: Desk, client: Client, why: str, now: datetime) -> None:
    """Leave an entry, and a line in the log, of a sign-in by the provider that came to nothing.

    The line is another than that of a wrong password: an outage of the provider is nobody's guessing.
    """
    log.warning("Sign-in by the identity provider came to nothing, from %s: %s", client.address, why)
    actor = replace(NOBODY, address=client.address)
    entry = Entry(
        at=now,
        actor=actor,
        action=Action.SIGN_IN_FAILED,
        subject=Subject("user"),
        detail=why,
        request_id=request_id.current(),
    )
    desk.refusals.add(db, entry)


def _roles(tx: Tx, identity: Identity) -> Roles:
    """The roles by project's id. A project that there is not is not for here."""
    found: dict[int | None, Role] = {}
    for each in identity.roles:
        try:
            found[None if each.project is None else projects.named(tx, each.project).id] = each.role
        except NotFound:
            continue
    return found


def _make(tx: Tx, identity: Identity, now: datetime) -> User:
    """A user without a password. Raises NotAdmitted where name or address are somebody else's."""
    try:
        user = users.add(tx, check_name(identity.name), "", None, now, email=check_email(identity.email))
    except Conflict as error:
        raise NotAdmitted(
            f"{error} To let you in as that user, an administrator links it to the subject {identity.subject}, "
            "on the user's page."
        ) from None
    except UserError as error:
        raise NotAdmitted(f"The identity provider's name for you can't be used here: {error}") from None
    users.set_identity(tx, user.id, identity.issuer, identity.subject)
    return user


def _apply(tx: Tx, user: User, roles: Roles) -> None:
    """Give these roles and no others. Sessions end where a right is lost."""
    if {each.project_id: each.role for each in user.grants} == roles:
        return
    users.replace_grants(tx, user.id, roles)
    if _loses(user.rights, users.with_id(tx, user.id).rights):
        sessions.end_of_user(tx, user.id)


def _loses(before: Sequence[Grant], after: Sequence[Grant]) -> bool:
    return any(
        not any(right in new.rights and new.covers(old.project_id) for new in after)
        for old in before
        for right in old.rights
    )


def _take_all(db: Database, user: User, client: Client, now: datetime) -> None:
    actor = replace(PROVIDER, address=client.address)
    with _recorded(Action.USER_REVOKE, actor, now, user.id), db.write() as tx:
        users.replace_grants(tx, user.id, {})
        sessions.end_of_user(tx, user.id)


@contextmanager
def _recorded(action: Action, actor: Actor, now: datetime, about: int | None = None) -> Iterator[None]:
    with recorded_by(AuditRecorder(action, actor, now, request_id.current(), about)):
        yield
