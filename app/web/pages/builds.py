"""`/builds/{build}`: what will be built and why, its steps, its log, and what came of it."""

from __future__ import annotations

from datetime import timedelta

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.domain.builds import Build, BuildReason
from app.domain.errors import Conflict
from app.logs import LogReader
from app.orchestration import delivering
from app.store import builds, decisions, overview
from app.web.pages import charts, logview
from app.web.pages.runs import log_rows, position, window_of
from app.web.pages.visit import Visit, get, page_error, post, require, see
from app.web.principal import Role, identify
from app.web.problems import Problem
from app.web.yard import Yard, yard_of


def show_build(visit: Visit) -> Response:
    with visit.yard.db.read() as tx:
        build = builds.with_id(tx, visit.id("build"))
        jobs = overview.jobs_of_build(tx, build.id)
        caused = decisions.page(tx, limit=50, build_id=build.id)
    elapsed = (build.finished_at or visit.now) - build.started_at if build.started_at else timedelta(0)
    return visit.page(
        "build.html",
        build=build,
        jobs=jobs,
        decisions=caused,
        steps=charts.steps(build.steps, building=not build.status.is_final, elapsed=elapsed),
        elapsed=elapsed,
        at=visit.number("at"),
        window=window_of(_reader(visit.yard, build), visit.number("at")),
    )


def _reader(yard: Yard, build: Build) -> LogReader:
    return LogReader(yard.logbook.build_path(build.id))


def more_log(visit: Visit) -> Response:
    with visit.yard.db.read() as tx:
        build = builds.with_id(tx, visit.id("build"))
    return log_rows(visit, _reader(visit.yard, build), f"/builds/{build.id}?log=1")


async def follow_log(request: Request) -> Response:
    """The build's log while it grows."""
    try:
        require(await run_in_threadpool(identify, request), Role.VIEWER)
        yard = yard_of(request)
        build = await run_in_threadpool(_load, yard, int(request.path_params["build"]))
        offset, number = position(request)
    except (KeyError, ValueError):
        return await page_error(request, Problem(400, "Following a log needs from=OFFSET:LINE."))
    except Exception as error:
        return await page_error(request, error)
    return logview.follow(
        yard,
        _reader(yard, build),
        frozenset({f"log:build:{build.id}", f"build:{build.id}"}),
        lambda: _load(yard, build.id).status.is_final,
        offset=offset,
        number=number,
        base=f"/builds/{build.id}?log=1",
    )


def _load(yard: Yard, build_id: int) -> Build:
    with yard.db.read() as tx:
        return builds.with_id(tx, build_id)


def cancel_build(visit: Visit) -> Response:
    with visit.yard.db.write() as tx:
        build = builds.with_id(tx, visit.id("build"))
        sentence = f"Cancelled by {visit.who}."
        reason = BuildReason.CANCELLED
        if delivering.cancel_build(tx, visit.yard.names, build.id, reason, sentence, visit.now) is None:
            raise Conflict(f"Build {build.id} is over already: it {build.status}.")
    return see(f"/builds/{build.id}")


def routes() -> list[Route]:
    return [
        get("/builds/{build}", show_build),
        get("/builds/{build}/log", more_log),
        Route("/builds/{build}/follow", follow_log),
        post("/builds/{build}/cancel", cancel_build),
    ]
