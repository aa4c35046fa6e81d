"""What tells people, made of what the server's parts are; what it sends with is imported when there is something."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from app.bootstrap.parts import Parts
from app.domain.mail import Message
from app.runtime.threads import KeyedThreadPool
from app.workers.notifying import NotifyingWorker

SENT_AT_ONCE = 8


def notifying_worker(parts: Parts, listening_url: str) -> NotifyingWorker:
    own = parts.installation
    return NotifyingWorker(
        db=own.db,
        clock=own.clock,
        vault=own.box,
        log_storage=parts.log_storage,
        post=_post(parts),
        send_mail=_send_mail(parts),
        url=parts.settings.public_url or listening_url,
        pool=KeyedThreadPool("sender", SENT_AT_ONCE),
    )


def _post(parts: Parts) -> Callable[[str, bytes, Mapping[str, str]], str]:
    egress = parts.settings.may_reach

    def post(url: str, body: bytes, headers: Mapping[str, str]) -> str:
        from app.http_notifier import post as post_to

        return post_to(egress, url, body, headers)

    return post


def _send_mail(parts: Parts) -> Callable[[Message], None] | None:
    server = parts.settings.mail_server
    if server is None:
        return None

    def send(message: Message) -> None:
        from app.mail import Mailer

        Mailer(server).send(message)

    return send
