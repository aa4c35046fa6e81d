"""The lines of the server's own log."""

from __future__ import annotations

import json
import logging
import sys
from contextvars import copy_context

from app.runtime import request_id
from app.runtime.log_format import TEXT, JsonLines, OfRequest


def record(message: str, *values: object, error: BaseException | None = None) -> logging.LogRecord:
    info = None if error is None else (type(error), error, error.__traceback__)
    return logging.LogRecord("app.web", logging.WARNING, __file__, 1, message, values, info)


def line(of: logging.LogRecord, formatter: logging.Formatter, during: str = "") -> str:
    def write() -> str:
        if during:
            request_id.begin(during)
        assert OfRequest().filter(of)
        return formatter.format(of)

    return copy_context().run(write)


def test_a_line_of_json_holds_time_level_logger_and_message() -> None:
    written = record("two\nlines of %s", "a job")
    written.created = 1_700_000_000.25
    assert json.loads(line(written, JsonLines())) == {
        "time": "2023-11-14T22:13:20.250+00:00",
        "level": "WARNING",
        "logger": "app.web",
        "message": "two\nlines of a job",
    }
    assert "\n" not in line(written, JsonLines())


def test_a_line_names_the_request_that_it_was_written_for() -> None:
    assert json.loads(line(record("slow"), JsonLines(), during="abc-1"))["request_id"] == "abc-1"
    assert line(record("slow"), logging.Formatter(TEXT), during="abc-1").endswith("app.web: slow [abc-1]")
    assert line(record("slow"), logging.Formatter(TEXT)).endswith("app.web: slow")


def test_a_line_of_text_is_as_it_was_before_requests_had_ids() -> None:
    assert TEXT == "%(asctime)s %(levelname)s %(name)s: %(message)s%(for_request)s"


def test_an_exception_is_a_field_of_its_line() -> None:
    try:
        raise ValueError("no such thing")
    except ValueError:
        error = sys.exc_info()[1]
    written = json.loads(line(record("failed", error=error), JsonLines()))
    assert written["exception"].endswith("ValueError: no such thing")
