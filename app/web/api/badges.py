"""Badges: how a job or pipeline of a public project is doing, as an image for anybody. No operation, as it asks nobody
who they are; what isn't public and what isn't there get the same answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from html import escape

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.domain.errors import NotFound, Unreadable
from app.store import jobs, pipelines
from app.store.database import Tx
from app.web.api.operations import PREFIX
from app.web.problems import problem_of, problem_response
from app.web.server_context import server_of
from app.web.standing import Standing, jobs_of, of_jobs, public_project

OF_JOB = "/projects/{p}/badges/{j}.svg"
OF_PIPELINE = "/projects/{p}/badges/pipelines/{pl}.svg"
SUMMARIES = {
    OF_JOB: "The badge of a job, where its project is public",
    OF_PIPELINE: "The badge of a pipeline, where its project is public",
}
LONGEST = 60  # characters of a label
COLOURS = {Standing.PASSING: "#1a7f37", Standing.FAILING: "#cf222e"}
GREY = "#59636e"
UNKNOWN = "unknown"
_CHARACTER, _PAD, _HEIGHT = 6.5, 6, 20  # units of the image; text is stretched to what it is given
_HEADERS = {
    "Cache-Control": "no-cache",  # may be kept, and is asked for anew each time
    "Cross-Origin-Resource-Policy": "cross-origin",
}
Find = Callable[[Tx, Request], tuple[str, Standing]]


def drawn(label: str, word: str, colour: str) -> str:
    """The image: `label` on the left, `word` on the right, both readable by machines and screen readers."""
    said = "".join(each for each in label if each.isprintable()).strip()
    said = said if len(said) <= LONGEST else f"{said[: LONGEST - 1]}…"
    left, right = (round(len(text) * _CHARACTER) + 2 * _PAD for text in (said, word))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="{_HEIGHT}" role="img" '
        f'aria-label="{escape(said)}: {word}"><title>{escape(said)}: {word}</title>'
        f'<rect width="{left}" height="{_HEIGHT}" fill="#24292f"/>'
        f'<rect x="{left}" width="{right}" height="{_HEIGHT}" fill="{colour}"/>'
        '<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">'
        f"{_text(said, 0, left)}{_text(word, left, right)}</g></svg>"
    )


def _text(text: str, at: int, width: int) -> str:
    return f'<text x="{at + _PAD}" y="14" textLength="{width - 2 * _PAD}">{escape(text)}</text>'


def _of_job(tx: Tx, request: Request) -> tuple[str, Standing]:
    project = public_project(tx, request.path_params["p"])
    job = jobs.named(tx, project.name, request.path_params["j"])
    return job.title, of_jobs(tx, [job])


def _of_pipeline(tx: Tx, request: Request) -> tuple[str, Standing]:
    project = public_project(tx, request.path_params["p"])
    pipeline = pipelines.named(tx, project.name, request.path_params["pl"])
    return pipeline.name, of_jobs(tx, jobs_of(tx, pipeline))


def _route(path: str, find: Find) -> Route:
    def answer(request: Request) -> Response:
        try:
            with server_of(request).db.read() as tx:
                label, standing = find(tx, request)
        except (NotFound, Unreadable):
            return _image(request, drawn("Jobyard", UNKNOWN, GREY), 404)
        return _image(request, drawn(label, standing, COLOURS.get(standing, GREY)), 200)

    async def endpoint(request: Request) -> Response:
        try:
            return await run_in_threadpool(answer, request)
        except Exception as error:
            return problem_response(problem_of(error))

    return Route(PREFIX + path, endpoint, methods=["GET"])


def _image(request: Request, svg: str, status: int) -> Response:
    etag = f'"{hashlib.sha256(svg.encode()).hexdigest()[:20]}"'
    headers = {**_HEADERS, "ETag": etag}
    if status == 200 and etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(svg, status, media_type="image/svg+xml", headers=headers)


def badge_routes() -> list[Route]:
    return [_route(OF_JOB, _of_job), _route(OF_PIPELINE, _of_pipeline)]
