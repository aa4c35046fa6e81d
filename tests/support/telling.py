"""People who are told: targets of an installation, its loops that tell, and what was sent, all in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from app.commands.notification_targets import Defined, TargetDraft, define_target
from app.domain.mail import Message
from app.domain.notifications import Kind, Rule
from app.store import notifications
from app.store.notification_targets import Target
from app.store.notifications import Notification
from app.workers.notifying import NoticeWorker, NotifyingWorker
from tests.support.installation import Installation

URL = "https://ci.example.com"
SLACK, HOOK = "https://hooks.slack.com/services/T0/B0/secret", "https://hooks.example.com/in"
CHECK = "https://hc-ping.com/2b1c0c0e-0000-4000-8000-000000000000"


@dataclass
class Inline:
    """A pool whose calls are over when they return, unless a key is said to be busy."""

    busy: set[Hashable] = field(default_factory=set)
    on_done: Callable[[], None] = lambda: None

    def give(self, key: Hashable, call: Callable[[], None]) -> bool:
        if key in self.busy:
            return False
        call()
        return True


@dataclass
class Told:
    """`posts` are what was posted, as (url, body, headers), `mails` what was mailed; `faults` are raised instead."""

    place: Installation
    posts: list[tuple[str, bytes, Mapping[str, str]]] = field(default_factory=list)
    mails: list[Message] = field(default_factory=list)
    faults: list[Exception] = field(default_factory=list)
    pool: Inline = field(default_factory=Inline)

    def __post_init__(self) -> None:
        place = self.place
        self.noticing = NoticeWorker(place.db, place.clock)
        self.sending = NotifyingWorker(
            place.db, place.clock, place.box, place.log_storage, self._post, self._mail, URL, self.pool
        )

    def target(
        self,
        name: str,
        *on: str,
        kind: str = "slack",
        address: str = SLACK,
        jobs: Sequence[str] = (),
        **more: Any,
    ) -> Target:
        return self.defined(name, *on, kind=kind, address=address, jobs=jobs, **more).target

    def defined(self, name: str, *on: str, kind: str, address: str, **more: Any) -> Defined:
        place, rules = self.place, tuple(Rule(each) for each in on)
        draft = TargetDraft(
            name, Kind(kind), rules, **{**more, "jobs": tuple(more.get("jobs", ()))}, address=address
        )
        with place.db.write() as tx:
            return define_target(tx, place.box, place.project, draft, place.clock.now())

    def notice(self) -> None:
        self.noticing.step()

    def tell(self, seconds: float = 4) -> None:
        """Notice what happened, and send what is due so much later."""
        self.noticing.step()
        self.place.clock.advance(seconds)
        self.send()

    def send(self) -> None:
        for _ in range(100):
            if not self.sending.step():
                return
        raise AssertionError("it never ends")

    def deliveries(self, target: Target) -> list[Notification]:
        """Oldest first."""
        with self.place.db.read() as tx:
            return list(reversed(notifications.page(tx, target.id, 100)))

    def headlines(self, target: Target) -> list[list[str]]:
        """What each message to a target tells, oldest first."""
        return [[item.headline for item in each.items] for each in self.deliveries(target)]

    def bodies(self) -> list[Any]:
        return [json.loads(body) for _, body, _ in self.posts]

    def wait(self, **span: float) -> None:
        self.place.clock.advance(timedelta(**span).total_seconds())

    def _post(self, url: str, body: bytes, headers: Mapping[str, str]) -> str:
        if self.faults:
            raise self.faults.pop(0)
        self.posts.append((url, body, headers))
        return "The address took it with status 200."

    def _mail(self, message: Message) -> None:
        if self.faults:
            raise self.faults.pop(0)
        self.mails.append(message)
