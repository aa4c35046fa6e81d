"""Lists of the API: pages of them, the history of what a query names, and what a deletion has to confirm."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypedDict, TypeVar

from app.domain.errors import InvalidValue
from app.store.database import Tx
from app.web import reach
from app.web.api.operations import ApiContext
from app.web.problems import Problem
from app.web.reach import Numbered
from app.web.schemas.base import Confirm, Paging

Row = TypeVar("Row", bound=Numbered)
AnyContext = ApiContext[Any, Any]


def history_wanted(ctx: AnyContext, tx: Tx, project: str | None, job: str | None) -> dict[str, int]:
    """What lists of runs and decisions are of, by the names in a query; nothing for all that is within reach."""
    if project is None:
        if job is not None:
            raise InvalidValue("project", "project is missing: the name of a job needs it.")
        return {}
    found = reach.project_named(ctx, tx, project)
    if job is None:
        return {"project_id": found.id}
    return {"project_id": found.id, "job_id": reach.job_once_named(ctx, tx, found, job).id}


def history(
    ctx: AnyContext, fetch: Callable[..., Sequence[Row]], wanted: dict[str, object], limit: int
) -> Sequence[Row]:
    """The newest `limit` of what `fetch(**wanted)` gives, of all projects within reach unless one is wanted."""
    if not wanted.keys().isdisjoint(("project_id", "job_id")):
        return fetch(**wanted)
    return reach.newest(ctx, lambda project_id: fetch(project_id=project_id, **wanted), limit)


def confirmed(ctx: ApiContext[Any, Confirm], name: str) -> None:
    """Raises 422 unless the query names what is to be deleted."""
    if ctx.query.confirm != name:
        message = f"confirm must name what is deleted: add ?confirm={name}."
        raise Problem(422, message, [{"field": "confirm", "message": message}])


class Listed(TypedDict):
    """A page of a list, as it is answered. `next` is the cursor of the page after it, None on the last one."""

    items: list[Any]
    next: int | None


def paged(
    ctx: ApiContext[Any, Any],
    fetch: Callable[[int, int | None], Sequence[Row]],
    show: Callable[[Sequence[Row]], Sequence[Any]],
) -> Listed:
    """A page of what `fetch(limit, before)` gives, newest first; `show` makes answers of the rows."""
    paging: Paging = ctx.query
    rows = fetch(paging.limit + 1, paging.cursor)
    kept = rows[: paging.limit]
    return {"items": list(show(kept)), "next": kept[-1].id if len(rows) > len(kept) else None}
