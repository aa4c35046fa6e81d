"""`/projects/{p}/notifications`: where people are told what happens in a project, of what, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import ValidationError
from starlette.responses import Response
from starlette.routing import Route

from app.commands import notification_targets as commands
from app.commands.notification_sending import telling_of
from app.commands.notification_targets import Defined, warnings_of
from app.domain.documents import Json
from app.domain.errors import UserError
from app.domain.notification_texts import subject
from app.domain.notifications import WORDS, Kind, Rule
from app.domain.principals import Right
from app.store import jobs, notification_targets, notifications
from app.store.database import Tx
from app.store.notification_targets import Target
from app.store.projects import Project
from app.web.pages import projects
from app.web.pages.context import PageContext, get, post, see
from app.web.pages.form_errors import placed, refused, require_named
from app.web.pages.form_versions import require_unchanged, version_of
from app.web.problems import Problem
from app.web.reach import look_up
from app.web.reading import read_value
from app.web.schemas.notification_target import (
    NotificationAnswer,
    TargetForm,
    TargetPatch,
    shown_notification,
)
from app.web.scope import project_of
from app.web.texts import LINES, OPTIONAL_NUMBER

FIELDS = frozenset({"name", "kind", "address", "on", "jobs", "absence_hours"})
LISTED = 100  # jobs to tick; where there are more, their names are typed
SENT = 25  # messages on a page
KINDS = {
    Kind.EMAIL: "e-mail",
    Kind.SLACK: "chat: Slack, Mattermost, Discord, Teams",
    Kind.WEBHOOK: "signed webhook",
    Kind.NTFY: "ntfy topic",
    Kind.PING: "ping: Healthchecks and its like",
}
COMMON = (  # what most want first: how it is called, what it is, and what it is told of
    ("Mail on first failure and recovery", Kind.EMAIL, "mail", (Rule.FIRST_FAILURE, Rule.RECOVERY)),
    ("Chat message on each failure", Kind.SLACK, "chat", (Rule.FAILURE, Rule.RECOVERY, Rule.MISSED)),
    ("Ping a check at each run", Kind.PING, "check", ()),
)


@dataclass(frozen=True)
class Typed:
    """What is in the form; the address is never shown again."""

    given: Mapping[str, str]
    on: Sequence[str] = ()
    jobs: Sequence[str] = ()
    address: str = field(default="", repr=False)

    def body(self) -> Json:
        body: Json = {
            "on": list(self.on),
            "jobs": list(self.jobs),
            "absence_hours": OPTIONAL_NUMBER.read(self.given["absence_hours"]),
        }
        return {**body, "address": self.address} if self.address else body


def _stored(target: Target) -> Typed:
    hours = OPTIONAL_NUMBER.show(target.absence_hours)
    return Typed({"name": target.name, "kind": target.kind, "absence_hours": hours}, target.on, target.jobs)


def _typed(ctx: PageContext) -> Typed:
    given = {name: ctx.field(name).strip() for name in ("name", "kind", "absence_hours")}
    named = [name for text in ctx.form.get("jobs", ()) for name in LINES.read(text)]
    return Typed(given, ctx.form.get("on", ()), named, ctx.field("address").strip())


def _shown(target: Target) -> Json:
    return {"on": target.on, "jobs": target.jobs, "absence_hours": target.absence_hours}


def target_of(ctx: PageContext, tx: Tx) -> Target:
    project, name = project_of(ctx, tx), ctx.path("target")
    return look_up(
        ctx, f"notification target {name}", lambda: notification_targets.named(tx, project.id, name)
    )


def address(project: Project, target: Target | None = None) -> str:
    of_project = f"{projects.address(project)}/notifications"
    return of_project if target is None else f"{of_project}/{target.name}"


def show_targets(ctx: PageContext) -> Response:
    with ctx.server.db.read() as tx:
        project = project_of(ctx, tx)
        found = notification_targets.of_project(tx, project.id)
        latest = notifications.latest_of(tx, [target.id for target in found])
    return ctx.page(
        "notifications.html",
        project=project,
        address=address(project),
        targets=found,
        latest=latest,
        kinds=KINDS,
        words=WORDS,
        common=COMMON,
        sends_mail=ctx.server.sends_mail,
    )


def show_new(ctx: PageContext) -> Response:
    given = {"name": ctx.query("name"), "kind": ctx.query("kind") or Kind.EMAIL, "absence_hours": ""}
    return _page(ctx, None, Typed(given, ctx.request.query_params.getlist("on")))


def make_target(ctx: PageContext) -> Response:
    typed = _typed(ctx)
    try:
        body = {"name": typed.given["name"], "kind": typed.given["kind"], **typed.body()}
        form = read_value(TargetForm, body, ctx.server)
        with ctx.server.db.write() as tx:
            project = project_of(ctx, tx)
            made = commands.define_target(tx, ctx.server.vault, project, form.draft(), ctx.now)
    except (UserError, Problem, ValidationError) as error:
        return _page(ctx, None, typed, problem=refused(error))
    return _after(ctx, project, made)


def show_target(ctx: PageContext) -> Response:
    with ctx.server.db.read() as tx:
        target = target_of(ctx, tx)
    return _page(ctx, target, _stored(target))


def save_target(ctx: PageContext) -> Response:
    typed = _typed(ctx)
    with ctx.server.db.read() as tx:
        target = target_of(ctx, tx)
    typed = Typed(
        {**typed.given, "name": target.name, "kind": target.kind}, typed.on, typed.jobs, typed.address
    )
    try:
        patch = read_value(TargetPatch, typed.body(), ctx.server)
        with ctx.server.db.write() as tx:
            project, known = project_of(ctx, tx), target_of(ctx, tx)
            require_unchanged(ctx, _shown(known), f"notification target {known.name}")
            changed = commands.change_target(tx, ctx.server.vault, project, known, patch.draft(known))
    except (UserError, Problem, ValidationError) as error:
        return _page(ctx, target, typed, problem=refused(error))
    return _after(ctx, project, changed)


def _after(ctx: PageContext, project: Project, defined: Defined) -> Response:
    """Look at it again; a secret that was made is shown at once, as it is shown once."""
    target = defined.target
    if defined.signing_secret is not None:
        return _page(ctx, target, _stored(target), secret=defined.signing_secret)
    return see(f"{address(project, target)}?saved=1")


def try_target(ctx: PageContext) -> Response:
    with ctx.server.db.write() as tx:
        project, target = project_of(ctx, tx), target_of(ctx, tx)
        commands.try_target(tx, target, ctx.who, ctx.now)
    return see(f"{address(project, target)}#sent")


def delete_target(ctx: PageContext) -> Response:
    with ctx.server.db.read() as tx:
        project, target = project_of(ctx, tx), target_of(ctx, tx)
    try:
        require_named(ctx, target.name, "notification target")
        with ctx.server.db.write() as tx:
            notification_targets.delete(tx, target_of(ctx, tx))
    except UserError as error:
        return _page(ctx, target, _stored(target), undeleted=refused(error))
    return see(address(project))


def _sent(ctx: PageContext, tx: Tx, project: Project, target: Target | None) -> Sequence[NotificationAnswer]:
    found = notifications.page(tx, target.id, SENT + 1, ctx.number("before")) if target else []
    return [
        shown_notification(each, subject(telling_of(each, target, project.name, ctx.address)))
        for each in found
        if target is not None
    ]


def _page(
    ctx: PageContext,
    target: Target | None,
    typed: Typed,
    *,
    problem: Problem | None = None,
    undeleted: Problem | None = None,
    secret: str = "",
) -> Response:
    with ctx.server.db.read() as tx:
        project = project_of(ctx, tx)
        known = jobs.page(tx, project_id=project.id, limit=LISTED + 1)
        sent = _sent(ctx, tx, project, target)
        known_now = target and notification_targets.find(tx, project.id, target.name)
    errors, left = placed(problem, FIELDS)
    said = problem or undeleted
    new = f"{projects.address(project)}/new/notification-target"
    return ctx.page(
        "notification_target.html",
        200 if said is None else said.status,
        project=project,
        target=target,
        action=address(project, target) if target else new,
        back=address(project),
        seen_as=version_of(_shown(known_now)) if known_now else "",
        given={**typed.given, "jobs": "\n".join(typed.jobs)},
        ticked=typed.on,
        of_jobs=typed.jobs,
        jobs=sorted(job.name for job in known) if len(known) <= LISTED else None,
        kinds=[(kind.value, words) for kind, words in KINDS.items()],
        words=WORDS,
        warnings=list(warnings_of(target, sends_mail=ctx.server.sends_mail)) if target else [],
        secret_made=secret,
        sent=sent[:SENT],
        older=sent[SENT - 1].id if len(sent) > SENT else None,
        retype=["address"] if typed.address and problem else [],
        errors=errors,
        left=left,
        saved=bool(ctx.query("saved")),
        undeleted="" if undeleted is None else undeleted.detail,
    )


def routes() -> list[Route]:
    path, new = "/projects/{project}/notifications", "/projects/{project}/new/notification-target"
    return [
        get(path, show_targets),
        get(new, show_new, Right.SECRETS),
        post(new, make_target, Right.SECRETS),
        get(f"{path}/{{target}}", show_target),
        post(f"{path}/{{target}}", save_target, Right.SECRETS),
        post(f"{path}/{{target}}/test", try_target, Right.SECRETS),
        post(f"{path}/{{target}}/delete", delete_target, Right.SECRETS),
    ]
