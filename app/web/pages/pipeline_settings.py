"""`/projects/{p}/new/pipeline` and a pipeline's settings: its stages as a board, in order, and what is in each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pydantic import ValidationError
from starlette.responses import Response
from starlette.routing import Route

from app.commands import pipelines as commands
from app.domain.documents import Json
from app.domain.errors import UserError
from app.domain.pipelines import DEFAULT_STAGES, Pipeline
from app.domain.principals import Right
from app.store import apps, jobs, pipelines
from app.store.database import Tx
from app.store.projects import Project
from app.web.pages import projects
from app.web.pages.context import PageContext, get, post, see
from app.web.pages.form_errors import placed, refused, require_named
from app.web.pages.form_versions import require_unchanged, version_of
from app.web.pages.rearranging import rearranged
from app.web.problems import Problem
from app.web.reading import read_value
from app.web.schemas.pipeline import PipelineForm, PipelinePatch, drafts_of
from app.web.scope import pipeline_of, project_of

LISTED = 1000  # jobs and apps to choose among


@dataclass(frozen=True)
class Column:
    """A stage as it is typed; `key` tells it from the others while its name changes."""

    key: str
    name: str
    components: Sequence[str]


@dataclass(frozen=True)
class Typed:
    name: str
    columns: Sequence[Column]

    def stages(self) -> list[Json]:
        """As the API takes them."""
        return [{"name": each.name.strip(), "components": list(each.components)} for each in self.columns]


def address(pipeline: Pipeline) -> str:
    return f"/projects/{pipeline.project}/pipelines/{pipeline.name}"


def show_new(ctx: PageContext) -> Response:
    return _page(ctx, None, _of_stages("", [(name, ()) for name in DEFAULT_STAGES]))


def make_pipeline(ctx: PageContext) -> Response:
    typed = _typed(ctx)
    if ctx.field("do"):
        return _page(ctx, None, typed)
    try:
        body = {"name": typed.name.strip(), "stages": typed.stages()}
        form = read_value(PipelineForm, body, ctx.server)
        with ctx.server.db.write() as tx:
            project = project_of(ctx, tx)
            made = commands.define_pipeline(tx, project, form.name, drafts_of(form.stages), ctx.now)
    except (UserError, Problem, ValidationError) as error:
        return _page(ctx, None, typed, problem=refused(error))
    return see(address(made))


def show_settings(ctx: PageContext) -> Response:
    with ctx.server.db.read() as tx:
        pipeline = pipeline_of(ctx, tx)
    return _page(ctx, pipeline, _stored(pipeline))


def save_settings(ctx: PageContext) -> Response:
    typed = _typed(ctx)
    with ctx.server.db.read() as tx:
        pipeline = pipeline_of(ctx, tx)
    if ctx.field("do"):
        return _page(ctx, pipeline, typed)
    try:
        form = read_value(PipelinePatch, {"stages": typed.stages()}, ctx.server)
        with ctx.server.db.write() as tx:
            pipeline = pipeline_of(ctx, tx)
            require_unchanged(ctx, _shown(pipeline), f"pipeline {pipeline.name}")
            commands.change_pipeline(tx, pipeline, drafts_of(form.stages))
    except (UserError, Problem, ValidationError) as error:
        return _page(ctx, pipeline, typed, problem=refused(error))
    return see(f"{address(pipeline)}/settings?saved=1")


def delete_pipeline(ctx: PageContext) -> Response:
    with ctx.server.db.read() as tx:
        pipeline = pipeline_of(ctx, tx)
    try:
        require_named(ctx, pipeline.name, "pipeline")
        with ctx.server.db.write() as tx:
            commands.remove_pipeline(tx, pipeline_of(ctx, tx))
    except UserError as error:
        return _page(ctx, pipeline, _stored(pipeline), undeleted=refused(error))
    return see("/pipelines")


def _of_stages(name: str, stages: Sequence[tuple[str, Sequence[str]]]) -> Typed:
    return Typed(name, [Column(str(key), *stage) for key, stage in enumerate(stages)])


def _stored(pipeline: Pipeline) -> Typed:
    return _of_stages(
        pipeline.name, [(stage.name, [each.name for each in stage.components]) for stage in pipeline.stages]
    )


def _shown(pipeline: Pipeline) -> Json:
    return {"stages": _stored(pipeline).stages()}


def _typed(ctx: PageContext) -> Typed:
    """With what a button asks for done: a stage added, moved or removed, or a component."""
    pressed = ctx.field("do")
    verb, _, which = pressed.partition(":")
    keys = rearranged(ctx.form.get("stages", ()), pressed)
    columns = [
        Column(key, ctx.field(f"name.{key}"), list(dict.fromkeys(ctx.form.get(f"in.{key}", ()))))
        for key in keys
    ]
    match verb:
        case "add":
            fresh = max((int(key) for key in keys if key.isdecimal()), default=-1) + 1
            columns.append(Column(str(fresh), "", ()))
        case "put":
            chosen = ctx.field(f"add.{which}")
            columns = [
                replace(each, components=[*each.components, chosen]) if each.key == which and chosen else each
                for each in columns
            ]
        case "left" | "right" | "earlier" | "later" | "drop":
            columns = _moved(columns, verb, which)
    return Typed(ctx.field("name"), columns)


WITHIN = {"earlier": "up", "later": "down", "drop": "out"}


def _moved(columns: Sequence[Column], verb: str, name: str) -> list[Column]:
    """A component elsewhere: at another place of its stage, at the end of the stage beside it, or out of all."""
    at = next((number for number, each in enumerate(columns) if name in each.components), None)
    if at is None:
        return list(columns)
    if verb in WITHIN:
        here = rearranged(columns[at].components, f"{WITHIN[verb]}:{name}")
        return [
            replace(each, components=here) if number == at else each for number, each in enumerate(columns)
        ]
    to = at - 1 if verb == "left" else at + 1
    if not 0 <= to < len(columns):
        return list(columns)
    without = [replace(each, components=[one for one in each.components if one != name]) for each in columns]
    without[to] = replace(without[to], components=[*without[to].components, name])
    return without


def _free(tx: Tx, project: Project, pipeline: Pipeline | None, typed: Typed) -> list[str]:
    """The apps, and the jobs that are in none, that could be put into a stage."""
    known = jobs.page(tx, project_id=project.id, limit=LISTED)
    in_apps = apps.names_of(tx, [job.id for job in known])
    found = [(job.name, "job", job.id) for job in known if job.id not in in_apps]
    found += [(app.name, "app", app.id) for app in apps.page(tx, project_id=project.id, limit=LISTED)]
    taken = pipelines.taken(tx, project.id, but_by=None if pipeline is None else pipeline.id)
    put = {name for column in typed.columns for name in column.components}
    return sorted({name for name, kind, of in found if (kind, of) not in taken and name not in put})


def _field_of(typed: Typed) -> Mapping[str, str]:
    """The fields of the form by those of the API: stages are numbered there."""
    of_names = {f"stages.{number}.name": f"name.{each.key}" for number, each in enumerate(typed.columns)}
    of_components = {
        f"stages.{number}.components": f"add.{each.key}" for number, each in enumerate(typed.columns)
    }
    return of_names | of_components


def _page(
    ctx: PageContext,
    pipeline: Pipeline | None,
    typed: Typed,
    *,
    problem: Problem | None = None,
    undeleted: Problem | None = None,
) -> Response:
    with ctx.server.db.read() as tx:
        project = project_of(ctx, tx)
        free = _free(tx, project, pipeline, typed)
        stored = None if pipeline is None else pipelines.named(tx, project.name, pipeline.name)
    fields = _field_of(typed)
    errors, left = placed(
        problem,
        frozenset({"name", "stages", *fields.values()}),
        lambda path: next((field for prefix, field in fields.items() if path.startswith(prefix)), path),
    )
    said = problem or undeleted
    return ctx.page(
        "pipeline_settings.html",
        200 if said is None else said.status,
        project=project,
        pipeline=pipeline,
        action=f"{address(pipeline)}/settings" if pipeline else f"{projects.address(project)}/new/pipeline",
        given={"name": typed.name},
        columns=typed.columns,
        free=free,
        seen="" if stored is None else version_of(_shown(stored)),
        errors=errors,
        left=left,
        saved=bool(ctx.query("saved")),
        undeleted="" if undeleted is None else undeleted.detail,
    )


def routes() -> list[Route]:
    new, path = "/projects/{project}/new/pipeline", "/projects/{project}/pipelines/{pipeline}/settings"
    return [
        get(new, show_new, Right.CHANGE),
        post(new, make_pipeline, Right.CHANGE),
        get(path, show_settings, Right.CHANGE),
        post(path, save_settings, Right.CHANGE),
        post(f"{path}/delete", delete_pipeline, Right.CHANGE),
    ]
