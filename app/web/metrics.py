"""`/metrics`, for whoever may read everything: Prometheus sends a token as the API's callers do."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from app.domain.principals import Right
from app.web.api.routing import tell_of_token
from app.web.principal import identify
from app.web.problems import Problem, problem_of, problem_response
from app.web.request_context import lacks_right
from app.web.server_context import server_of

TEXT_FORMAT = "text/plain; version=0.0.4; charset=utf-8"
NOBODY = "This needs an API token that may read: send Authorization: Bearer TOKEN."


def show_metrics(request: Request) -> Response:
    """Everything at once. It is of all projects, so whoever is limited to some is refused."""
    try:
        _require_reader(request)
    except Exception as error:
        return problem_response(problem_of(error))
    from app.web.exposition import exposition  # here, as most servers are never asked

    return Response(exposition(server_of(request)), media_type=TEXT_FORMAT)


def _require_reader(request: Request) -> None:
    principal = identify(request)
    if principal is None:
        tell_of_token(request)
        raise Problem(401, NOBODY)
    if not principal.may(Right.READ):
        if principal.may_somewhere(Right.READ):
            raise Problem(403, f"This is not for {principal.name}, who is limited to single projects.")
        raise Problem(403, lacks_right(principal, Right.READ))
