"""What is sent for a notification: a mail, or a request that a target of its kind takes."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from app.domain import notification_texts as texts
from app.domain.mail import Message
from app.domain.notification_addresses import ping_address, shape_of, split_secret, topic_of
from app.domain.notification_texts import Telling
from app.domain.notifications import Item, Kind, State, key_of
from app.logs.tail import last_lines
from app.runtime.log_storage import LogStorage
from app.store.notification_targets import Target
from app.store.notifications import Notification

_JSON = {"Content-Type": "application/json"}
_WITH_LOG = (State.FAILED, State.RECOVERED, State.SUCCEEDED, State.CANCELLED)


@dataclass(frozen=True)
class Request:
    """A POST; `url` is a secret."""

    url: str = field(repr=False)
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)


def telling_of(notification: Notification, target: Target, project: str, url: str) -> Telling:
    return Telling(
        project=project,
        target=target.name,
        items=notification.items,
        count=notification.count,
        url=url,
        key=key_of(notification.id, notification.created_at),
        created_at=notification.created_at,
    )


def with_log(telling: Telling, log_storage: LogStorage) -> Telling:
    """Of one thing alone the last lines of its log belong to the message."""
    if telling.count > 1 or telling.first.state not in _WITH_LOG:
        return telling
    return replace(telling, log=_log(telling.first, log_storage))


def _log(item: Item, log_storage: LogStorage) -> Sequence[str]:
    if item.run_id is not None and item.attempt:
        return last_lines(log_storage.reader(item.run_id, item.attempt))
    if item.run_id is None and item.build_id is not None and item.state is State.FAILED:
        return last_lines(log_storage.build_reader(item.build_id))
    return ()


def mail_of(telling: Telling, address: str) -> Message:
    return Message(address, texts.subject(telling), f"{texts.text(telling)}\n", telling.key)


def request_of(kind: Kind, address: str, telling: Telling, now: datetime) -> Request:
    """The request for a target that is told by HTTP."""
    keyed = {**_JSON, "Idempotency-Key": telling.key}
    match kind:
        case Kind.NTFY:
            where, topic = topic_of(address)
            return Request(where, texts.as_json(texts.ntfy(telling, topic)), keyed)
        case Kind.PING:
            first = telling.first
            run = (
                str(uuid.uuid5(uuid.NAMESPACE_URL, f"{telling.url}/runs/{first.run_name}"))
                if first.run_id
                else ""
            )
            body = texts.ping(telling).encode()
            return Request(ping_address(address, first.state, run), body, {"Content-Type": "text/plain"})
        case Kind.WEBHOOK:
            return _signed(address, telling, now)
        case _:
            return Request(address, texts.as_json(texts.chat(telling, shape_of(address))), keyed)


def _signed(address: str, telling: Telling, now: datetime) -> Request:
    """By Standard Webhooks: id, time and body are signed, each try anew."""
    from standardwebhooks import Webhook  # few servers need it

    where, secret = split_secret(address)
    body = texts.as_json(texts.webhook(telling))
    signature = Webhook(secret).sign(telling.key, now, body.decode())
    headers = {
        "webhook-id": telling.key,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signature,
    }
    return Request(where, body, {**_JSON, **headers})
