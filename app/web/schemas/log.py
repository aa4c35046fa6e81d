"""Searching a log: what is looked for, and the lines that were found."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from app.logs import Selection, Stream
from app.web.numbers import LARGEST
from app.web.schemas.base import Model, with_example

MOST_MATCHES = 1000


class LogSearchQuery(Model):
    model_config = with_example({"q": "out of memory"})

    q: str | None = Field(default=None, min_length=1, max_length=200, description="the text looked for")
    errors: bool = Field(default=False, description="lines that look like an error, instead of a text")
    exact_case: bool = Field(default=False, description="tell capital letters from small ones")
    after: str | None = Field(
        default=None, max_length=80, description="`next` of the answer before: go on there"
    )
    limit: int = Field(default=100, ge=1, le=MOST_MATCHES, description="lines at most")


class RunLogSelection(Model):
    """Which part of a run's log is meant."""

    attempt: int | None = Field(
        default=None, ge=1, le=LARGEST, description="one attempt's log; all if left out"
    )
    instance: int | None = Field(default=None, ge=0, le=99, description="only what this instance said")
    stream: Literal["stdout", "stderr"] | None = Field(default=None, description="only what came by this one")

    @property
    def selection(self) -> Selection:
        return Selection(self.instance, Stream[self.stream.upper()] if self.stream else None)


class BuildLogSelection(Model):
    """Which part of a build's log is meant: its steps have one stream, and no instances."""

    stream: Literal["stdout"] | None = Field(
        default=None, description="only what the build's steps said, without Jobyard's own lines"
    )

    @property
    def selection(self) -> Selection:
        return Selection(stream=Stream.STDOUT if self.stream else None)


class BuildLogSearchQuery(BuildLogSelection, LogSearchQuery):
    pass


class RunLogSearchQuery(RunLogSelection, LogSearchQuery):
    pass


class LogMatch(Model):
    """A line: its number and the byte where it begins are those of its attempt's log, or of the build's."""

    attempt: int | None
    line: int
    offset: int
    at: datetime | None
    stream: Literal["stdout", "stderr", "system"]
    instance: int | None = Field(description="null in lines of Jobyard's own")
    text: str = Field(
        description="the line, or a part of a long one around what was found, as a page shows it"
    )


class LogMatches(Model):
    """Lines in order. An answer comes after a bounded amount of work, so it may have few lines, or none, and more come
    with `next`; once `complete`, all there was has been searched, and `next` is for what is written from now on.
    """

    matches: list[LogMatch]
    next: str
    complete: bool
