"""Errors as `application/problem+json` for programs, and as a page for people."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.domain.errors import (
    Busy,
    Conflict,
    Contradictions,
    InvalidValue,
    JobyardError,
    NotFound,
    TransientError,
)
from app.runtime import request_id
from app.web.validation_messages import field_errors, join_errors

log = logging.getLogger(__name__)
MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = "30"
RETRY_BUSY_AFTER_SECONDS = "5"
Errors = Sequence[dict[str, str]]


class Problem(Exception):
    """An answer that is an error: `status`, one sentence, and which fields are wrong."""

    def __init__(
        self, status: int, detail: str, errors: Errors = (), headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = errors
        self.headers = dict(headers or {})


def problem_of(error: Exception) -> Problem:
    """The answer that an exception stands for; anything unexpected is a 500 and goes to the log."""
    match error:
        case Problem():
            return error
        case HTTPException():
            return Problem(error.status_code, error.detail, headers=error.headers)
        case ValidationError():
            errors = field_errors(error)
            return Problem(422, join_errors(errors), errors)
        case InvalidValue():
            return Problem(422, str(error), [{"field": error.field, "message": str(error)}])
        case Contradictions():
            return Problem(
                422, str(error), [{"field": field, "message": said} for field, said in error.errors]
            )
        case NotFound():
            return Problem(404, str(error))
        case Conflict():
            return Problem(409, str(error))
        case Busy():
            return Problem(429, str(error), headers={"Retry-After": RETRY_BUSY_AFTER_SECONDS})
        case TransientError():
            return Problem(503, str(error), headers={"Retry-After": RETRY_AFTER_SECONDS})
        case JobyardError():
            return Problem(400, str(error))
        case _:
            log.error("a request failed", exc_info=error)
            return Problem(500, "Jobyard failed to answer this; the server's log has more.")


def problem_response(problem: Problem) -> JSONResponse:
    body: dict[str, object] = {
        "type": "about:blank",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
    }
    if problem.errors:
        body["errors"] = list(problem.errors)
    if of_request := request_id.current():
        body["request_id"] = of_request
    headers = dict(problem.headers)
    if problem.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(body, problem.status, headers, media_type=MEDIA_TYPE)


async def answer_with_problem(request: Request, error: Exception) -> Response:
    problem = problem_of(error)
    if isinstance(error, HTTPException) and error.status_code == 404:
        problem.detail = f"There is nothing at {request.url.path}."
    elif isinstance(error, HTTPException) and error.status_code == 405:
        allowed = ", ".join(sorted(problem.headers["Allow"].split(", ")))
        problem.headers["Allow"] = allowed
        problem.detail = f"{request.method} is not for {request.url.path}: it takes {allowed}."
    return problem_response(problem)
