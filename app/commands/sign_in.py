"""Logging in by name and password: who may try, what is told of a failure, and what a browser is given."""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass, field, replace
from datetime import datetime

from app.commands.passwords import Places
from app.commands.refusals import Refusals
from app.commands.sessions import Client, open_session
from app.commands.sign_in_throttle import Attempt, SignInThrottle
from app.commands.tokens import digest, holder_of
from app.domain import limits
from app.domain.audit import NOBODY, Action, Entry, Subject
from app.domain.errors import Busy, InvalidValue
from app.domain.principals import Right
from app.runtime import request_id
from app.runtime.pace import Pace
from app.store import sessions as store
from app.store import users
from app.store.audit_recorder import identified
from app.store.database import Database, recorded_by
from app.store.sessions import SessionLimits
from app.store.users import User

log = logging.getLogger(__name__)
THROTTLED, LINK_OF_NO_USE = "too many tries", "link of no use"
ACTIONS = {THROTTLED: Action.SIGN_IN_THROTTLED, LINK_OF_NO_USE: Action.USER_ACCEPT_LINK}
NAMELESS = "-"  # as whose account a guess without a name counts: it may be meant as an API token


@dataclass(frozen=True)
class SignedIn:
    """The secrets of a new session and, for a user, of the browser's cookie."""

    session: str = field(repr=False)
    device: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Desk:
    """What all logging in of one server has in common. Those whom an account knows have places of their own."""

    throttle: SignInThrottle = field(default_factory=SignInThrottle)
    resets: SignInThrottle = field(default_factory=SignInThrottle)  # of who asks for a link by mail
    strangers: Places = field(default_factory=lambda: Places(waiting=8, at_once=1))
    known: Places = field(default_factory=lambda: Places(waiting=4, at_once=1))
    refusing: Pace = field(default_factory=lambda: Pace(a_second=10, at_once=10, longest=5))
    limits: SessionLimits = field(default_factory=SessionLimits)
    refusals: Refusals = field(default_factory=Refusals)


def sign_in(
    db: Database,
    desk: Desk,
    name: str,
    password: str,
    client: Client,
    now: datetime,
    admin_token_hash: str | None,
) -> SignedIn | None:
    """A new session for the right password, or for an administrator's API token given as password; else None.

    Raises Busy for who has to wait. Each failure is a line in the log that names the address it came from.
    """
    if len(password) > limits.PASSWORD:
        refused(db, desk, client, None, "password too long", now)
        return None
    holder = holder_of(db, password, now, admin_token_hash)
    if holder is not None and holder.may(Right.PEOPLE):
        identified(holder)
        with db.write() as tx:
            return SignedIn(open_session(tx, now, desk.limits, client, opened_with=digest(password)))
    attempt, user = _attempt(db, name, client)
    try:
        desk.throttle.require_turn(attempt, now)
        places = desk.known if attempt.is_known else desk.strangers
        is_right = places.verify(password, user.password_hash if user else "")
    except Busy:
        refused(db, desk, client, user, THROTTLED, now)
        raise
    if user is None or not is_right or user.disabled_at is not None:
        desk.throttle.failed(attempt, now)
        refused(db, desk, client, user, _why(user, is_right=is_right), now)
        return None
    desk.throttle.succeeded(attempt)
    _renew_hash(db, places, user, password)
    return welcome(db, desk, user.id, client, now)


def _renew_hash(db: Database, places: Places, user: User, password: str) -> None:
    """Store the password anew, as today's are, which is no change of the account's."""
    renewed = places.renewed(password, user.password_hash)
    if renewed is not None:
        with recorded_by(None), db.write() as tx:
            users.renew_hash(tx, user.id, user.password_hash, renewed)


def require_password(
    db: Database, desk: Desk, user_id: int, password: str, session: str | None, client: Client, now: datetime
) -> None:
    """The user's present password, from who has a session (its hash) of theirs. Raises InvalidValue; Busy.

    Wrong ones count for that session: who has taken it over guesses no faster than at the door, and holds up nobody.
    """
    with db.read() as tx:
        user = users.with_id(tx, user_id)
    attempt = Attempt(users.name_key(user.name), client.network, session or client.network)
    try:
        desk.throttle.require_turn(attempt, now)
        is_right = len(password) <= limits.PASSWORD and desk.known.verify(password, user.password_hash)
    except Busy:
        refused(db, desk, client, user, THROTTLED, now)
        raise
    if not is_right:
        desk.throttle.failed(attempt, now)
        refused(db, desk, client, user, "wrong present password", now)
        raise InvalidValue("current", "That is not the present password.")
    desk.throttle.succeeded(attempt)


def _why(user: User | None, *, is_right: bool) -> str:
    if user is None:
        return "unknown name"
    return "account disabled" if is_right else "wrong password"


def refused(db: Database, desk: Desk, client: Client, user: User | None, reason: str, now: datetime) -> None:
    """Every sign-in that did not succeed passes here. The line is what fail2ban looks for; it holds no secret."""
    account = "no account" if user is None else f"account {user.name}"
    log.warning("Sign-in refused from %s: %s, %s", client.address, account, reason)
    entry = Entry(
        at=now,
        actor=replace(NOBODY, address=client.address),
        action=ACTIONS.get(reason, Action.SIGN_IN_FAILED),
        subject=Subject("user") if user is None else Subject("user", user.id, user.name),
        detail=f"{reason[:1].upper()}{reason[1:]}.",
        request_id=request_id.current(),
    )
    desk.refusals.add(db, entry)


def _attempt(db: Database, name: str, client: Client) -> tuple[Attempt, User | None]:
    account = name.strip().casefold()[: limits.USER_NAME] or NAMELESS
    device = None if client.device is None else digest(client.device)
    with db.read() as tx:
        user = users.named(tx, name.strip())
        if user is None:
            return Attempt(account, client.network), None
        has_device, knows_network = store.is_known(tx, user.id, device=device, network=client.network)
    known_device = device if has_device else None
    return Attempt(user.name.casefold(), client.network, known_device, knows_network), user


def welcome(db: Database, desk: Desk, user_id: int, client: Client, now: datetime) -> SignedIn:
    """A new session of a user who has proved who they are; the browser and its network are known from now on."""
    device = client.device or secrets.token_urlsafe(32)
    with db.write() as tx:
        session = open_session(tx, now, desk.limits, client, user_id=user_id)
        store.remember_device(tx, digest(device), user_id, client.network, now)
    return SignedIn(session, device)
