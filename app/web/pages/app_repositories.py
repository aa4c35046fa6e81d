"""Repositories that GitHub Apps of a project reach, for the form of a new job: listed, searched, and taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.commands.github_apps import reached_repositories
from app.domain.errors import JobyardError
from app.domain.github_apps import Repository
from app.store import github_apps
from app.web.pages.context import PageContext
from app.web.pages.job_draft import Typed
from app.web.reach import project_named

SHOWN = 50


@dataclass(frozen=True)
class Offer:
    """What is offered of an App: `value` is what taking one sends. `problem` is why there are none."""

    app: str
    repositories: Sequence[tuple[str, Repository]]
    more: int = 0
    problem: str = ""


def offers(ctx: PageContext, project: str, search: str) -> list[Offer]:
    """The repositories of each App of the project whose name has what is searched for. GitHub is asked."""
    with ctx.server.db.read() as tx:
        apps = github_apps.of_project(tx, project_named(ctx, tx, project).id)
    found = []
    for app in apps:
        try:
            known = reached_repositories(ctx.server.vault, ctx.server.app_tokens, app)
        except JobyardError as error:
            found.append(Offer(app.name, (), problem=str(error)))
            continue
        fitting = [each for each in known if search.lower() in each.full_name.lower()]
        shown = [(f"{app.name} {each.url}", each) for each in fitting[:SHOWN]]
        found.append(Offer(app.name, shown, more=len(fitting) - len(shown)))
    return found


def taken(typed: Typed, value: str) -> Typed:
    """With the repository that was taken, and the App as its credential; its default branch is found out."""
    app, _, url = value.partition(" ")
    chosen = {"source.git.url": url, "source.git.credential": app, "source.git.branch": ""}
    return replace(typed, given={**typed.given, **chosen}, look=None)
