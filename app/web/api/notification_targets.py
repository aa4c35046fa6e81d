"""Notification targets: where people are told what happens. The address goes in and never comes out."""

from __future__ import annotations

from typing import Any

from app.commands import notification_targets as commands
from app.commands.notification_sending import telling_of
from app.commands.notification_targets import Defined, warnings_of
from app.domain.notification_texts import subject
from app.domain.principals import Right
from app.store import notification_targets, notifications
from app.store.database import Tx
from app.store.notification_targets import Target
from app.store.notifications import Notification
from app.store.projects import Project
from app.web.api.lists import confirmed, paged
from app.web.api.operations import ApiContext, Operation
from app.web.reach import look_up
from app.web.schemas.base import Confirm, Empty, Page, Paging
from app.web.schemas.notification_target import (
    NotificationAnswer,
    TargetAnswer,
    TargetForm,
    TargetPatch,
    shown_notification,
)
from app.web.scope import project_of
from app.web.server_context import ServerContext


def list_targets(ctx: ApiContext[Empty, Paging]) -> Any:
    with ctx.server.db.read() as tx:
        project = project_of(ctx, tx)
        return paged(
            ctx,
            lambda limit, before: notification_targets.page(tx, project.id, limit, before),
            lambda found: [_answer(ctx.server, Defined(each)) for each in found],
        )


def create_target(ctx: ApiContext[TargetForm, Empty]) -> Any:
    with ctx.server.db.write() as tx:
        project = project_of(ctx, tx)
        made = commands.define_target(tx, ctx.server.vault, project, ctx.body.draft(), ctx.now)
    return _answer(ctx.server, made)


def show_target(ctx: ApiContext[Empty, Empty]) -> Any:
    with ctx.server.db.read() as tx:
        return _answer(ctx.server, Defined(_target_of(ctx, tx, project_of(ctx, tx))))


def change_target(ctx: ApiContext[TargetPatch, Empty]) -> Any:
    with ctx.server.db.write() as tx:
        project = project_of(ctx, tx)
        target = _target_of(ctx, tx, project)
        changed = commands.change_target(tx, ctx.server.vault, project, target, ctx.body.draft(target))
    return _answer(ctx.server, changed)


def delete_target(ctx: ApiContext[Empty, Confirm]) -> None:
    with ctx.server.db.write() as tx:
        target = _target_of(ctx, tx, project_of(ctx, tx))
        confirmed(ctx, target.name)
        notification_targets.delete(tx, target)


def try_target(ctx: ApiContext[Empty, Empty]) -> Any:
    with ctx.server.db.write() as tx:
        project = project_of(ctx, tx)
        target = _target_of(ctx, tx, project)
        made = commands.try_target(tx, target, ctx.who, ctx.now)
    return _shown(ctx.server, project, target, made)


def list_notifications(ctx: ApiContext[Empty, Paging]) -> Any:
    with ctx.server.db.read() as tx:
        project = project_of(ctx, tx)
        target = _target_of(ctx, tx, project)
        return paged(
            ctx,
            lambda limit, before: notifications.page(tx, target.id, limit, before),
            lambda found: [_shown(ctx.server, project, target, each) for each in found],
        )


def _target_of(ctx: ApiContext[Any, Any], tx: Tx, project: Project) -> Target:
    name = ctx.path("t")
    return look_up(
        ctx, f"notification target {name}", lambda: notification_targets.named(tx, project.id, name)
    )


def _answer(server: ServerContext, defined: Defined) -> TargetAnswer:
    target = defined.target
    return TargetAnswer(
        id=target.id,
        name=target.name,
        kind=target.kind,
        on=list(target.on),
        jobs=list(target.jobs),
        absence_hours=target.absence_hours,
        created_at=target.created_at,
        signing_secret=defined.signing_secret,
        warnings=list(warnings_of(target, sends_mail=server.sends_mail)),
    )


def _shown(
    server: ServerContext, project: Project, target: Target, notification: Notification
) -> NotificationAnswer:
    telling = telling_of(notification, target, project.name, server.public_url)
    return shown_notification(notification, subject(telling))


PATH = "/projects/{p}/notification-targets"
OPERATIONS = (
    Operation(
        "GET",
        PATH,
        "List a project's notification targets",
        list_targets,
        query=Paging,
        answer=Page[TargetAnswer],
    ),
    Operation(
        "POST",
        PATH,
        "Make a notification target",
        create_target,
        Right.SECRETS,
        body=TargetForm,
        answer=TargetAnswer,
        status=201,
    ),
    Operation("GET", PATH + "/{t}", "Show a notification target", show_target, answer=TargetAnswer),
    Operation(
        "PATCH",
        PATH + "/{t}",
        "Change what a notification target is told of, or its address",
        change_target,
        Right.SECRETS,
        body=TargetPatch,
        answer=TargetAnswer,
    ),
    Operation(
        "DELETE",
        PATH + "/{t}",
        "Delete a notification target",
        delete_target,
        Right.SECRETS,
        query=Confirm,
        status=204,
    ),
    Operation(
        "POST",
        PATH + "/{t}/test",
        "Send a test to a notification target",
        try_target,
        Right.SECRETS,
        answer=NotificationAnswer,
        status=202,
    ),
    Operation(
        "GET",
        PATH + "/{t}/deliveries",
        "List what was, or is to be, sent to a notification target",
        list_notifications,
        query=Paging,
        answer=Page[NotificationAnswer],
    ),
)
