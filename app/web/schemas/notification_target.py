"""Notification targets as they are given and shown. The address goes in and never comes out."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from app.commands.notification_targets import TargetDraft, draft_of
from app.domain import limits
from app.domain.errors import InvalidValue
from app.domain.notifications import LONGEST_ABSENCE_HOURS, Kind, Rule
from app.store.notification_targets import Target
from app.store.notifications import Notification, Status
from app.web.schemas.base import Model, with_example
from app.web.schemas.fields import Name, Time

EXAMPLE = {
    "name": "ops",
    "kind": "slack",
    "address": "https://hooks.slack.com/services/…",
    "on": ["first_failure", "recovery"],
}
OF_ADDRESS = (
    "write-only: a mail address, or where to post to. A webhook's secret can follow it, as #whsec_…; one is made"
    " and shown once if not"
)
OF_ON = "what it is told of; a ping has none, and is told of each begin and end of a run"
OF_JOBS = "whose ends, builds and deploys it is told of; empty for all jobs of the project"
OF_HOURS = (
    "with the rule absence, told once if no run of a job succeeds for so long: of those in `jobs` or, without any, of"
    " those with a schedule"
)


class TargetForm(Model):
    """Where people, or programs, are told what happens."""

    model_config = with_example(EXAMPLE)

    name: Name
    kind: Kind
    address: str = Field(min_length=1, max_length=limits.URL, repr=False, description=OF_ADDRESS)
    on: list[Rule] = Field(default=[], max_length=len(Rule), description=OF_ON)
    jobs: list[Name] = Field(default=[], max_length=1000, description=OF_JOBS)
    absence_hours: int | None = Field(default=None, ge=1, le=LONGEST_ABSENCE_HOURS, description=OF_HOURS)

    def draft(self) -> TargetDraft:
        return TargetDraft(
            self.name, self.kind, tuple(self.on), tuple(self.jobs), self.absence_hours, self.address
        )


class TargetPatch(Model):
    """Any fields of a target but its name and kind, which have to be as they are, or left out.

    `on` and `jobs` are replaced as a whole. With absence gone from `on`, its hours go as well.
    """

    model_config = with_example({"on": ["failure", "missed"]})

    name: Name | None = None
    kind: Kind | None = None
    address: str | None = Field(
        default=None, min_length=1, max_length=limits.URL, repr=False, description="left out, it stays"
    )
    on: list[Rule] | None = Field(default=None, max_length=len(Rule), description=OF_ON)
    jobs: list[Name] | None = Field(default=None, max_length=1000, description=OF_JOBS)
    absence_hours: int | None = Field(default=None, ge=1, le=LONGEST_ABSENCE_HOURS, description=OF_HOURS)

    def draft(self, target: Target) -> TargetDraft:
        """What it makes of the target. Raises InvalidValue for another name or kind."""
        before = draft_of(target)
        for name, given, stored in (("name", self.name, target.name), ("kind", self.kind, target.kind)):
            if given not in (None, stored):
                raise InvalidValue(name, f"{name} can't be changed: it stays {stored}.")
        on = before.on if self.on is None else tuple(self.on)
        hours = before.absence_hours if "absence_hours" not in self.model_fields_set else self.absence_hours
        is_kept = "absence_hours" in self.model_fields_set or Rule.ABSENCE in on
        return TargetDraft(
            name=before.name,
            kind=before.kind,
            on=on,
            jobs=before.jobs if self.jobs is None else tuple(self.jobs),
            absence_hours=hours if is_kept else None,
            address=self.address,
        )


class TargetAnswer(Model):
    """A target as stored."""

    model_config = ConfigDict(json_schema_extra={"examples": []})

    id: int
    name: str
    kind: Kind
    address: None = None
    on: list[Rule]
    jobs: list[str]
    absence_hours: int | None
    created_at: Time
    signing_secret: str | None = Field(
        default=None, repr=False, description="of a webhook, if it was made by this request: shown this once"
    )
    warnings: list[str] = Field(description="why nobody is told by it as it is")


class NotificationAnswer(Model):
    """A message to a target, and what came of it."""

    id: int
    subject: str
    count: int = Field(description="how many things it tells")
    rules: list[str] = Field(description="by which it is told")
    is_test: bool
    status: Status
    tries: int
    said: str = Field(description="what came of the last try, in a sentence")
    created_at: Time
    sent_at: Time | None
    next_try_at: Time | None


def shown_notification(notification: Notification, subject: str) -> NotificationAnswer:
    return NotificationAnswer(
        id=notification.id,
        subject=subject,
        count=notification.count,
        rules=list(dict.fromkeys(item.rule for item in notification.items)),
        is_test=notification.is_test,
        status=notification.status,
        tries=notification.tries,
        said=notification.said,
        created_at=notification.created_at,
        sent_at=notification.sent_at,
        next_try_at=notification.due_at,
    )
