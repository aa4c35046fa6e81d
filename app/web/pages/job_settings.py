"""`/projects/{p}/jobs/{j}/settings` and `/jobs/new`: define, change and delete a job, by the API's own rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from starlette.responses import Response
from starlette.routing import Route

from app.commands.dry_run import Detected
from app.domain.errors import Conflict, UserError
from app.domain.jobs import Job
from app.store import build_services, credentials, projects
from app.store.database import Tx
from app.web.api.defining import Edit, define, redefine, rehearse_edit, remove
from app.web.api.definitions import form_of, unmasked
from app.web.api.forms.job import JobForm
from app.web.api.reading import read_value
from app.web.pages import job_form
from app.web.pages.form_fields import Row, rows_of, to_retype
from app.web.pages.job_form import SOURCES
from app.web.pages.jobs import address, job_of
from app.web.pages.looking import look
from app.web.pages.refusals import placed, refused
from app.web.pages.visit import Visit, get, post, see
from app.web.principal import Role
from app.web.problems import Problem

EMPTY_ROWS, MORE_ROWS = 2, 8
MANY = 200


@dataclass(frozen=True)
class Typed:
    """What somebody typed, and the job (as the API shows it) that it is about."""

    form: Mapping[str, Any]
    given: Mapping[str, str]
    rows: Sequence[Row]

    @property
    def retype(self) -> list[str]:
        return to_retype(self.rows)

    def definition(self) -> dict[str, Any]:
        return job_form.definition(self.form, self.given, self.rows)


def _stored(form: Mapping[str, Any]) -> Typed:
    return Typed(form, *job_form.shown(form))


def _typed(visit: Visit, form: Mapping[str, Any]) -> Typed:
    given = {name: visit.field(name) for name in visit.form}
    return Typed(form, given, rows_of(visit.form, form["env"]))


def show_settings(visit: Visit) -> Response:
    with visit.yard.db.read() as tx:
        job = job_of(tx, visit)
    return _settings(visit, job, _stored(_with_source(job, visit.query("source"))))


def _with_source(job: Job, wanted: str) -> Mapping[str, Any]:
    """The job's form; one that has no source yet may be given one."""
    form = form_of(job)
    if form["source"]["type"] == "none" and wanted in SOURCES:
        return {**form, "source": job_form.blank(wanted)["source"]}
    return form


def save_settings(visit: Visit) -> Response:
    with visit.yard.db.read() as tx:
        job = job_of(tx, visit)
    typed = _typed(visit, _with_source(job, visit.field("source.type")))
    if visit.field("more"):
        return _settings(visit, job, typed, empty_rows=MORE_ROWS)
    try:
        patch = typed.definition()
        if visit.field("look"):
            return _settings(visit, job, typed, seen=look(visit, job.project, patch["source"], "source."))
        if visit.field("preview"):
            return _settings(visit, job, typed, edit=_edit(visit, job.project, {**patch, "name": job.name}))
        with visit.yard.db.write() as tx:
            redefine(tx, visit.yard, job_of(tx, visit), patch, visit.who)
    except (UserError, Problem, ValidationError) as error:
        return _settings(visit, job, typed, problem=refused(error))
    return see(f"{address(job)}/settings?saved=1")


def _edit(visit: Visit, project: str, fields: Mapping[str, Any]) -> Edit:
    with visit.yard.db.read() as tx:
        return rehearse_edit(tx, visit.yard, projects.named(tx, project), fields, visit.who)


def delete_job(visit: Visit) -> Response:
    with visit.yard.db.read() as tx:
        job = job_of(tx, visit)
    try:
        if visit.field("confirm").strip() != job.name:
            raise Conflict(f"Type {job.name} to say that this is the job to delete.")
        with visit.yard.db.write() as tx:
            remove(tx, visit.yard, job_of(tx, visit))
    except Conflict as error:
        return _settings(visit, job, _stored(form_of(job)), undeleted=str(error))
    return see("/")


def _settings(
    visit: Visit,
    job: Job,
    typed: Typed,
    *,
    problem: Problem | None = None,
    edit: Edit | None = None,
    seen: Detected | None = None,
    undeleted: str = "",
    empty_rows: int = EMPTY_ROWS,
) -> Response:
    with visit.yard.db.read() as tx:
        context = _choices(tx, job.project_id)
    return _page(
        visit,
        typed,
        problem,
        empty_rows,
        409 if undeleted else 200,
        **context,
        edit=edit,
        seen=seen,
        job=job,
        warnings=unmasked(job.definition["env"], visit.yard.vault),
        project=job.project,
        address=address(job),
        action=f"{address(job)}/settings",
        may_choose_source=form_of(job)["source"]["type"] == "none",
        undeleted=undeleted,
        groups=sorted({str(entry["group"]) for entry in job.shared_env.values()}),
    )


def show_new(visit: Visit) -> Response:
    return _new(visit, _stored(job_form.blank(_source_of(visit.query("source")))), visit.query("project"))


def make_job(visit: Visit) -> Response:
    typed = _typed(visit, job_form.blank(_source_of(visit.field("source.type"))))
    project_name = visit.field("project")
    if visit.field("more"):
        return _new(visit, typed, project_name, empty_rows=MORE_ROWS)
    try:
        body = {**typed.definition(), "name": visit.field("name").strip()}
        if visit.field("look"):
            return _new(visit, typed, project_name, seen=look(visit, project_name, body["source"], "source."))
        if visit.field("preview"):
            return _new(visit, typed, project_name, edit=_edit(visit, project_name, body))
        form = read_value(JobForm, body, visit.yard)
        with visit.yard.db.write() as tx:
            job = define(tx, visit.yard, projects.named(tx, project_name), form, visit.who)
    except (UserError, Problem, ValidationError) as error:
        return _new(visit, typed, project_name, problem=refused(error))
    return see(address(job))


def _source_of(text: str) -> str:
    return text if text in SOURCES else "git"


def _new(
    visit: Visit,
    typed: Typed,
    project: str,
    *,
    problem: Problem | None = None,
    edit: Edit | None = None,
    seen: Detected | None = None,
    empty_rows: int = EMPTY_ROWS,
) -> Response:
    with visit.yard.db.read() as tx:
        names = [each.name for each in projects.page(tx, MANY, None)]
        chosen = project if project in names else next(iter(names), "")
        context = _choices(tx, projects.named(tx, chosen).id) if chosen else {}
    if not chosen:
        return visit.page("job_new_nowhere.html")
    return _page(
        visit,
        typed,
        problem,
        empty_rows,
        **context,
        edit=edit,
        seen=seen,
        job=None,
        project=chosen,
        projects=names,
        address="/jobs/new",
        action="/jobs/new",
        may_choose_source=True,
        undeleted="",
        warnings=[],
        groups=[],
    )


def _choices(tx: Tx, project_id: int) -> dict[str, Any]:
    """What a job of the project may name, as options: value and text."""
    known = credentials.page(tx, project_id, MANY)
    return {
        "git_credentials": [(each.name, each.name) for each in known if each.kind == "git"],
        "registry_credentials": [(each.name, each.name) for each in known if each.kind == "registry"],
        "services": [(each.name, each.name) for each in build_services.page(tx, project_id, MANY)],
    }


def _page(
    visit: Visit, typed: Typed, problem: Problem | None, empty_rows: int, status: int = 200, **context: Any
) -> Response:
    names = job_form.names_of(typed.form, typed.rows) | {"name"}
    errors, left = placed(problem, names, lambda field: job_form.as_typed(field, typed.given))
    return visit.page(
        "job_settings.html",
        status if problem is None else problem.status,
        given=typed.given,
        rows=[*typed.rows, *[Row()] * empty_rows],
        retype=typed.retype,
        source=typed.form["source"]["type"],
        sources=SOURCES,
        errors=errors,
        left=left,
        saved=bool(visit.query("saved")),
        plans=visit.yard.plans,
        **context,
    )


def routes() -> list[Route]:
    path = "/projects/{project}/jobs/{job}/settings"
    return [
        get("/jobs/new", show_new, Role.OPERATOR),
        post("/jobs/new", make_job),
        get(path, show_settings, Role.OPERATOR),
        post(path, save_settings),
        post(f"{path}/delete", delete_job),
    ]
