"""What anybody may see of a project that is public: `/public/{p}`, and how that is switched on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from starlette.responses import Response
from starlette.routing import Route

from app.commands.projects import change_project
from app.domain.job.records import Job
from app.domain.pipelines import Pipeline
from app.domain.principals import Right
from app.store.projects import Project
from app.web.pages.context import PageContext, get, post, see
from app.web.scope import project_of
from app.web.standing import public_jobs, public_project


@dataclass(frozen=True)
class Snippet:
    """A badge to paste into a README: what it is of, and the Markdown."""

    name: str
    markdown: str


def snippets(
    address: str, project: Project, jobs: Sequence[Job], pipelines: Sequence[Pipeline]
) -> list[Snippet]:
    """One for each job and pipeline; each leads to the public page."""
    page, badges = f"{address}/public/{project.name}", f"{address}/api/v1/projects/{project.name}/badges"
    images = [(job.name, f"{badges}/{quote(job.name)}.svg") for job in jobs]
    images += [(each.name, f"{badges}/pipelines/{quote(each.name)}.svg") for each in pipelines]
    return [Snippet(name, f"[![{name}]({image})]({page})") for name, image in images]


def show_public(ctx: PageContext) -> Response:
    """Outcomes and times of its jobs, and nothing else: no log, variable or sentence, which could hold anything."""
    with ctx.server.db.read() as tx:
        project = public_project(tx, ctx.path("project"))
        found = public_jobs(tx, project.id)
    return ctx.page("public.html", project=project, jobs=found, may_enter=ctx.reaches(project.id))


def set_public(ctx: PageContext) -> Response:
    with ctx.server.db.write() as tx:
        project = project_of(ctx, tx)
        change_project(tx, ctx.server.vault, project, public=bool(ctx.field("public")))
    return see(f"/projects/{project.name}#public")


def routes() -> list[Route]:
    return [
        get("/public/{project}", show_public, None),
        post("/projects/{project}/public", set_public, Right.SECRETS),
    ]
