"""`/rehearse`: what a push, or a delivery once more, would build, deploy and run; nothing is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import ValidationError
from starlette.responses import Response
from starlette.routing import Route

from app.commands.dry_run import Effect, summary
from app.domain.documents import Json
from app.domain.errors import InvalidValue, JobyardError, NotFound
from app.domain.principals import Right
from app.web.pages.context import PageContext, get, post
from app.web.pages.deliveries import require_push
from app.web.pages.form_errors import placed, refused
from app.web.pages.form_fields import Fields
from app.web.problems import Problem
from app.web.reading import read_value
from app.web.schemas.plan import PushForm
from app.web.scope import delivery_of
from app.web.texts import LINES, OPTIONAL, TEXT

FIELDS: Fields = {
    "repository": TEXT,
    "ref": TEXT,
    "before": OPTIONAL,
    "after": OPTIONAL,
    "message": TEXT,
    "files": LINES,
}


def show_form(ctx: PageContext) -> Response:
    """Filled in from the address, which rehearses nothing by itself."""
    return _page(ctx, {name: ctx.query(name) for name in FIELDS})


def rehearse_push(ctx: PageContext) -> Response:
    given = {name: ctx.field(name) for name in FIELDS}
    try:
        form = read_value(PushForm, _push(ctx, given), ctx.server)
        found = ctx.server.dry_run.of_push(form.as_push(), ctx.projects)
    except NotFound as error:
        return _page(ctx, given, problem=refused(InvalidValue("repository", str(error))))
    except InvalidValue as error:
        return _page(ctx, given, problem=refused(InvalidValue(error.field.removeprefix("push."), str(error))))
    except (JobyardError, Problem, ValidationError) as error:
        return _page(ctx, given, problem=refused(error))
    return _page(ctx, given, found=found)


def _push(ctx: PageContext, given: Mapping[str, str]) -> Json:
    """The push as the API takes it."""
    push = {name: kind.read(given[name].strip()) for name, kind in FIELDS.items()}
    return {**push, "files": push["files"] or None, "deleted": bool(ctx.field("deleted"))}


def rehearse_delivery(ctx: PageContext) -> Response:
    with ctx.server.db.read() as tx:
        delivery = delivery_of(ctx, tx)
    require_push(delivery)
    found = ctx.server.dry_run.of_delivery(delivery, ctx.projects)
    given = {"repository": delivery.repository, "ref": delivery.ref, "after": delivery.sha}
    return _page(ctx, given, found=found, what=f"If delivery {delivery.guid} were replayed")


def _page(
    ctx: PageContext,
    given: Mapping[str, str],
    *,
    problem: Problem | None = None,
    found: Sequence[Effect] | None = None,
    what: str = "If this were pushed",
) -> Response:
    errors, left = placed(problem, frozenset(FIELDS))
    return ctx.page(
        "dry_runs.html",
        200 if problem is None else problem.status,
        given={**given, "deleted": ctx.field("deleted")},
        errors=errors,
        left=left,
        found=found,
        sentence="" if found is None else summary(found),
        what=what,
    )


def routes() -> list[Route]:
    return [
        get("/rehearse", show_form, Right.RUN),
        post("/rehearse", rehearse_push, Right.RUN),
        post("/deliveries/{forge}/{guid}/rehearse", rehearse_delivery, Right.RUN),
    ]
