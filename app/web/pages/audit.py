"""`/audit`: who changed what, and who was refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from urllib.parse import quote, urlencode

from starlette.responses import Response
from starlette.routing import Route

from app.domain.audit import Action, Entry, check_action
from app.domain.errors import InvalidValue
from app.domain.principals import Right
from app.store import audit, projects
from app.store.audit import Wanted
from app.web.pages.context import PageContext, get
from app.web.pages.form_errors import placed, refused
from app.web.pages.list_filters import as_utc

ENTRIES, PROJECTS = 50, 200
TIMES = ("since", "until")
FILTERS = ("who", "action", "about", "project", *TIMES)


def show_audit(ctx: PageContext) -> Response:
    ctx.server.desk.refusals.flush(ctx.server.db, ctx.now)
    given = {name: ctx.query(name).strip() for name in FILTERS}
    given |= {name: as_utc(given[name]) for name in TIMES if given[name]}
    try:
        wanted = _wanted(ctx, given)
    except InvalidValue as error:
        problem = refused(error)
        return _page(ctx, problem.status, given, [], errors=placed(problem, frozenset(FILTERS))[0])
    with ctx.server.db.read() as tx:
        found = audit.page(tx, wanted, ENTRIES + 1, ctx.number("before"))
    return _page(ctx, 200, given, found)


def _wanted(ctx: PageContext, given: Mapping[str, str]) -> Wanted:
    action = given["action"] and check_action(given["action"])
    since, until = (_time(name, given[name]) for name in TIMES)
    return Wanted(given["who"], action, given["project"], since, ctx.projects, until, given["about"])


def _page(
    ctx: PageContext,
    status: int,
    given: Mapping[str, str],
    found: Sequence[Entry],
    errors: Mapping[str, str] | None = None,
) -> Response:
    entries = found[:ENTRIES]
    asked = {name: value for name, value in given.items() if value}
    older = {**asked, "before": entries[-1].id if entries else 0}
    with ctx.server.db.read() as tx:
        names = [each.name for each in projects.page(tx, PROJECTS, None, only=ctx.projects)]
    return ctx.page(
        "audit.html",
        status,
        entries=[(each, address_of(each)) for each in entries],
        given=given,
        errors=errors or {},
        actions=list(Action),
        projects=names,
        more=f"/audit?{urlencode(older)}" if len(found) > ENTRIES else None,
        export=f"/api/v1/audit?{urlencode({**asked, 'format': 'lines'})}",
    )


def _time(name: str, text: str) -> datetime | None:
    if not text:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise InvalidValue(
            name, f"{name} must be a time such as 2026-01-31T06:00, or a day, not {text!r}."
        ) from None


def address_of(entry: Entry) -> str | None:
    """The page of what the entry is about; None where it has none. What was removed since is a 404 there."""
    subject = entry.subject
    id_, name, project = subject.id, quote(subject.name, safe=""), quote(subject.project, safe="")
    if id_ is None:
        return None
    match subject.type:
        case "run":
            return f"/runs/{name}"
        case "build" | "deployment":
            return f"/{subject.type}s/{id_}"
        case "flow_run":
            return f"/flows/runs/{id_}"
        case "user":
            return f"/users/{id_}"
        case "delivery":
            return f"/deliveries#delivery-{id_}"
        case "token":
            return "/settings#tokens"
        case "job" if project:
            return f"/projects/{project}/jobs/{name}"
        case _:
            return f"/projects/{project}" if project else None


def routes() -> list[Route]:
    return [get("/audit", show_audit, Right.AUDIT)]
