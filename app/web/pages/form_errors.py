"""What a form is answered that can't be taken as it was typed: each sentence at its field."""

from __future__ import annotations

from collections.abc import Callable

from app.domain.errors import InvalidValue
from app.web.pages.context import PageContext
from app.web.problems import Problem, problem_of

REFUSED = (409, 422, 429, 503)


def refused(error: Exception) -> Problem:
    """What is to be said at the form. Raises the error again if that is not the place for it."""
    problem = problem_of(error)
    if problem.status not in REFUSED:
        raise error
    return problem


def placed(
    problem: Problem | None, names: frozenset[str], as_typed: Callable[[str], str] = str
) -> tuple[dict[str, str], list[str]]:
    """Each sentence at its field among `names`, and those that belong to none.

    `as_typed` gives the name on the page of a field of the API's.
    """
    at: dict[str, str] = {}
    left: list[str] = []
    if problem is None:
        return at, left
    for error in problem.errors or [{"field": "", "message": problem.detail}]:
        field = as_typed(error["field"])
        while field and field not in names:
            field = field.rpartition(".")[0]
        if field and field not in at:
            at[field] = error["message"]
        else:
            left.append(error["message"])
    return at, left


def require_named(ctx: PageContext, name: str, what: str) -> None:
    """Raises InvalidValue unless the form says the name of what is to be deleted."""
    if ctx.field("confirm").strip() != name:
        raise InvalidValue("confirm", f"Type {name} to say that this is the {what} to delete.")
