"""Sends the mails that are due, one after the other: outside of any transaction, so that nobody waits for the server.

A server that dies between the sending and its record sends the mail once more: it may come twice, but none is lost.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from app.commands.mails import message_of
from app.domain.errors import JobyardError, TransientError
from app.domain.mail import Message, next_try
from app.runtime.ports import Clock, Vault
from app.store import mails
from app.store.database import Database
from app.store.mails import Mail

log = logging.getLogger(__name__)
SENDING_TAKES_AT_MOST = timedelta(
    minutes=2
)  # a dozen answers of the server; then another one of ours may try
FAULT = "Jobyard failed while sending the mail; the server's log has more."


@dataclass(frozen=True)
class MailWorker:
    """`send` hands a message over; `url` is what this installation is called, where links lead."""

    db: Database
    clock: Clock
    vault: Vault
    send: Callable[[Message], None]
    url: str

    def step(self) -> bool:
        """True if a mail was sent, or tried."""
        now = self.clock.now()
        with self.db.write() as tx:
            mail = mails.claim(tx, now, now + SENDING_TAKES_AT_MOST)
        if mail is None:
            return False
        try:
            self._send(mail)
        except TransientError as error:
            self._failed(mail, str(error), is_final=False)
        except JobyardError as error:
            self._failed(mail, str(error), is_final=True)
        except Exception:
            log.exception("mail %s could not be sent", mail.id)
            self._failed(mail, FAULT, is_final=False)
        return True

    def _send(self, mail: Mail) -> None:
        with self.db.write() as tx:
            message = message_of(tx, self.vault, mail, self.url, self.clock.now())
            if message is None:
                mails.drop(tx, mail)
                return
        self.send(message)
        with self.db.write() as tx:
            if mail.user_id is None:
                mails.drop(tx, mail)
            else:
                mails.conclude(tx, mail, f"Mailed to {message.to}.", due_at=None, sent_at=self.clock.now())

    def _failed(self, mail: Mail, said: str, *, is_final: bool) -> None:
        delay = None if is_final else next_try(mail.tries)
        log.warning("mail %s for %r was not sent, try %s: %s", mail.id, mail.account, mail.tries, said)
        with self.db.write() as tx:
            if delay is None and mail.user_id is None:
                mails.drop(tx, mail)
            else:
                due_at = None if delay is None else self.clock.now() + delay
                mails.conclude(tx, mail, said, due_at=due_at)
