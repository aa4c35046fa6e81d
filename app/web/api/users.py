"""Users: invite, change, give rights, disable, remove, and end their sessions. And who is asking: `/me`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app.commands import accounts
from app.commands.accounts import Link
from app.commands.mails import mail_link
from app.domain.principals import Right
from app.store import mails, projects, sessions, users
from app.store.database import Tx
from app.store.users import User
from app.web import reach
from app.web.api.lists import confirmed, paged
from app.web.api.operations import ApiContext, Operation
from app.web.reach import number
from app.web.schemas.base import Confirm, Empty, Page, Paging
from app.web.schemas.user import (
    GrantForm,
    InvitedAnswer,
    LinkAnswer,
    LinkForm,
    MeAnswer,
    RevokeForm,
    RightsAnswer,
    SessionsAnswer,
    ShownUserAnswer,
    UserAnswer,
    UserForm,
    UserPatch,
    invited_answer,
    session_answer,
    shown_user_answer,
    user_answer,
)


def list_users(ctx: ApiContext[Empty, Paging]) -> Any:
    with ctx.server.db.read() as tx:
        return paged(
            ctx,
            lambda limit, before: users.page(tx, limit, before),
            lambda found: [user_answer(each) for each in found],
        )


def invite_user(ctx: ApiContext[UserForm, Empty]) -> Any:
    form = ctx.body
    with ctx.server.db.write() as tx:
        user = accounts.invite(
            tx, name=form.name, email=form.email, role=form.role, project=form.project, now=ctx.now
        )
        return invited_answer(user, _link_to(ctx, tx, user), ctx.address)


def show_user(ctx: ApiContext[Empty, Empty]) -> Any:
    with ctx.server.db.read() as tx:
        user = _user(ctx, tx)
        return shown_user_answer(user, mails.of_user(tx, user.id))


def change_user(ctx: ApiContext[UserPatch, Empty]) -> Any:
    def change(tx: Tx, user: User) -> User:
        name = user.name if ctx.body.name is None else ctx.body.name
        email = user.email if ctx.body.email is None else ctx.body.email
        return accounts.change_user(tx, user, name=name, email=email)

    return _changed(ctx, change)


def remove_user(ctx: ApiContext[Empty, Confirm]) -> None:
    with ctx.server.db.write() as tx:
        user = _user(ctx, tx)
        confirmed(ctx, user.name)
        accounts.remove(tx, user)


def grant(ctx: ApiContext[GrantForm, Empty]) -> Any:
    return _changed(ctx, lambda tx, user: accounts.grant(tx, user, ctx.body.role, ctx.body.project))


def revoke(ctx: ApiContext[RevokeForm, Empty]) -> Any:
    return _changed(ctx, lambda tx, user: accounts.revoke(tx, user, ctx.body.project))


def disable(ctx: ApiContext[Empty, Empty]) -> Any:
    return _changed(ctx, lambda tx, user: accounts.disable(tx, user, ctx.now))


def enable(ctx: ApiContext[Empty, Empty]) -> Any:
    return _changed(ctx, accounts.enable)


def reset(ctx: ApiContext[Empty, Empty]) -> Any:
    with ctx.server.db.write() as tx:
        link = _link_to(ctx, tx, _user(ctx, tx))
        return LinkAnswer(link=ctx.address + link.path, expires_at=link.expires_at)


def link(ctx: ApiContext[LinkForm, Empty]) -> Any:
    issuer = reach.provider_of(ctx).issuer
    return _changed(ctx, lambda tx, user: accounts.link_identity(tx, user, issuer, ctx.body.subject))


def unlink(ctx: ApiContext[Empty, Empty]) -> Any:
    return _changed(ctx, accounts.unlink_identity)


def list_sessions(ctx: ApiContext[Empty, Empty]) -> Any:
    with ctx.server.db.read() as tx:
        found = sessions.of_user(tx, _user(ctx, tx).id, ctx.now, ctx.server.desk.limits)
        return SessionsAnswer(items=[session_answer(each) for each in found])


def end_session(ctx: ApiContext[Empty, Empty]) -> None:
    with ctx.server.db.write() as tx:
        sessions.end_one(tx, _user(ctx, tx).id, ctx.path("s"))


def end_sessions(ctx: ApiContext[Empty, Empty]) -> None:
    with ctx.server.db.write() as tx:
        sessions.end_of_user(tx, _user(ctx, tx).id)


def show_me(ctx: ApiContext[Empty, Empty]) -> Any:
    principal = ctx.principal
    with ctx.server.db.read() as tx:
        grants = [
            RightsAnswer(
                project=None if each.project_id is None else projects.with_id(tx, each.project_id).name,
                role=each.label,
                rights=[right for right in Right if principal.may(right, each.project_id)],
            )
            for each in principal.grants
        ]
    return MeAnswer(
        name=principal.name,
        kind="token" if principal.user_id is None else "user",
        user=principal.user_id,
        grants=grants,
    )


def _link_to(ctx: ApiContext[Any, Any], tx: Tx, user: User) -> Link:
    """A link for the answer, which is mailed as well if it can be."""
    link = accounts.link_to(tx, user, ctx.now)
    if ctx.server.sends_mail:
        mail_link(tx, ctx.server.vault, user, link, ctx.now)
    return link


def _user(ctx: ApiContext[Any, Any], tx: Tx) -> User:
    return users.with_id(tx, number(ctx.path("id")))


def _changed(ctx: ApiContext[Any, Any], change: Callable[[Tx, User], User]) -> UserAnswer:
    with ctx.server.db.write() as tx:
        return user_answer(change(tx, _user(ctx, tx)))


PATH, ONE = "/users", "/users/{id}"
PEOPLE = Right.PEOPLE
OPERATIONS = (
    Operation("GET", PATH, "List users", list_users, PEOPLE, query=Paging, answer=Page[UserAnswer]),
    Operation(
        "POST",
        PATH,
        "Invite somebody: the answer has the link where they choose a password, shown this once",
        invite_user,
        PEOPLE,
        body=UserForm,
        answer=InvitedAnswer,
        status=201,
    ),
    Operation("GET", ONE, "Show a user", show_user, PEOPLE, answer=ShownUserAnswer),
    Operation("PATCH", ONE, "Change name or e-mail", change_user, PEOPLE, body=UserPatch, answer=UserAnswer),
    Operation("DELETE", ONE, "Remove a user", remove_user, PEOPLE, query=Confirm, status=204),
    Operation(
        "POST",
        ONE + "/grant",
        "Give a role in a project, or in all, in place of the one there",
        grant,
        PEOPLE,
        body=GrantForm,
        answer=UserAnswer,
    ),
    Operation(
        "POST",
        ONE + "/revoke",
        "Take the role in a project, or that in all; the user's sessions end",
        revoke,
        PEOPLE,
        body=RevokeForm,
        answer=UserAnswer,
    ),
    Operation(
        "POST", ONE + "/disable", "Disable a user: sessions end at once", disable, PEOPLE, answer=UserAnswer
    ),
    Operation("POST", ONE + "/enable", "Enable a user again", enable, PEOPLE, answer=UserAnswer),
    Operation(
        "POST",
        ONE + "/reset",
        "Make a link where the user chooses a password, once; earlier ones stop working",
        reset,
        PEOPLE,
        answer=LinkAnswer,
    ),
    Operation(
        "POST",
        ONE + "/link",
        "Let the user in by what the identity provider calls them; its roles count from then on",
        link,
        PEOPLE,
        body=LinkForm,
        answer=UserAnswer,
    ),
    Operation(
        "POST", ONE + "/unlink", "Undo that; the user's sessions end", unlink, PEOPLE, answer=UserAnswer
    ),
    Operation(
        "GET", ONE + "/sessions", "List a user's sessions", list_sessions, PEOPLE, answer=SessionsAnswer
    ),
    Operation("DELETE", ONE + "/sessions", "End all sessions of a user", end_sessions, PEOPLE, status=204),
    Operation("DELETE", ONE + "/sessions/{s}", "End a session of a user", end_session, PEOPLE, status=204),
    Operation("GET", "/me", "Show who you are, and what you may do", show_me, answer=MeAnswer),
)
