"""`/projects/{p}/secret-groups`: make, change and delete variables that several jobs share; secrets only go in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError
from starlette.responses import Response
from starlette.routing import Route

from app.commands.secret_groups import change_group, define_group
from app.commands.variables import unmasked
from app.domain.documents import Json
from app.domain.errors import UserError
from app.domain.principals import Right
from app.store import jobs, secret_groups
from app.store.database import Tx
from app.store.projects import Project
from app.store.secret_groups import SecretGroup
from app.web.pages import projects
from app.web.pages.context import PageContext, get, post, see
from app.web.pages.form_errors import placed, refused, require_named
from app.web.pages.form_fields import (
    Fields,
    Row,
    env_of,
    patch_of,
    rows_of,
    stored_rows,
    texts,
    to_retype,
)
from app.web.pages.form_versions import require_unchanged, version_of
from app.web.patching import patched_group
from app.web.problems import Problem
from app.web.reach import look_up
from app.web.reading import read_value
from app.web.schemas.secret_group import SecretGroupForm, shown_group
from app.web.scope import project_of
from app.web.texts import LINES, NUMBER

FIELDS: Fields = {"priority": NUMBER, "jobs": LINES}
BLANK: Json = {"priority": 0, "jobs": [], "env": {}}
EMPTY_ROWS, MORE_ROWS = 2, 8
LISTED = 100  # jobs to tick; where there are more, their names are typed


@dataclass(frozen=True)
class Typed:
    """What somebody typed, and the group (as the API shows it) that it is about."""

    form: Json
    given: Mapping[str, str]
    rows: Sequence[Row]

    def patch(self) -> Json:
        return {**patch_of(self.form, FIELDS, self.given), "env": env_of(self.form["env"], self.rows)}


def _stored(form: Json) -> Typed:
    return Typed(form, texts(form, FIELDS), stored_rows(form["env"]))


def _typed(ctx: PageContext, form: Json) -> Typed:
    ticked = "\n".join(ctx.form.get("jobs", ()))
    given = {"name": ctx.field("name"), "priority": ctx.field("priority"), "jobs": ticked}
    return Typed(form, given, rows_of(ctx.form, form["env"]))


def group_of(ctx: PageContext, tx: Tx) -> SecretGroup:
    project, name = project_of(ctx, tx), ctx.path("group")
    return look_up(ctx, f"secret group {name}", lambda: secret_groups.named(tx, project.id, name))


def address(project: Project, group: SecretGroup) -> str:
    return f"{projects.address(project)}/secret-groups/{group.name}"


def show_new(ctx: PageContext) -> Response:
    return _page(ctx, None, _stored(BLANK))


def make_group(ctx: PageContext) -> Response:
    typed = _typed(ctx, BLANK)
    if ctx.field("more"):
        return _page(ctx, None, typed, empty_rows=MORE_ROWS)
    try:
        body = {**typed.patch(), "name": typed.given["name"].strip()}
        server = ctx.server
        form = read_value(SecretGroupForm, body, server)
        with ctx.server.db.write() as tx:
            project = project_of(ctx, tx)
            group = define_group(tx, project, form.draft(), vault=server.vault, ours=server.ours, now=ctx.now)
    except (UserError, Problem, ValidationError) as error:
        return _page(ctx, None, typed, problem=refused(error))
    return see(f"{address(project, group)}?saved=1")


def show_group(ctx: PageContext) -> Response:
    with ctx.server.db.read() as tx:
        group = group_of(ctx, tx)
    return _page(ctx, group, _stored(shown_group(group)))


def save_group(ctx: PageContext) -> Response:
    with ctx.server.db.read() as tx:
        group = group_of(ctx, tx)
    typed = _typed(ctx, shown_group(group))
    if ctx.field("more"):
        return _page(ctx, group, typed, empty_rows=MORE_ROWS)
    try:
        patch, server = typed.patch(), ctx.server
        with ctx.server.db.write() as tx:
            project = project_of(ctx, tx)
            known = group_of(ctx, tx)
            require_unchanged(ctx, shown_group(known), f"secret group {known.name}")
            draft = patched_group(known, patch, server)
            change_group(tx, project, known, draft, vault=server.vault, ours=server.ours)
    except (UserError, Problem, ValidationError) as error:
        return _page(ctx, group, typed, problem=refused(error))
    return see(f"{address(project, group)}?saved=1")


def delete_group(ctx: PageContext) -> Response:
    with ctx.server.db.read() as tx:
        project, group = project_of(ctx, tx), group_of(ctx, tx)
    try:
        require_named(ctx, group.name, "secret group")
        with ctx.server.db.write() as tx:
            secret_groups.delete(tx, group_of(ctx, tx))
    except UserError as error:
        return _page(ctx, group, _stored(shown_group(group)), undeleted=refused(error))
    return see(projects.address(project))


def _page(
    ctx: PageContext,
    group: SecretGroup | None,
    typed: Typed,
    *,
    problem: Problem | None = None,
    undeleted: Problem | None = None,
    empty_rows: int = EMPTY_ROWS,
) -> Response:
    with ctx.server.db.read() as tx:
        project = project_of(ctx, tx)
        known = jobs.page(tx, project_id=project.id, limit=LISTED + 1)
        seen = version_of(shown_group(group_of(ctx, tx))) if group else ""
    names = frozenset({*FIELDS, "name", *(f"env.{row.name}" for row in typed.rows)})
    errors, left = placed(problem, names)
    said = problem or undeleted
    return ctx.page(
        "secret_group.html",
        200 if said is None else said.status,
        project=project,
        group=group,
        seen_as=seen,
        warnings=unmasked(group.env, ctx.server.vault, group.project_id) if group else [],
        action=address(project, group) if group else f"{projects.address(project)}/secret-groups",
        given=typed.given,
        rows=[*typed.rows, *[Row()] * empty_rows],
        retype=to_retype(typed.rows),
        errors=errors,
        left=left,
        saved=bool(ctx.query("saved")),
        undeleted="" if undeleted is None else undeleted.detail,
        jobs=sorted(job.name for job in known) if len(known) <= LISTED else None,
        ticked=LINES.read(typed.given["jobs"]),
    )


def routes() -> list[Route]:
    path = "/projects/{project}/secret-groups"
    return [
        get(path, show_new, Right.SECRETS),
        post(path, make_group, Right.SECRETS),
        get(f"{path}/{{group}}", show_group, Right.SECRETS),
        post(f"{path}/{{group}}", save_group, Right.SECRETS),
        post(f"{path}/{{group}}/delete", delete_group, Right.SECRETS),
    ]
