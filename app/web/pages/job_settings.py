"""`/projects/{p}/jobs/{j}/settings`: change and delete a job, by the API's own rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from starlette.responses import Response
from starlette.routing import Route

from app.commands.detection import Detected
from app.commands.job_edits import Edit, preview_edit
from app.commands.jobs import change_job, remove_job
from app.commands.sources import guessable
from app.commands.variables import unmasked
from app.domain.documents import Json
from app.domain.errors import Conflict, UserError
from app.domain.job.codec import shown_job
from app.domain.job.records import Job
from app.domain.job.spec import NoSource
from app.domain.principals import Right
from app.domain.sealing import of_source_hook
from app.store import build_services, credentials
from app.store.database import Tx
from app.web.pages import formatting, job_form
from app.web.pages.context import PageContext, get, post, see
from app.web.pages.detection_preview import look
from app.web.pages.form_errors import placed, refused
from app.web.pages.form_fields import Row, rows_of, to_retype
from app.web.pages.job_form import SOURCES
from app.web.pages.job_sections import SECTIONS, has_more, only, require_unchanged, versions, was_of
from app.web.pages.jobs import address
from app.web.pages.schedule import typed_times
from app.web.patching import job_and_draft, patched_job
from app.web.problems import Problem
from app.web.reach import project_named
from app.web.scope import job_of

EMPTY_ROWS, MORE_ROWS = 2, 8
MANY = 200


@dataclass(frozen=True)
class Typed:
    """What somebody typed, and the job (as the API shows it) that it is about."""

    form: Json
    given: Mapping[str, str]
    rows: Sequence[Row]

    @property
    def retype(self) -> list[str]:
        return to_retype(self.rows)

    def definition(self) -> Json:
        return job_form.definition(self.form, self.given, self.rows)


def _stored(form: Json) -> Typed:
    return Typed(form, *job_form.shown(form))


def _typed(ctx: PageContext, form: Json) -> Typed:
    given = {name: ctx.field(name) for name in ctx.form}
    return Typed(form, given, rows_of(ctx.form, form["env"]))


def show_settings(ctx: PageContext) -> Response:
    with ctx.server.db.read() as tx:
        job = job_of(ctx, tx)
    return _settings(ctx, job, _stored(_with_source(job, ctx.query("source"))))


def _with_source(job: Job, wanted: str) -> Json:
    """The job's form; one that has no source yet may be given one."""
    form = shown_job(job.spec)
    if form["source"]["type"] == "none" and wanted in SOURCES:
        return {**form, "source": job_form.blank(wanted)["source"]}
    return form


def save_settings(ctx: PageContext) -> Response:
    with ctx.server.db.read() as tx:
        job = job_of(ctx, tx)
    section = ctx.field("section") if ctx.field("section") in SECTIONS else ""
    typed = _typed(ctx, _with_source(job, ctx.field("source.type")))
    if ctx.field("more"):
        return _settings(ctx, job, typed, empty_rows=MORE_ROWS)
    try:
        if section:
            return _save_section(ctx, typed, section)
        patch = typed.definition()
        if ctx.field("look"):
            return _settings(ctx, job, typed, seen=look(ctx, job.project, patch["source"], "source."))
        if ctx.field("preview"):
            return _settings(ctx, job, typed, edit=_edit(ctx, job.project, {**patch, "name": job.name}))
        _change(ctx, typed)
    except (UserError, Problem, ValidationError) as error:
        return _settings(ctx, job, typed, problem=refused(error))
    return see(f"{address(job)}/settings?saved=1")


def _save_section(ctx: PageContext, typed: Typed, section: str) -> Response:
    """Save what was typed in a section; what was typed in others stays typed, and is not saved."""
    changed = _change(ctx, typed, section)
    form = shown_job(changed.spec)
    if has_more(section, form, typed.given, typed.rows):
        return _settings(ctx, changed, Typed(form, typed.given, typed.rows), saved_section=section)
    return see(f"{address(changed)}/settings?saved={section}#s-{section}")


def _change(ctx: PageContext, typed: Typed, section: str = "") -> Job:
    """Save all that was typed, or a section. Raises Conflict for what somebody else has changed meanwhile."""
    server = ctx.server
    with server.db.write() as tx:
        job = job_of(ctx, tx)
        require_unchanged(job, typed.given, section)
        if section:
            form = typed.form if section == "source" else shown_job(job.spec)
            typed = Typed(form, *only(section, form, typed.given, typed.rows))
        return change_job(
            tx,
            job,
            patched_job(job, typed.definition(), server),
            names=server.names,
            vault=server.vault,
            ours=server.ours,
            who=ctx.who,
            now=ctx.now,
        )


def _edit(ctx: PageContext, project: str, fields: Json) -> Edit:
    with ctx.server.db.read() as tx:
        server, owner = ctx.server, project_named(ctx, tx, project)
        job, draft = job_and_draft(tx, owner, fields, server)
        return preview_edit(
            tx, owner, job, draft, vault=server.vault, ours=server.ours, who=ctx.who, now=ctx.now
        )


def delete_job(ctx: PageContext) -> Response:
    with ctx.server.db.read() as tx:
        job = job_of(ctx, tx)
    try:
        if ctx.field("confirm").strip() != job.name:
            raise Conflict(f"Type {job.name} to say that this is the job to delete.")
        with ctx.server.db.write() as tx:
            remove_job(tx, job_of(ctx, tx), ctx.now)
    except Conflict as error:
        return _settings(ctx, job, _stored(shown_job(job.spec)), undeleted=str(error))
    return see("/")


def _settings(
    ctx: PageContext,
    job: Job,
    typed: Typed,
    *,
    problem: Problem | None = None,
    edit: Edit | None = None,
    seen: Detected | None = None,
    undeleted: str = "",
    empty_rows: int = EMPTY_ROWS,
    saved_section: str = "",
) -> Response:
    with ctx.server.db.read() as tx:
        context = _choices(tx, job.project_id)
    return _page(
        ctx,
        typed,
        problem,
        empty_rows,
        409 if undeleted else 200,
        **context,
        edit=edit,
        seen=seen,
        job=job,
        versions=versions(job) if problem is None else was_of(typed.given),
        sections=SECTIONS,
        saved_section=SECTIONS.get(saved_section, ""),
        warnings=[*unmasked(job.env, ctx.server.vault, job.project_id), *_of_webhook(ctx, job)],
        project=job.project,
        address=address(job),
        action=f"{address(job)}/settings",
        may_choose_source=isinstance(job.spec.source, NoSource),
        undeleted=undeleted,
        groups=sorted({shared.group for shared in job.shared_env.values()}),
    )


def _of_webhook(ctx: PageContext, job: Job) -> list[str]:
    source = job.source
    if source is None:
        return []
    place = of_source_hook(source.project_id, source.id)
    return guessable(ctx.server.vault, source.webhook_secret, place)


def _choices(tx: Tx, project_id: int) -> Json:
    """What a job of the project may name, as options: value and text."""
    known = credentials.page(tx, project_id, MANY)
    return {
        "git_credentials": [(each.name, each.name) for each in known if each.kind != "registry"],
        "registry_credentials": [(each.name, each.name) for each in known if each.kind == "registry"],
        "services": [(each.name, each.name) for each in build_services.page(tx, project_id, MANY)],
    }


def _page(
    ctx: PageContext,
    typed: Typed,
    problem: Problem | None,
    empty_rows: int,
    status: int = 200,
    **context: Any,
) -> Response:
    names = job_form.names_of(typed.form, typed.rows)
    errors, left = placed(problem, names, lambda field: job_form.as_typed(field, typed.given))
    return ctx.page(
        "job_settings.html",
        status if problem is None else problem.status,
        given=typed.given,
        fires=typed_times(typed.given, ctx.now),
        rows=[*typed.rows, *[Row()] * empty_rows],
        retype=typed.retype,
        source=typed.form["source"]["type"],
        sources=SOURCES,
        errors=errors,
        left=left,
        saved=bool(ctx.query("saved")),
        plans=[(name, f"{name} · {formatting.capacity(plan)}") for name, plan in ctx.server.plans.items()],
        **context,
    )


def routes() -> list[Route]:
    path = "/projects/{project}/jobs/{job}/settings"
    return [
        get(path, show_settings, Right.CHANGE),
        post(path, save_settings, Right.CHANGE),
        post(f"{path}/delete", delete_job, Right.CHANGE),
    ]
