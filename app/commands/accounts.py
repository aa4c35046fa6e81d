"""What is done with accounts: made, invited, given rights, disabled, removed, and let in by links of use once.

Each of these changes is a person's, an administrator's or the holder's own. What takes rights away ends sessions.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from app.commands.passwords import check_password, hash_password
from app.commands.tokens import digest
from app.domain import limits
from app.domain.audit import COMMAND_LINE, NOBODY, PROVIDER
from app.domain.errors import Conflict, InvalidValue, NotFound
from app.domain.principals import OF_SETTINGS, TOKEN_CALLED, Role
from app.store import projects, sessions, users
from app.store.database import Database, Tx
from app.store.sessions import AccountLink
from app.store.users import User

NOT_USERS = frozenset({OF_SETTINGS, NOBODY.name, COMMAND_LINE.name, PROVIDER.name})
SETUP, INVITATION, RESET = "setup", "invitation", "reset"
LASTS = {SETUP: timedelta(hours=1), INVITATION: timedelta(days=7), RESET: timedelta(days=1)}


@dataclass(frozen=True)
class Link:
    """A path that is of use once. It is stored nowhere, so it is shown to who asked for it, and no more."""

    path: str = field(repr=False)
    expires_at: datetime


def setup_path(db: Database, now: datetime) -> str:
    """The path of a link that makes an administrator, once; those made before are void."""
    with db.write() as tx:
        return _link(tx, SETUP, now, None).path


def invite(
    tx: Tx, *, name: str, email: str | None, role: Role | None, project: str | None, now: datetime
) -> User:
    """A user without a password yet, with a role in a project or in all. Raises InvalidValue, Conflict."""
    project_id = _project_id(tx, project)
    return users.add(tx, check_name(name), "", role, now, project_id=project_id, email=check_email(email))


def link_to(tx: Tx, user: User, now: datetime) -> Link:
    """A link by which the user chooses a password: the first, or another. Raises Conflict for who is disabled."""
    if user.disabled_at is not None:
        raise Conflict(f"{user.name} is disabled: enable the account first.")
    return _link(tx, RESET if user.password_hash else INVITATION, now, user.id)


def _link(tx: Tx, kind: str, now: datetime, user_id: int | None) -> Link:
    code = secrets.token_urlsafe(24)
    sessions.add_link(tx, digest(code), kind, now, LASTS[kind], user_id)
    return Link(f"/login/once/{code}", now + LASTS[kind])


def read_link(tx: Tx, code: str, now: datetime) -> tuple[AccountLink, User | None] | None:
    """What a link is for and whose it is; None for one that is no longer of use."""
    found = sessions.link(tx, digest(code), now)
    if found is None:
        return None
    return found, None if found.user_id is None else users.with_id(tx, found.user_id)


def accept(
    db: Database, code: str, *, name: str, email: str | None, password: str, now: datetime
) -> int | None:
    """Spend a link: the account has this name, address and password from now on. Returns the user's id.

    None for a link that is no longer of use. Raises InvalidValue or Conflict, and spends nothing, for a value that
    can't be taken. A reset leaves name and address as they are, and ends the sessions that there are.
    """
    with db.read() as tx:
        if read_link(tx, code, now) is None:
            return None  # before anything is hashed: anybody may send anything here
    hashed = hash_password(check_password(password, name))  # outside of the transaction: it takes a while
    with db.write() as tx:
        found = read_link(tx, code, now)
        if found is None or not sessions.spend_link(tx, digest(code), now):
            return None
        link, user = found
        if user is None:
            made = users.add(tx, check_name(name), hashed, Role.ADMIN, now, email=check_email(email))
            return made.id
        if link.kind == INVITATION:
            users.change(tx, user.id, name=check_name(name), email=check_email(email))
        users.set_password(tx, user.id, hashed)
        sessions.end_of_user(tx, user.id)
        return user.id


def make_administrator(db: Database, name: str, password: str, now: datetime) -> None:
    """For whoever has the server's machine. Links to set up the first one are void then."""
    hashed = hash_password(check_password(password, name))
    with db.write() as tx:
        users.add(tx, check_name(name), hashed, Role.ADMIN, now)
        sessions.void_links(tx, None)


def change_password(db: Database, user_id: int, new: str, *, session: str | None) -> None:
    """Another password, for who has proved to know the present one; all sessions end but `session` (its hash)."""
    with db.read() as tx:
        user = users.with_id(tx, user_id)
    hashed = hash_password(check_password(new, user.name))
    with db.write() as tx:
        users.set_password(tx, user_id, hashed)
        sessions.void_links(tx, user_id)
        sessions.forget_devices(tx, user_id)
        sessions.end_of_user(tx, user_id, but=session)


def change_user(tx: Tx, user: User, *, name: str, email: str | None) -> User:
    users.change(tx, user.id, name=check_name(name), email=check_email(email))
    return users.with_id(tx, user.id)


def grant(tx: Tx, user: User, role: Role, project: str | None) -> User:
    """Give a role in a project, or in all, in place of the one there. Sessions that lose rights end."""
    project_id = _project_id(tx, project)
    before = next((each.role for each in user.grants if each.project_id == project_id), None)
    users.set_grant(tx, user.id, role, project_id)
    if before is not None and before is not role:
        sessions.end_of_user(tx, user.id)
    return users.with_id(tx, user.id)


def revoke(tx: Tx, user: User, project: str | None) -> User:
    """Take the role in a project, or in all. The user's sessions end."""
    users.revoke_grant(tx, user.id, _project_id(tx, project))
    sessions.end_of_user(tx, user.id)
    return users.with_id(tx, user.id)


def link_identity(tx: Tx, user: User, issuer: str, subject: str) -> User:
    """Let a user in whom the identity provider calls `subject`, with the roles that it gives from then on."""
    subject = subject.strip()
    if not 0 < len(subject) <= limits.SUBJECT or not subject.isprintable():
        raise InvalidValue("subject", f"subject must have 1 to {limits.SUBJECT} printable characters.")
    users.set_identity(tx, user.id, issuer, subject)
    return users.with_id(tx, user.id)


def unlink_identity(tx: Tx, user: User) -> User:
    """Know a user by the identity provider no more. Their sessions end, as they may be by its word."""
    users.set_identity(tx, user.id, None, None)
    sessions.end_of_user(tx, user.id)
    return users.with_id(tx, user.id)


def disable(tx: Tx, user: User, now: datetime) -> User:
    """Nobody logs in to the account any more; its sessions end, and its links are void."""
    if user.disabled_at is None:
        users.set_disabled(tx, user.id, now)
    sessions.end_of_user(tx, user.id)
    sessions.void_links(tx, user.id)
    return users.with_id(tx, user.id)


def enable(tx: Tx, user: User) -> User:
    users.set_disabled(tx, user.id, None)
    return users.with_id(tx, user.id)


def remove(tx: Tx, user: User) -> None:
    """With sessions and links. What they did stays under their name."""
    users.remove(tx, user.id)


def check_name(name: str) -> str:
    name = name.strip()
    if not 0 < len(name) <= limits.USER_NAME or not name.isprintable():
        raise InvalidValue("name", f"The name must have 1 to {limits.USER_NAME} printable characters.")
    if (key := users.name_key(name)) in NOT_USERS or key.startswith(TOKEN_CALLED):
        raise InvalidValue("name", f"The name {name} stands for somebody who is no user: choose another.")
    return name


def check_email(email: str | None) -> str | None:
    email = (email or "").strip().lower()
    if not email:
        return None
    local, _, host = email.rpartition("@")
    if not local or not host or len(email) > limits.EMAIL or not email.isprintable() or " " in email:
        raise InvalidValue("email", "The e-mail address must be one such as ada@example.com.")
    return email


def _project_id(tx: Tx, name: str | None) -> int | None:
    if name is None:
        return None
    try:
        return projects.named(tx, name).id
    except NotFound:
        raise InvalidValue("project", f"project must name a project, not {name!r}.") from None
