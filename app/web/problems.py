"""Errors as `application/problem+json` for programs, and as a page for people."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.domain.errors import Conflict, InvalidValue, JobyardError, NotFound, TransientError

log = logging.getLogger(__name__)
Errors = Sequence[dict[str, str]]


class Problem(Exception):
    """An answer that is an error: `status`, one sentence, and which fields are wrong."""

    def __init__(self, status: int, detail: str, errors: Errors = ()) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = errors


def problem_of(error: Exception) -> Problem:
    """The answer that an exception stands for; anything unexpected is a 500 and goes to the log."""
    match error:
        case Problem():
            return error
        case HTTPException():
            return Problem(error.status_code, error.detail)
        case ValidationError():
            errors = [_field_error(each) for each in error.errors()]
            return Problem(422, _summary(errors), errors)
        case InvalidValue():
            return Problem(422, str(error), [{"field": error.field, "message": str(error)}])
        case NotFound():
            return Problem(404, str(error))
        case Conflict():
            return Problem(409, str(error))
        case TransientError():
            return Problem(503, str(error))
        case JobyardError():
            return Problem(400, str(error))
        case _:
            log.error("a request failed", exc_info=error)
            return Problem(500, "Jobyard failed to answer this; the server's log has more.")


def problem_response(problem: Problem) -> JSONResponse:
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
    }
    if problem.errors:
        body["errors"] = list(problem.errors)
    headers = {"WWW-Authenticate": "Bearer"} if problem.status == 401 else None
    return JSONResponse(body, problem.status, headers, media_type="application/problem+json")


async def answer_with_problem(_request: Request, error: Exception) -> Response:
    return problem_response(problem_of(error))


def _field_error(error: Any) -> dict[str, str]:
    field = ".".join(str(part) for part in error["loc"])
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        message = "there is no such field"
    given = error.get("input")
    if isinstance(given, str | int | float | bool) and "value" not in field and len(str(given)) <= 60:
        message = f"{message} (given: {given!r})"
    return {"field": field, "message": message}


def _summary(errors: Errors) -> str:
    first = f"{errors[0]['field']}: {errors[0]['message']}"
    return first if len(errors) == 1 else f"{first} — and {len(errors) - 1} more."
