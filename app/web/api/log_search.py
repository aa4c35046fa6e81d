"""Lines of a log by what they say: the whole of a run's log, or a build's, some megabytes a request."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from app.domain.errors import InvalidValue, NotFound
from app.logs import LogReader, Row, Selection, Stream, display_text
from app.logs.search import BUDGET, Containing, Errors, Place, search
from app.web.api.operations import ApiContext, Operation
from app.web.numbers import whole_number
from app.web.schemas.base import Empty
from app.web.schemas.log import (
    BuildLogSearchQuery,
    LogMatch,
    LogMatches,
    LogSearchQuery,
    RunLogSearchQuery,
)
from app.web.scope import build_of, run_of

_SHOWN: Final = 300  # bytes of a line
_BEFORE: Final = 100  # of them before what was found
_NEXT: Final = re.compile(r"(\d{1,18}):(\d{1,18}):(\d{1,18})(\+?)")

Log = Callable[[int], LogReader]


def search_run_log(ctx: ApiContext[Empty, RunLogSearchQuery]) -> LogMatches:
    with ctx.server.db.read() as tx:
        run = run_of(ctx, tx)
    attempt, storage = ctx.query.attempt, ctx.server.log_storage
    if attempt is not None and attempt > run.attempts:
        raise NotFound(f"Run {run.name} has no attempt {attempt}: it has {run.attempts}.")
    numbers = range(1, run.attempts + 1) if attempt is None else [attempt]
    return _matches(ctx.query, lambda number: storage.reader(run.id, number), numbers, ctx.query.selection)


def search_build_log(ctx: ApiContext[Empty, BuildLogSearchQuery]) -> LogMatches:
    with ctx.server.db.read() as tx:
        build = build_of(ctx, tx)
    log = ctx.server.log_storage.build_reader(build.id)
    found = _matches(ctx.query, lambda _: log, [1], ctx.query.selection)
    return found.model_copy(
        update={"matches": [each.model_copy(update={"attempt": None}) for each in found.matches]}
    )


def _matches(query: LogSearchQuery, log: Log, numbers: Sequence[int], selection: Selection) -> LogMatches:
    """Search the logs with these numbers, one after the other, until there is enough."""
    wanted = _wanted(query)
    number, place = _place(query.after, numbers)
    matches: list[LogMatch] = []
    budget = BUDGET
    for current in [each for each in numbers if each >= number]:
        place = place if current == number else Place()
        number = current
        room = query.limit - len(matches)
        found = search(log(number), wanted, selection, place, limit=room, budget=budget)
        matches += [_match(number, row, text, wanted) for row, text in found.lines]
        place, budget = found.place, budget - found.looked_at
        if not found.is_complete or (number != numbers[-1] and (budget <= 0 or len(matches) == query.limit)):
            return LogMatches(matches=matches, next=_next(number, place), complete=False)
    return LogMatches(matches=matches, next=_next(number, place), complete=True)


def _wanted(query: LogSearchQuery) -> Containing | Errors:
    if query.errors:
        if query.q is not None:
            raise InvalidValue("q", "q and errors=true exclude each other: leave one of them out.")
        return Errors()
    if query.q is None:
        raise InvalidValue(
            "q", "q must be the text to look for, unless errors=true asks for lines with errors."
        )
    return Containing(query.q, query.exact_case)


def _place(after: str | None, numbers: Sequence[int]) -> tuple[int, Place]:
    if after is None:
        return (numbers[0] if numbers else 1), Place()
    parts = _NEXT.fullmatch(after)
    if parts is None:
        raise InvalidValue("after", "after must be what an earlier answer of this search gave as next.")
    number, offset, line = (whole_number(part) or 0 for part in parts.groups()[:3])
    return number, Place(offset, line, inside=bool(parts[4]))


def _next(number: int, place: Place) -> str:
    return f"{number}:{place.offset}:{place.number}{'+' * place.inside}"


def _match(number: int, row: Row, text: bytes, wanted: Containing | Errors) -> LogMatch:
    return LogMatch(
        attempt=number,
        line=row.number,
        offset=row.offset,
        at=row.at,
        stream=row.stream.name.lower(),  # type: ignore[arg-type]  # it has no other members
        instance=None if row.stream is Stream.SYSTEM else row.instance,
        text=_excerpt(text, wanted),
    )


def _excerpt(text: bytes, wanted: Containing | Errors) -> str:
    if len(text) <= _SHOWN:
        return display_text(text)
    begin = max(wanted.position(text) - _BEFORE, 0)
    part = display_text(text[begin : begin + _SHOWN])
    return f"{'…' if begin else ''}{part}{'…' if begin + _SHOWN < len(text) else ''}"


OPERATIONS = (
    Operation(
        "GET",
        "/builds/{id}/logs/search",
        "Find lines of a build's log",
        search_build_log,
        query=BuildLogSearchQuery,
        answer=LogMatches,
    ),
    Operation(
        "GET",
        "/runs/{id}/logs/search",
        "Find lines of a run's log: of all attempts, instances and streams, or of some",
        search_run_log,
        query=RunLogSearchQuery,
        answer=LogMatches,
    ),
)
