"""`/jobs/new`: a new job in steps, each a form of its own; what is typed is kept in a draft that its address names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import ValidationError
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from app.commands import job_drafts
from app.commands.builds import request_build_of_source
from app.commands.image_resolution import Sighting
from app.commands.job_drafts import Rehearsal
from app.commands.jobs import define_job
from app.domain.errors import Conflict, InvalidValue, UserError
from app.domain.job.records import Job
from app.domain.job.spec import NAME, NAME_RULE, ImageSource
from app.domain.principals import Right
from app.store import build_services, credentials, github_apps, jobs, projects
from app.store import job_drafts as stored_drafts
from app.store.database import Tx
from app.store.projects import Project
from app.web.pages import formatting
from app.web.pages.app_repositories import Offer, offers, taken
from app.web.pages.calendar import ZONE, is_zone
from app.web.pages.context import PageContext, get, post, see
from app.web.pages.first_steps import ping_of
from app.web.pages.form_errors import placed, refused
from app.web.pages.form_fields import Row
from app.web.pages.job_draft import OF_STEP, STEPS, Typed, filled, suggested_name
from app.web.pages.job_form import SOURCES, as_typed, blank, names_of
from app.web.pages.jobs import address
from app.web.pages.repository_look import looked
from app.web.pages.schedule import typed_times
from app.web.problems import Problem
from app.web.reach import number, project_named
from app.web.webhook_places import webhook_places

EMPTY_ROWS, MORE_ROWS = 2, 8
MANY = 200


@dataclass(frozen=True)
class Draft:
    """A draft that the visitor may go on with; without an id it is not stored yet."""

    id: int | None
    typed: Typed = field(repr=False)

    def address(self, step: str) -> str:
        return "/jobs/new" if self.id is None else f"/jobs/new/{self.id}/{step}"


def _owner(ctx: PageContext) -> str:
    assert ctx.principal is not None  # the route needs a right
    return job_drafts.owner_of(ctx.principal)


def _opened(ctx: PageContext, tx: Tx) -> Draft:
    """Raises NotFound for a draft of somebody else, or of a project that is out of reach."""
    draft_id = number(ctx.path("draft"))
    typed = Typed.stored(job_drafts.opened(tx, ctx.server.vault, draft_id, _owner(ctx)))
    project_named(ctx, tx, typed.project)
    return Draft(draft_id, typed)


def _kept(ctx: PageContext, draft: Draft, typed: Typed) -> Draft:
    """The draft with what was typed since, stored."""
    owner, vault, content = _owner(ctx), ctx.server.vault, typed.content()
    with ctx.server.db.write() as tx:
        if draft.id is None:
            return Draft(job_drafts.begin(tx, vault, owner, content, ctx.now), typed)
        job_drafts.keep(tx, vault, draft.id, owner, content, ctx.now)
    return Draft(draft.id, typed)


def show_new(ctx: PageContext) -> Response:
    names = _projects(ctx)
    if not names:
        return ctx.page("job_new_nowhere.html")
    chosen = ctx.query("project") if ctx.query("project") in names else names[0]
    source = ctx.query("source") if ctx.query("source") in SOURCES else "git"
    return _page(ctx, Draft(None, _blank(ctx, chosen, source)), "source")


def begin(ctx: PageContext) -> Response:
    """The first step was sent: from here on there is a draft."""
    with ctx.server.db.read() as tx:
        project = project_named(ctx, tx, ctx.field("project")).name
    source = ctx.field("source.type") if ctx.field("source.type") in SOURCES else "git"
    return _take(ctx, Draft(None, _blank(ctx, project, source)), "source")


def _blank(ctx: PageContext, project: str, source: str) -> Typed:
    """A job that nothing is said of yet; its times are of the zone that the browser's are shown in."""
    typed = Typed.blank(project, source)
    zone = ctx.request.cookies.get(ZONE, "")
    return replace(typed, given={**typed.given, "schedule.time_zone": zone}) if is_zone(zone) else typed


def show_step(ctx: PageContext) -> Response:
    with ctx.server.db.read() as tx:
        draft = _opened(ctx, tx)
    step = _step(ctx)
    if step == "source" and ctx.query("source") in SOURCES:
        given = {**draft.typed.given, "source.type": ctx.query("source")}
        draft = Draft(draft.id, Typed(draft.typed.project, given, draft.typed.rows, draft.typed.look))
    if step not in draft.typed.steps:
        return see(draft.address("start"))
    return _page(ctx, draft, step)


def take_step(ctx: PageContext) -> Response:
    with ctx.server.db.read() as tx:
        draft = _opened(ctx, tx)
    return _take(ctx, draft, _step(ctx))


def _step(ctx: PageContext) -> str:
    return ctx.request.url.path.rpartition("/")[2]


def _take(ctx: PageContext, draft: Draft, step: str) -> Response:
    """Store what was sent; go on where the step has nothing wrong, else say at its fields what is."""
    try:
        typed = filled(draft.typed, step, ctx.form)
    except InvalidValue as error:
        return _page(ctx, draft, step, refused(error))
    with ctx.server.db.read() as tx:
        project_named(ctx, tx, typed.project)
    if ctx.field("take"):
        typed = taken(typed, ctx.field("take"))
    draft = _kept(ctx, draft, typed)
    if ctx.field("list"):
        return _page(ctx, draft, step, offered=offers(ctx, typed.project, ctx.field("search").strip()))
    if ctx.field("more"):
        return _page(ctx, draft, step, empty_rows=MORE_ROWS)
    try:
        if typed.source == "git" and step in ("source", "build"):
            only = step == "source" and bool(ctx.field("look") or ctx.field("take"))
            draft = _kept(ctx, draft, looked(ctx, typed, branches_only=only))
        if ctx.field("look") or ctx.field("take"):
            return see(f"{draft.address(step)}?looked=1")
        if step == "source":
            draft = _kept(ctx, draft, _named(ctx, draft.typed))
        _check(ctx, draft.typed, step)
    except (UserError, Problem, ValidationError) as error:
        return _page(ctx, draft, step, refused(error))
    steps = draft.typed.steps
    return see(draft.address(steps[steps.index(step) + 1]))


def _named(ctx: PageContext, typed: Typed) -> Typed:
    """With a name from the repository, where none was typed."""
    url = typed.given["source.git.url"] if typed.source == "git" else ""
    if typed.given["name"].strip() or not url:
        return typed
    with ctx.server.db.read() as tx:
        project = project_named(ctx, tx, typed.project)
        taken = {job.name for job in jobs.page(tx, project_id=project.id, limit=MANY)}
    return Typed(typed.project, {**typed.given, "name": suggested_name(url, taken)}, typed.rows, typed.look)


def _check(ctx: PageContext, typed: Typed, step: str) -> None:
    """Raises a Problem with what is wrong with this step; what is wrong with others is said there."""
    if step == "start" and not typed.given["name"].strip():
        raise InvalidValue("name", f"name must be {NAME_RULE}.")
    try:
        _rehearsed(ctx, typed)
    except (UserError, Problem, ValidationError) as error:
        problem = refused(error)
        own = [each for each in problem.errors if step_of(each["field"], typed) == step]
        if own or (step == "start" and not problem.errors):
            raise Problem(problem.status, problem.detail, own) from error


def step_of(field_: str, typed: Typed) -> str:
    """The step that a field of the API's is typed in."""
    name = as_typed(field_, typed.given)
    while name and not any(name in names for names in OF_STEP.values()):
        name = name.rpartition(".")[0]
    found = next((step for step, names in OF_STEP.items() if name in names), "")
    return found or ("source" if field_.startswith("source") else "start")


def _rehearsed(ctx: PageContext, typed: Typed) -> Rehearsal:
    """What the job would be. Raises what making it would."""
    server = ctx.server
    with server.db.read() as tx:
        project = project_named(ctx, tx, typed.project)
    return job_drafts.rehearse(
        server.db,
        server.dry_run,
        project,
        typed.draft(server),
        typed.look.sha if typed.look else None,
        names=server.names,
        vault=server.vault,
        ours=server.ours,
        who=ctx.who,
        now=ctx.now,
    )


def _sighted(ctx: PageContext, project: Project, job: Job) -> Sighting | None:
    """What is known now of the image that the job would run, if it names one."""
    source = job.spec.source
    if not isinstance(source, ImageSource):
        return None
    return ctx.server.sighted_image(project.id, source.image, source.credential)


def launch(ctx: PageContext) -> Response:
    """Create the job, once, and build the newest commit if that was asked for."""
    with ctx.server.db.read() as tx:
        draft = _opened(ctx, tx)
    try:
        made, server = draft.typed.draft(ctx.server), ctx.server
        if not draft.typed.given["name"].strip():
            raise InvalidValue("name", f"name must be {NAME_RULE}.")
        with server.db.write() as tx:
            if draft.id is None or not stored_drafts.remove(tx, draft.id, _owner(ctx)):
                raise Conflict("The job was made of this draft already: look for it in its project.")
            job = define_job(
                tx,
                project_named(ctx, tx, draft.typed.project),
                made,
                names=server.names,
                vault=server.vault,
                ours=server.ours,
                who=ctx.who,
                now=ctx.now,
            )
            if ctx.field("build") and job.source is not None and job.source.name is None:
                request_build_of_source(
                    tx, job.source, [job], sha=None, branch=None, who=ctx.who, now=ctx.now
                )
    except (UserError, Problem, ValidationError) as error:
        return _page(ctx, draft, "review", refused(error))
    return see(address(job))


def check_name(ctx: PageContext) -> Response:
    """What is wrong with a name, as a sentence; nothing where it can be had."""
    name = ctx.query("name").strip()
    with ctx.server.db.read() as tx:
        project = _opened(ctx, tx).typed.project
        is_taken = jobs.find(tx, project, name) is not None
    if not NAME.fullmatch(name):
        return PlainTextResponse(f"name must be {NAME_RULE}.")
    return PlainTextResponse(f"There is a job named {name} in project {project} already." if is_taken else "")


def _projects(ctx: PageContext) -> list[str]:
    with ctx.server.db.read() as tx:
        return [each.name for each in projects.page(tx, MANY, None, only=ctx.projects)]


def _page(
    ctx: PageContext,
    draft: Draft,
    step: str,
    problem: Problem | None = None,
    *,
    empty_rows: int = EMPTY_ROWS,
    offered: Sequence[Offer] = (),
) -> Response:
    typed = draft.typed
    with ctx.server.db.read() as tx:
        project = project_named(ctx, tx, typed.project)
        context = _choices(tx, project)
    rehearsal = sighting = None
    if step == "review" and problem is None:
        try:
            rehearsal = _rehearsed(ctx, typed)
            sighting = _sighted(ctx, project, rehearsal.job)
        except (UserError, Problem, ValidationError) as error:
            problem = refused(error)
    names = names_of(blank(typed.source), typed.rows).union({"env_block"}, *OF_STEP.values())
    errors, left = placed(problem, names, lambda field_: as_typed(field_, typed.given))
    wrong = {name: step_of(name, typed) for name in errors}
    return ctx.page(
        f"new_job_{step}.html",
        200 if problem is None or (step == "review" and ctx.request.method == "GET") else problem.status,
        draft=draft,
        offers=offered,
        step=step,
        steps=[(name, STEPS[name]) for name in typed.steps],
        project=project,
        projects=[(name, name) for name in _projects(ctx)],
        sources=SOURCES,
        source=typed.source,
        given={**typed.shown, "project": typed.project, "env_block": ctx.field("env_block")},
        rows=[*typed.shown_rows, *[Row()] * empty_rows],
        look=typed.look,
        branches=[(name, name) for name in typed.look.branches] if typed.look else [],
        errors=errors,
        left=left,
        wrong=wrong,
        fires=typed_times(typed.given, ctx.now),
        rehearsal=rehearsal,
        sighting=sighting,
        plans=[(name, f"{name} · {formatting.capacity(plan)}") for name, plan in ctx.server.plans.items()],
        webhook_base=ctx.address,
        webhook_places=webhook_places(typed.shown.get("source.git.url", "")),
        **context,
    )


def _choices(tx: Tx, project: Project) -> dict[str, Any]:
    """What a job of the project may name, as options: value and text."""
    known = credentials.page(tx, project.id, MANY)
    found = jobs.page(tx, project_id=project.id, limit=MANY)
    return {
        "git_credentials": [(each.name, each.name) for each in known if each.kind != "registry"],
        "registry_credentials": [(each.name, each.name) for each in known if each.kind == "registry"],
        "services": [(each.name, each.name) for each in build_services.page(tx, project.id, MANY)],
        "apps": [app.name for app in github_apps.of_project(tx, project.id)],
        "repositories": sorted({job.source.url for job in found if job.source is not None}),
        "ping": ping_of(tx, project.id),
    }


def routes() -> list[Route]:
    path = "/jobs/new/{draft}"
    steps = ("source", "build", "start")
    return [
        get("/jobs/new", show_new, Right.CHANGE),
        post("/jobs/new", begin, Right.CHANGE),
        *(get(f"{path}/{step}", show_step, Right.CHANGE) for step in (*steps, "review")),
        *(post(f"{path}/{step}", take_step, Right.CHANGE) for step in steps),
        post(f"{path}/review", launch, Right.CHANGE),
        get(f"{path}/name", check_name, Right.CHANGE),
    ]
