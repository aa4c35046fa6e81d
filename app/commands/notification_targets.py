"""Notification targets as people define, change, try and remove them; the address is sealed, and never comes out."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from app.commands.notice_items import of_test
from app.domain.errors import InvalidValue, NotFound, require_consistent
from app.domain.notification_addresses import SECRET_PREFIX, checked_address, split_secret, with_secret
from app.domain.notifications import Kind, Rule
from app.domain.sealing import of_target
from app.runtime.ports import Vault
from app.store import jobs, notification_targets, notifications
from app.store.database import Tx
from app.store.notification_targets import Target
from app.store.notifications import Notification
from app.store.projects import Project

SECRET_BYTES = 32
NO_MAIL = "No mail is sent: JOBYARD_SMTP_URL is not set on this server."
FOR_NOTHING = "All jobs that it was for are deleted, so it is told of nothing but alarms."


@dataclass(frozen=True)
class TargetDraft:
    """A target that is to be stored; `jobs` are names, and none stands for all. Without an address it keeps its own.

    A ping target has no rules: it is told of each begin and end.
    """

    name: str
    kind: Kind
    on: tuple[Rule, ...]
    jobs: tuple[str, ...] = ()
    absence_hours: int | None = None
    address: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Defined:
    """A target, and what its webhook is signed with if that was made now: it is shown this once."""

    target: Target
    signing_secret: str | None = field(default=None, repr=False)


def define_target(tx: Tx, vault: Vault, project: Project, draft: TargetDraft, now: datetime) -> Defined:
    """A new target. Raises InvalidValue, Contradictions or Conflict, and then nothing is made."""
    _require_usable(tx, project, draft)
    address, secret = _signed(draft.kind, checked_address(draft.kind, draft.address or ""))
    target_id = notification_targets.new_id(tx)
    made = notification_targets.create(
        tx,
        project.id,
        target_id=target_id,
        name=draft.name,
        kind=draft.kind,
        address=vault.seal(address, of_target(project.id, target_id)),
        on=_ordered(draft.on),
        jobs=draft.jobs,
        absence_hours=draft.absence_hours,
        now=now,
    )
    return Defined(made, secret)


def change_target(tx: Tx, vault: Vault, project: Project, target: Target, draft: TargetDraft) -> Defined:
    """The target as the draft has it. Raises InvalidValue or Contradictions, and then it stays as it was."""
    _require_usable(tx, project, draft)
    sealed, secret = target.address, None
    if draft.address is not None:
        address, secret = _signed(draft.kind, checked_address(draft.kind, draft.address))
        sealed = vault.seal(address, of_target(project.id, target.id))
    changed = notification_targets.change(
        tx,
        target,
        address=sealed,
        on=_ordered(draft.on),
        jobs=draft.jobs,
        absence_hours=draft.absence_hours,
    )
    return Defined(changed, secret)


def try_target(tx: Tx, target: Target, who: str, now: datetime) -> Notification:
    """Have a test sent to it, at once and by itself."""
    item = of_test(target.name, who, now)
    return notifications.add(tx, target.id, item, now, due_at=now, is_test=True)


def draft_of(target: Target) -> TargetDraft:
    """What is stored as it could be given again; it keeps its address."""
    return TargetDraft(target.name, target.kind, target.on, target.jobs, target.absence_hours)


def warnings_of(target: Target, *, sends_mail: bool) -> Iterator[str]:
    """Why nobody is told by it as it is."""
    if target.kind is Kind.EMAIL and not sends_mail:
        yield NO_MAIL
    if target.is_for_nothing:
        yield FOR_NOTHING


def _signed(kind: Kind, address: str) -> tuple[str, str | None]:
    """An address of a webhook has its secret behind it: one that it comes without is made."""
    if kind is not Kind.WEBHOOK or split_secret(address)[1]:
        return address, None
    secret = SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
    return with_secret(address, secret), secret


def _require_usable(tx: Tx, project: Project, draft: TargetDraft) -> None:
    require_consistent(_contradictions(draft))
    for number, name in enumerate(draft.jobs):
        try:
            jobs.named(tx, project.name, name)
        except NotFound:
            message = f"jobs.{number} must name a job of project {project.name}, not {name!r}."
            raise InvalidValue(f"jobs.{number}", message) from None


def _contradictions(draft: TargetDraft) -> Iterator[tuple[str, str]]:
    if draft.kind is Kind.PING and draft.on:
        yield "on", "must be empty for a ping, which tells each begin and end of a run"
    if draft.kind is not Kind.PING and not draft.on:
        yield "on", "must name at least one rule, such as failure"
    watches = Rule.ABSENCE in draft.on
    if watches and draft.absence_hours is None:
        yield "absence_hours", "must say for how many hours without a success absence is told"
    if not watches and draft.absence_hours is not None:
        yield "absence_hours", "has a meaning only where on has absence"


def _ordered(rules: Iterable[Rule]) -> list[Rule]:
    given = set(rules)
    return [rule for rule in Rule if rule in given]
