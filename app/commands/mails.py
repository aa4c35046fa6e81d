"""Links to accounts by mail: asked for by an administrator, or by somebody who forgot their password."""

from __future__ import annotations

from datetime import datetime

from app.commands import accounts
from app.commands.accounts import Link
from app.commands.sessions import Client
from app.commands.sign_in import Desk
from app.commands.sign_in_throttle import Attempt
from app.domain import limits
from app.domain.errors import Busy
from app.domain.mail import Message
from app.domain.sealing import of_mailed_link
from app.runtime.ports import Vault
from app.store import mails, users
from app.store.database import Database, Tx
from app.store.mails import Mail
from app.store.users import User


def mail_link(tx: Tx, vault: Vault, user: User, link: Link, now: datetime) -> bool:
    """Have the link mailed to the user, if there is an address; whether there is."""
    if user.email is None:
        return False
    sealed = vault.seal(link.path, of_mailed_link(user.id))
    mails.add(tx, now, user_id=user.id, account=user.name, link=sealed)
    return True


def ask_for_reset(db: Database, desk: Desk, account: str, client: Client, now: datetime) -> None:
    """Have a link mailed to who says to have forgotten the password, if there is such a user with an address.

    Whether there is, is found out when it is sent: neither the answer nor its time tells. One who asks too often, for
    an account or from a network, is not heard.
    """
    account = account.strip()[: limits.EMAIL]
    attempt = Attempt(account.casefold(), client.network)
    try:
        desk.resets.require_turn(attempt, now)
    except Busy:
        return
    desk.resets.failed(attempt, now)
    with db.write() as tx:
        mails.add(tx, now, account=account)


def message_of(tx: Tx, vault: Vault, mail: Mail, url: str, now: datetime) -> Message | None:
    """What is to be sent; None where nobody is to get anything. A link that was asked for by nobody known is made now.

    Only a user with a password has one to forget. Raises JobyardError for a link that can't be opened.
    """
    user = users.named(tx, mail.account) if mail.user_id is None else users.with_id(tx, mail.user_id)
    if user is None or user.email is None or user.disabled_at is not None:
        return None
    if mail.link is not None:
        path = vault.open(mail.link, of_mailed_link(user.id))
        kind = accounts.RESET if user.password_hash else accounts.INVITATION
    elif user.password_hash:
        path, kind = accounts.link_to(tx, user, now).path, accounts.RESET
    else:
        return None
    return Message(user.email, SUBJECTS[kind], TEXTS[kind].format(name=user.name, link=url + path))


SUBJECTS = {
    accounts.INVITATION: "You are invited to Jobyard",
    accounts.RESET: "Another password for Jobyard",
}
TEXTS = {
    accounts.INVITATION: (
        "You are invited to Jobyard, as {name}.\n\nChoose how you log in here, once, within a week:\n{link}\n"
    ),
    accounts.RESET: (
        "Somebody, perhaps you, asked for another password of {name} in Jobyard.\n\n"
        "Choose it here, once, within a day:\n{link}\n\n"
        "If it was not you, leave this link alone: the password stays as it is.\n"
    ),
}
