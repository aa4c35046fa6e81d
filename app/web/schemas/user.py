"""Users as they are invited, changed and shown."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from app.commands.accounts import Link
from app.domain.principals import Right, Role
from app.store.mails import Mail
from app.store.sessions import Session
from app.store.users import User
from app.web.schemas.base import Model, with_example
from app.web.schemas.fields import Name, Time

# What they have to be is the domain's to say.
UserName = Annotated[str, Field(json_schema_extra={"format": "user-name"})]
Email = Annotated[str, Field(json_schema_extra={"format": "email-or-empty"})]


class UserForm(Model):
    """Somebody who is invited, with a role in one project, or in all."""

    model_config = with_example({"name": "grace", "email": "grace@example.com", "role": "operator"})

    name: UserName
    email: Email | None = None
    role: Role | None = Role.VIEWER
    project: Name | None = Field(default=None, description="where the role is; in all projects if left out")


class UserPatch(Model):
    model_config = with_example({"email": "ada@example.org"})

    name: UserName | None = Field(default=None, description="left out or null keeps it")
    email: Email | None = Field(default=None, description="left out or null keeps it; empty forgets it")


class GrantForm(Model):
    """A role in one project, or in all, in place of the one there."""

    model_config = with_example({"role": "operator"})

    role: Role
    project: Name | None = None


class RevokeForm(Model):
    """Takes the role in one project, or that in all."""

    model_config = with_example({})

    project: Name | None = None


class LinkForm(Model):
    """What the identity provider calls the user: the `sub` of its tokens."""

    model_config = with_example({"subject": "248289761001"})

    subject: str


class GrantAnswer(Model):
    role: Role
    project: str | None = Field(description="null for all")


class UserAnswer(Model):
    id: int
    name: str
    email: str | None
    status: Literal["active", "invited", "disabled"]
    grants: list[GrantAnswer]
    subject: str | None = Field(description="what the identity provider calls the user")
    created_at: Time


class MailAnswer(Model):
    """What came of the last mail with a link to the account."""

    status: Literal["waiting", "sent", "failed"]
    said: str = Field(description="what came of the last try; empty before the first")
    sent_at: Time | None
    next_try_at: Time | None = Field(description="null for one that was sent or given up")


class ShownUserAnswer(UserAnswer):
    mail: MailAnswer | None = Field(description="null if none was made for the user")


class LinkAnswer(Model):
    """An address where the user chooses a password, once; it is shown this once."""

    link: str = Field(repr=False)
    expires_at: Time


class InvitedAnswer(UserAnswer):
    link: str = Field(repr=False, description="where the user chooses a password, once; shown this once")
    link_expires_at: Time


class SessionAnswer(Model):
    id: str
    address: str
    browser: str
    created_at: Time
    last_seen_at: Time


class SessionsAnswer(Model):
    """Sessions that are valid, the one used last first."""

    items: list[SessionAnswer]


class RightsAnswer(Model):
    """What may be done in one project or (null) in all."""

    project: str | None
    role: str
    rights: list[Right]


class MeAnswer(Model):
    """Who sent the request, and what they may do."""

    name: str
    kind: Literal["user", "token"]
    user: int | None
    grants: list[RightsAnswer]


def user_answer(user: User) -> UserAnswer:
    return UserAnswer.model_validate(_fields(user))


def shown_user_answer(user: User, mail: Mail | None) -> ShownUserAnswer:
    return ShownUserAnswer.model_validate(
        {**_fields(user), "mail": None if mail is None else _mail_answer(mail)}
    )


def _mail_answer(mail: Mail) -> MailAnswer:
    return MailAnswer(status=mail.status, said=mail.said, sent_at=mail.sent_at, next_try_at=mail.due_at)


def invited_answer(user: User, link: Link, address: str) -> InvitedAnswer:
    more = {"link": address + link.path, "link_expires_at": link.expires_at}
    return InvitedAnswer.model_validate({**_fields(user), **more})


def session_answer(session: Session) -> SessionAnswer:
    return SessionAnswer.model_validate({name: getattr(session, name) for name in SessionAnswer.model_fields})


def _fields(user: User) -> dict[str, object]:
    return {
        "id": user.id,
        "name": user.name,
        "email": user.email,
        "status": user.status,
        "grants": [{"role": each.role, "project": each.project} for each in user.grants],
        "subject": user.subject,
        "created_at": user.created_at,
    }
