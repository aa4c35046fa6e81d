"""In which projects a visitor may make something new, for the buttons of lists over all projects."""

from __future__ import annotations

from collections.abc import Sequence

from app.domain.principals import Right
from app.store import projects
from app.store.database import Tx
from app.web.pages.context import PageContext

LISTED = 50


def projects_to_change(ctx: PageContext, tx: Tx) -> Sequence[str]:
    """Their names, by name; the newest of very many."""
    if ctx.principal is None or not ctx.may_somewhere(Right.CHANGE):
        return []
    found = projects.page(tx, LISTED, None, only=ctx.principal.projects_with(Right.CHANGE))
    return sorted(project.name for project in found)
