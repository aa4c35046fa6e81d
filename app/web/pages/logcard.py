"""The log of a run or build on its page: what is asked for by the address, and what the template needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlencode

from starlette.responses import HTMLResponse, Response

from app.domain.builds import Build
from app.domain.runs import Attempt, Run
from app.logs import LogReader, Selection, Stream, display_text, search
from app.runtime.log_storage import ELSEWHERE
from app.web.numbers import whole_number
from app.web.pages import logview
from app.web.pages.context import PageContext
from app.web.pages.logrows import Place, html
from app.web.pages.logview import View, Window

FOUND_AT_ONCE = 50
_LONGEST_FIND, _SHOWN_OF_LINE = 200, 300
_LONGEST_LIST = 1000  # characters of the groups that are open
_STREAMS = {"stdout": Stream.STDOUT, "stderr": Stream.STDERR}
OF_RUN = {name: name for name in _STREAMS}  # the streams that can be asked for, and what they are called
OF_BUILD = {"stdout": "of the build"}  # whose steps have but one, beside Jobyard's own lines


@dataclass(frozen=True)
class Address:
    """Where a log is found: `page` is its page's address, `api` that of its bytes. `query` names the attempt and the
    filters, each in both.
    """

    page: str
    api: str
    query: dict[str, str]
    name: str  # of the file that is downloaded, without its ending

    @property
    def encoded(self) -> str:
        return urlencode(self.query)

    def place(self, *, several: bool) -> Place:
        raw = f"{self.api}?{self.encoded}" if self.query else self.api
        return Place(f"{self.page}?{self.encoded or 'log=1'}", raw, several)

    @property
    def searching(self) -> str:
        """The address that finds lines in all attempts, with the filters."""
        filters = {name: value for name, value in self.query.items() if name != "attempt"}
        return f"{self.api}/search?{urlencode(filters)}"

    @property
    def file(self) -> str:
        filters = [f"-instance-{self.query['instance']}"] if "instance" in self.query else []
        filters += [f"-{self.query['stream']}"] if "stream" in self.query else []
        return f"{self.name}{''.join(filters)}.log"


@dataclass(frozen=True)
class LogCard:
    """A log as the template shows it. `key` changes where another log takes its place."""

    key: str
    address: Address
    place: Place
    window: Window
    is_live: bool
    empty: str
    at: int | None
    attempt: int | None = None
    attempts: int = 1
    instances: int = 1
    selection: Selection = field(default_factory=Selection)
    streams: Mapping[str, str] = field(default_factory=lambda: OF_RUN)
    started_at: datetime | None = None
    find: str = ""
    found: FoundLines | None = None


@dataclass(frozen=True)
class FoundLines:
    """Lines with what is looked for, where no script finds them: each one's number, address and text; and where the
    search goes on, if the end was not reached.
    """

    lines: list[tuple[int, str, str]]
    more: str


def _found(ctx: PageContext, view: View, place: Place) -> FoundLines | None:
    """None where nothing is looked for. The work is bounded, as that of the API's search."""
    text = ctx.query("find")[:_LONGEST_FIND]
    if not text:
        return None
    offset, _, number = ctx.query("find_from").partition(":")
    inside = number.endswith("+")
    begin = search.Place(whole_number(offset) or 0, whole_number(number.rstrip("+")) or 1, inside)
    result = search.search(view.log, search.Containing(text), view.selection, begin, limit=FOUND_AT_ONCE)
    again = f"{place.page}&{urlencode({'find': text})}"
    lines = [
        (each.row.number, f"{again}&at={each.row.offset}", display_text(each.text[:_SHOWN_OF_LINE]))
        for each in result.lines
    ]
    at = f"{result.place.offset}:{result.place.number}{'+' if result.place.inside else ''}"
    more = f"{again}&{urlencode({'find_from': at})}"
    return FoundLines(lines, "" if result.is_complete else more)


def address_of_run(ctx: PageContext, run: Run, attempt: int) -> Address:
    query = {"attempt": str(attempt), **_filters(ctx)}
    return Address(f"/runs/{run.name}", f"/api/v1/runs/{run.id}/logs", query, f"{run.name}-{attempt}")


def address_of_build(ctx: PageContext, build: Build) -> Address:
    query = {"stream": "stdout"} if ctx.query("stream") == "stdout" else {}
    return Address(f"/builds/{build.id}", f"/api/v1/builds/{build.id}/logs", query, f"build-{build.id}")


def card_of_run(ctx: PageContext, run: Run, attempt: Attempt, attempts: int) -> LogCard:
    address = address_of_run(ctx, run, attempt.number)
    place = address.place(several=run.spec.instances > 1)
    storage = ctx.server.log_storage
    view = view_of(ctx, storage.reader(run.id, attempt.number), address)
    is_live = attempt.finished_at is None
    return LogCard(
        key=f"run-{run.id}-{attempt.number}",
        address=address,
        place=place,
        window=window_of(ctx, view),
        is_live=is_live,
        empty=_nothing(
            view, is_live=is_live, began=attempt.started_at is not None, what="attempt", ended="never started"
        )
        if not (attempt.started_at and storage.is_elsewhere(storage.attempt_path(run.id, attempt.number)))
        else ELSEWHERE,
        at=ctx.number("at"),
        attempt=attempt.number,
        attempts=attempts,
        instances=run.spec.instances,
        selection=view.selection,
        started_at=attempt.started_at,
        find=ctx.query("find"),
        found=_found(ctx, view, place),
    )


def card_of_build(ctx: PageContext, build: Build) -> LogCard:
    address = address_of_build(ctx, build)
    storage = ctx.server.log_storage
    view = view_of(ctx, storage.build_reader(build.id), address)
    place = address.place(several=False)
    is_live = not build.status.is_final
    return LogCard(
        key=f"build-{build.id}",
        address=address,
        place=place,
        window=window_of(ctx, view),
        is_live=is_live,
        empty=_nothing(
            view, is_live=is_live, began=build.started_at is not None, what="build", ended="never began"
        )
        if not (build.started_at and storage.is_elsewhere(storage.build_path(build.id)))
        else ELSEWHERE,
        at=ctx.number("at"),
        selection=view.selection,
        streams=OF_BUILD,
        started_at=build.started_at,
        find=ctx.query("find"),
        found=_found(ctx, view, place),
    )


def view_of(ctx: PageContext, log: LogReader, address: Address) -> View:
    """The log with the filters of its address and the groups that the request names as open."""
    filters = address.query
    instance = int(filters["instance"]) if "instance" in filters else None
    selection = Selection(instance, _STREAMS.get(filters.get("stream", "")))
    opened = map(whole_number, ctx.query("open")[:_LONGEST_LIST].split(","))
    return View(log, selection).with_open(*(place for place in opened if place is not None))


def window_of(ctx: PageContext, view: View) -> Window:
    """The lines around `at`, before `before` or from `from` on; the last ones where nothing is asked for."""
    at, before, after = ctx.number("at"), ctx.number("before"), ctx.number("from")
    if at is not None:
        return logview.lines_around(view, at)
    if before is not None:
        return logview.lines_before(view, before)
    if after is not None:
        return logview.lines_from(view, after)
    return logview.last_lines(view)


def log_rows(ctx: PageContext, view: View, place: Place) -> Response:
    """Lines as HTML. The answer's headers say where the lines before and after these are, and how long the log is."""
    window = window_of(ctx, view)
    headers = {
        "X-Log-Before": "" if window.before is None else str(window.before),
        "X-Log-After": "" if window.after is None else str(window.after),
        "X-Log-End": f"{window.end}:{window.number}",
        "X-Log-Size": str(window.size),
        "Cache-Control": "no-store",
    }
    return HTMLResponse(html(window.lines, place), headers=headers)


def _filters(ctx: PageContext) -> dict[str, str]:
    """The filters of a run's log that the request names; what makes no sense there counts as nothing."""
    instance, stream = ctx.number("instance"), ctx.query("stream")
    found = {} if instance is None else {"instance": str(instance)}
    return found | ({"stream": stream} if stream in _STREAMS else {})


def _nothing(view: View, *, is_live: bool, began: bool, what: str, ended: str) -> str:
    """What stands in the place of lines where there are none."""
    if not view.selection.is_all and view.log.size:
        return "No line here is of this instance and stream."
    if is_live:
        return "Nothing was written yet."
    if began:
        return f"No output of this {what} is kept here."
    return f"This {what} {ended}, so it has no output."
