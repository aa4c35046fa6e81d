"""`/schemas/…`: what editors check files of configuration by; the same for everybody, and nobody's."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


def repository_file(_request: Request) -> Response:
    from app.web.declared.schemas import repository_file_schema  # few servers are asked for it

    return JSONResponse(repository_file_schema())


def applied_file(_request: Request) -> Response:
    from app.web.declared.schemas import apply_schema

    return JSONResponse(apply_schema())


def schema_routes() -> list[Route]:
    return [Route("/schemas/jobyard.json", repository_file), Route("/schemas/apply.json", applied_file)]
