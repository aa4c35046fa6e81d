"""Lists of the API: pages of them, and what a deletion has to confirm."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, TypedDict, TypeVar

from app.store.lists import Place, Stretch
from app.web.api.operations import ApiContext
from app.web.problems import Problem
from app.web.reach import Numbered
from app.web.schemas.base import Confirm, Paging

Row = TypeVar("Row", bound=Numbered)
Fetch: TypeAlias = Callable[[Place, int], tuple[Sequence[Row], Stretch]]


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


def stretched(
    ctx: ApiContext[Any, Any], fetch: Fetch[Row], show: Callable[[Sequence[Row]], Sequence[Any]]
) -> Listed:
    """A page of a list that is filtered: it may hold fewer than asked for though older ones follow (`store.lists`)."""
    paging: Paging = ctx.query
    found, stretch = fetch(Place(before=paging.cursor), paging.limit)
    return {"items": list(show(found)), "next": stretch.older}
