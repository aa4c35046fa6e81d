"""Tells people: makes notifications of what happened, and sends them.

Each is sent outside of any transaction, in a thread of its target's own, so that a receiver that hangs holds up no
other; all mail goes to one server, and has one thread. A server that dies between the sending and its record sends the
message once more: it may come twice, but none is lost, and its id tells.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

from app.commands import absences, notices
from app.commands.notification_sending import mail_of, request_of, telling_of, with_log
from app.domain.errors import Conflict, JobyardError, TransientError
from app.domain.mail import Message
from app.domain.notifications import Kind, NotTaken, next_try
from app.domain.sealing import of_target
from app.runtime.log_storage import LogStorage
from app.runtime.ports import Clock, Vault
from app.store import notices as stored_notices
from app.store import notification_targets, notifications, projects
from app.store.database import Database, StoreUnavailable
from app.store.notification_targets import Target
from app.store.notifications import Notification

log = logging.getLogger(__name__)
SENDING_TAKES_AT_MOST = timedelta(minutes=3)  # then another server may try
DUE_AT_ONCE = 50  # targets
LOOK_EVERY = timedelta(
    minutes=5
)  # at the latest for absences: for targets and jobs that were made, or resumed
SOON = timedelta(seconds=1)
MAIL = "mail"
FAULT = "Jobyard failed while sending this; the server's log has more."
NO_MAIL = "No mail is sent here: JOBYARD_SMTP_URL is not set."
OVERTAKEN = "Not sent any more: a later ping of the same job was made."

Post = Callable[
    [str, bytes, Mapping[str, str]], str
]  # (url, body, headers): a sentence, without the url in it


class Pool(Protocol):
    """As `KeyedThreadPool`."""

    on_done: Callable[[], None]

    def give(self, key: Hashable, call: Callable[[], None]) -> bool: ...


@dataclass
class NoticeWorker:
    """Makes notifications of notices, and of jobs without success."""

    db: Database
    clock: Clock
    _look_at: datetime | None = None  # for absences

    def step(self) -> float:
        """Do what is due; returns the seconds until absences are looked for again."""
        while self._tell():
            pass
        now = self.clock.now()
        if self._look_at is None or not timedelta(0) < self._look_at - now <= LOOK_EVERY:
            self._look_at = now + self._look_for_absences(now)
        return (self._look_at - now).total_seconds()

    def _tell(self) -> bool:
        with self.db.read() as tx:
            if not stored_notices.is_any(tx):
                return False
        try:
            with self.db.write() as tx:
                return notices.tell(tx, self.clock.now())
        except StoreUnavailable:
            raise
        except Exception:
            log.exception("of some notices one can't be told: they are told one by one")
            return self._tell_one()

    def _tell_one(self) -> bool:
        """One that meets a fault of ours is left out, so that it holds up no other."""
        try:
            with self.db.write() as tx:
                return notices.tell(tx, self.clock.now(), limit=1)
        except StoreUnavailable:
            raise
        except Exception:
            log.exception("a notice can't be told and is left out")
        with self.db.write() as tx:
            return bool(stored_notices.take(tx, 1))

    def _look_for_absences(self, now: datetime) -> timedelta:
        with self.db.read() as tx:
            if not notification_targets.watching_for_absence(tx):
                return LOOK_EVERY
        with self.db.write() as tx:
            due = absences.look(tx, now)
        return LOOK_EVERY if due is None else min(max(due - now, SOON), LOOK_EVERY)


@dataclass(frozen=True)
class NotifyingWorker:
    """`url` is what this installation is called, where links lead; `send_mail` is None where no mail is sent."""

    db: Database
    clock: Clock
    vault: Vault
    log_storage: LogStorage
    post: Post
    send_mail: Callable[[Message], None] | None
    url: str
    pool: Pool

    def step(self) -> bool:
        """Have sent what is due; True if any of it is being sent, or was."""
        with self.db.read() as tx:
            due = notifications.due(tx, self.clock.now(), DUE_AT_ONCE)
        given = 0
        for notification_id, target_id, kind in due:
            key: Hashable = MAIL if kind == Kind.EMAIL else target_id
            given += self.pool.give(key, partial(self._send_one, notification_id))
        return given > 0

    def _send_one(self, notification_id: int) -> None:
        now = self.clock.now()
        with self.db.write() as tx:
            notification = notifications.claim(tx, notification_id, now, now + SENDING_TAKES_AT_MOST)
            if notification is None:
                return
            target = notification_targets.with_id(tx, notification.target_id)
            if target is None:
                return
            is_late = notification.job_id is not None and notification.tries > 1
            if is_late and notifications.is_overtaken(tx, notification):
                notifications.conclude(tx, notification, OVERTAKEN, kind=target.kind, due_at=None)
                return
            project = projects.with_id(tx, target.project_id).name
        try:
            said = self._send(notification, target, project)
        except (StoreUnavailable, MemoryError):
            raise
        except JobyardError as error:
            self._failed(notification, target, error)
        except Exception:
            log.exception("notification %s could not be sent", notification.id)
            self._failed(notification, target, TransientError(FAULT))
        else:
            with self.db.write() as tx:
                sent_at = self.clock.now()
                notifications.conclude(tx, notification, said, kind=target.kind, due_at=None, sent_at=sent_at)

    def _send(self, notification: Notification, target: Target, project: str) -> str:
        address = self.vault.open(target.address, of_target(target.project_id, target.id))
        telling = with_log(telling_of(notification, target, project, self.url), self.log_storage)
        if target.kind is not Kind.EMAIL:
            request = request_of(target.kind, address, telling, self.clock.now())
            return self.post(request.url, request.body, request.headers)
        if self.send_mail is None:
            raise Conflict(NO_MAIL)
        self.send_mail(mail_of(telling, address))
        return "The mail server took it."

    def _failed(self, notification: Notification, target: Target, error: JobyardError) -> None:
        wish = error.wish if isinstance(error, NotTaken) else None
        is_final = not isinstance(error, TransientError)
        delay = None if is_final else next_try(notification.tries, wish)
        log.warning(
            "notification %s to %r was not taken, try %s: %s",
            *(notification.id, target.name, notification.tries, error),
        )
        with self.db.write() as tx:
            due_at = None if delay is None else self.clock.now() + delay
            notifications.conclude(tx, notification, str(error), kind=target.kind, due_at=due_at)
