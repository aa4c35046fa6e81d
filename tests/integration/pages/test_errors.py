"""An error as a page: what happened, why, and what to do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from starlette.responses import Response

from app.domain.errors import Busy, Conflict, NotFound, TransientError
from app.web.pages.context import PageContext, get
from app.web.problems import Problem
from tests.support.client import Client
from tests.support.seed import world


@pytest.mark.parametrize(
    ("error", "status", "heading", "advice"),
    [
        (NotFound("There is no such run."), 404, "There is nothing here", "It may have been deleted"),
        (Problem(403, "This needs a right."), 403, "Not allowed", "Ask an administrator for the right"),
        (Conflict("The run is over."), 409, "Not in this state", "look at its state now"),
        (Busy("Too many at once."), 429, "Too many requests", "Wait some seconds, then load the page again"),
        (TransientError("The engine is away."), 503, "Not available now", "Try again in a moment"),
        (RuntimeError("hidden from readers"), 500, "Something went wrong", "the server&#39;s log says more"),
    ],
)
def test_says_what_why_and_what_to_do(
    tmp_path: Path, error: Exception, status: int, heading: str, advice: str
) -> None:
    def fail(ctx: PageContext) -> Response:
        raise error

    with world(tmp_path) as made:
        app = made.app()
        app.router.routes.insert(0, get("/fails", fail, right=None))
        answer = Client(app).get("/fails")
    assert answer.status_code == status
    title = re.search(r"<h1>\s*(.*?)\s*</h1>", answer.text, re.DOTALL)
    assert title is not None
    assert title[1] == heading
    assert advice in answer.text or advice.replace("&#39;", "'") in answer.text
    assert (str(error) in answer.text) == (status != 500)
    assert "hidden from readers" not in answer.text
