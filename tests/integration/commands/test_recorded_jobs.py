"""Jobs, runs and what belongs to them against what an earlier release answered and stored."""

from __future__ import annotations

import pytest

from app.web.server_context import ServerContext
from tests.support.api import Caller
from tests.support.recorded import READ, REQUESTS, answers, make_older, put, reads, recorded


def test_every_answer_is_what_it_was_byte_for_byte(admin: Caller) -> None:
    before = recorded()["answers"]
    asked = [*REQUESTS, *READ]
    for request, now, then in zip(asked, answers(admin), before, strict=True):
        assert now == then, request


@pytest.mark.parametrize("older", [False, True])
def test_rows_of_an_earlier_release_read_as_what_they_were(context: ServerContext, *, older: bool) -> None:
    known, caller = recorded(), Caller(context)
    put(context.db, known["rows"])
    if older:
        make_older(context.db)
    assert reads(caller) == (known["older"] if older else known["answers"][len(REQUESTS) :])
