"""`/users`: who may log in and what each may do; invite, give rights, disable, reset, end sessions, remove."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import ValidationError
from starlette.responses import Response
from starlette.routing import Route

from app.commands import accounts
from app.commands.accounts import Link
from app.commands.mails import mail_link
from app.domain.errors import UserError
from app.domain.principals import Right, Role
from app.store import mails, projects, sessions, users
from app.store.database import Tx
from app.store.users import User
from app.web.pages.context import PageContext, get, post, see
from app.web.pages.form_errors import placed, refused, require_named
from app.web.pages.people import who_may_what
from app.web.problems import Problem
from app.web.reach import number, provider_of
from app.web.reading import read_value
from app.web.schemas.user import GrantForm, RevokeForm, UserForm

USERS = 50
PROJECTS = 200
INVITED = ("name", "email", "role", "project")
FIELDS = (*INVITED, "subject")
ROLES = [
    (Role.VIEWER.value, "viewer: sees"),
    (Role.OPERATOR.value, "operator: runs, builds, deploys"),
    (Role.ADMIN.value, "admin: changes"),
]


def user_of(ctx: PageContext, tx: Tx) -> User:
    return users.with_id(tx, number(ctx.path("user")))


def show_users(ctx: PageContext) -> Response:
    return _list(ctx, {"role": Role.VIEWER.value})


def invite(ctx: PageContext) -> Response:
    """The one answer that shows the link; it is not a redirect, as the link must be in no address and no store."""
    given = {name: ctx.field(name).strip() for name in INVITED}
    try:
        form = read_value(
            UserForm,
            {**{name: text or None for name, text in given.items()}, "name": given["name"]},
            ctx.server,
        )
        with ctx.server.db.write() as tx:
            user = accounts.invite(
                tx, name=form.name, email=form.email, role=form.role, project=form.project, now=ctx.now
            )
            link = _link(ctx, tx, user)
    except (UserError, Problem, ValidationError) as error:
        return _list(ctx, given, problem=refused(error))
    return _user(ctx, user.id, link=ctx.address + link.path)


def _link(ctx: PageContext, tx: Tx, user: User) -> Link:
    """A link to show, which is mailed as well if it can be."""
    link = accounts.link_to(tx, user, ctx.now)
    if ctx.server.sends_mail:
        mail_link(tx, ctx.server.vault, user, link, ctx.now)
    return link


def _list(ctx: PageContext, given: dict[str, str], *, problem: Problem | None = None) -> Response:
    with ctx.server.db.read() as tx:
        found = users.page(tx, USERS + 1, ctx.number("before"))
        options = _projects(tx)
    errors, left = placed(problem, frozenset(INVITED))
    return ctx.page(
        "users.html",
        200 if problem is None else problem.status,
        users=found[:USERS],
        more=found[USERS - 1].id if len(found) > USERS else None,
        given=given,
        errors=errors,
        left=left,
        roles=ROLES,
        projects=options,
        rights=who_may_what(),
        role_names=[role.value for role in Role],
    )


def _projects(tx: Tx) -> list[tuple[str, str]]:
    return [("", "all projects"), *((each.name, each.name) for each in projects.page(tx, PROJECTS, None))]


def show_user(ctx: PageContext) -> Response:
    return _user(ctx, number(ctx.path("user")))


def _user(
    ctx: PageContext,
    user_id: int,
    *,
    link: str = "",
    problem: Problem | None = None,
    undeleted: Problem | None = None,
) -> Response:
    with ctx.server.db.read() as tx:
        user = users.with_id(tx, user_id)
        mail = mails.of_user(tx, user.id)
        open_sessions = sessions.of_user(tx, user.id, ctx.now, ctx.server.desk.limits)
        options = _projects(tx)
    errors, left = placed(problem, frozenset(FIELDS))
    said = problem or undeleted
    given = {
        "name": user.name,
        "email": user.email or "",
        "role": Role.VIEWER.value,
        "project": "",
        "subject": "",
    }
    typed = {name: ctx.field(name) for name in FIELDS if problem is not None and name in ctx.form}
    return ctx.page(
        "user.html",
        200 if said is None else said.status,
        user=user,
        sessions=open_sessions,
        mail=mail,
        link=link,
        given={**given, **typed},
        errors=errors,
        left=left,
        undeleted="" if undeleted is None else undeleted.detail,
        roles=ROLES,
        projects=options,
    )


def save(ctx: PageContext) -> Response:
    return _change(
        ctx,
        lambda tx, user: accounts.change_user(tx, user, name=ctx.field("name"), email=ctx.field("email")),
    )


def grant(ctx: PageContext) -> Response:
    def give(tx: Tx, user: User) -> User:
        form = read_value(
            GrantForm, {"role": ctx.field("role"), "project": ctx.field("project") or None}, ctx.server
        )
        return accounts.grant(tx, user, form.role, form.project)

    return _change(ctx, give)


def revoke(ctx: PageContext) -> Response:
    def take(tx: Tx, user: User) -> User:
        form = read_value(RevokeForm, {"project": ctx.field("project") or None}, ctx.server)
        return accounts.revoke(tx, user, form.project)

    return _change(ctx, take)


def disable(ctx: PageContext) -> Response:
    return _change(ctx, lambda tx, user: accounts.disable(tx, user, ctx.now))


def enable(ctx: PageContext) -> Response:
    return _change(ctx, accounts.enable)


def link(ctx: PageContext) -> Response:
    def let_in(tx: Tx, user: User) -> User:
        return accounts.link_identity(tx, user, provider_of(ctx).issuer, ctx.field("subject"))

    return _change(ctx, let_in)


def unlink(ctx: PageContext) -> Response:
    return _change(ctx, accounts.unlink_identity)


def end_session(ctx: PageContext) -> Response:
    return _change(ctx, lambda tx, user: sessions.end_one(tx, user.id, ctx.path("session")))


def end_sessions(ctx: PageContext) -> Response:
    return _change(ctx, lambda tx, user: sessions.end_of_user(tx, user.id))


def _change(ctx: PageContext, change: Callable[[Tx, User], Any]) -> Response:
    try:
        with ctx.server.db.write() as tx:
            user = user_of(ctx, tx)
            change(tx, user)
    except (UserError, Problem, ValidationError) as error:
        return _user(ctx, number(ctx.path("user")), problem=refused(error))
    return see(f"/users/{user.id}")


def reset(ctx: PageContext) -> Response:
    """As with an invitation, no redirect."""
    try:
        with ctx.server.db.write() as tx:
            user = user_of(ctx, tx)
            link = _link(ctx, tx, user)
    except UserError as error:
        return _user(ctx, number(ctx.path("user")), problem=refused(error))
    return _user(ctx, user.id, link=ctx.address + link.path)


def remove(ctx: PageContext) -> Response:
    with ctx.server.db.read() as tx:
        user = user_of(ctx, tx)
    try:
        require_named(ctx, user.name, "user")
        with ctx.server.db.write() as tx:
            accounts.remove(tx, user_of(ctx, tx))
    except UserError as error:
        return _user(ctx, user.id, undeleted=refused(error))
    return see("/users")


def routes() -> list[Route]:
    people, one = Right.PEOPLE, "/users/{user}"
    return [
        get("/users", show_users, people),
        post("/users", invite, people),
        get(one, show_user, people),
        post(one, save, people),
        post(f"{one}/grant", grant, people),
        post(f"{one}/revoke", revoke, people),
        post(f"{one}/disable", disable, people),
        post(f"{one}/enable", enable, people),
        post(f"{one}/reset", reset, people),
        post(f"{one}/link", link, people),
        post(f"{one}/unlink", unlink, people),
        post(f"{one}/sessions/end", end_sessions, people),
        post(f"{one}/sessions/{{session}}/end", end_session, people),
        post(f"{one}/delete", remove, people),
    ]
