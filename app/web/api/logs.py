"""Logs: bytes from an offset, or followed as they come."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from pydantic import Field
from starlette.responses import Response, StreamingResponse

from app.domain.errors import InvalidValue, NotFound
from app.logs import Line, RunLog, Stream
from app.logs.reader import BLOCK
from app.runtime.log_storage import ELSEWHERE
from app.store import builds, run_attempts, runs
from app.web.api.operations import ApiContext, Operation
from app.web.event_streams import stream
from app.web.live import follow_log
from app.web.numbers import LARGEST, whole_number
from app.web.schemas.base import Empty, Model
from app.web.schemas.log import BuildLogSelection, RunLogSelection
from app.web.scope import build_of, run_of

NEXT_OFFSET = "X-Log-Next-Offset"
LINES = "application/x-ndjson"
MEDIA_TYPES = ("text/plain", "text/event-stream", LINES)


class LogQuery(Model):
    offset: int = Field(default=0, ge=0, le=LARGEST, description="the byte to begin at")
    limit: int | None = Field(
        default=None, ge=1, le=LARGEST, description="how many bytes at most; not when following"
    )


class RunLogQuery(LogQuery, RunLogSelection):
    pass


class BuildLogQuery(LogQuery, BuildLogSelection):
    pass


def build_log(ctx: ApiContext[Empty, BuildLogQuery]) -> Response:
    server = ctx.server
    with server.db.read() as tx:
        build = build_of(ctx, tx)
    if build.started_at is not None and server.log_storage.is_elsewhere(
        server.log_storage.build_path(build.id)
    ):
        raise NotFound(ELSEWHERE)

    def log() -> tuple[RunLog, bool]:
        with server.db.read() as tx:
            is_over = builds.with_id(tx, build.id).status.is_final
        return server.log_storage.read_build(build.id, ctx.query.selection), is_over

    return _send(ctx, f"build:{build.id}", build.project_id, log)


def run_log(ctx: ApiContext[Empty, RunLogQuery]) -> Response:
    server, attempt, selection = ctx.server, ctx.query.attempt, ctx.query.selection
    with server.db.read() as tx:
        run = run_of(ctx, tx)
    if attempt is not None and attempt > run.attempts:
        raise NotFound(f"Run {run.name} has no attempt {attempt}: it has {run.attempts}.")
    number, storage = attempt or run.attempts, server.log_storage
    if run.started_at is not None and number and storage.is_elsewhere(storage.attempt_path(run.id, number)):
        raise NotFound(ELSEWHERE)

    def log() -> tuple[RunLog, bool]:
        with server.db.read() as tx:
            now = runs.with_id(tx, run.id)
            if attempt is None:
                return server.log_storage.read_run(run.id, now.attempts, selection), now.status.is_final
            is_over = run_attempts.attempts_of(tx, run.id)[attempt - 1].status.is_final
        return server.log_storage.read_attempt(run.id, attempt, selection), is_over

    return _send(ctx, f"run:{run.id}", run.project_id, log)


def _send(
    ctx: ApiContext[Empty, Any], topic: str, project_id: int, log: Callable[[], tuple[RunLog, bool]]
) -> Response:
    wanted = ctx.request.headers.get("accept", "")
    if "text/event-stream" in wanted:
        if ctx.query.limit is not None:
            raise InvalidValue("limit", "limit is for what is there already; leave it out to follow a log.")
        events = follow_log(ctx.server, topic, log, _resumed(ctx))
        return stream(ctx, events, project_id)
    reader, _ = log()
    offset, end = ctx.query.offset, reader.size
    if ctx.query.limit is not None:
        end = min(end, offset + ctx.query.limit)
    if LINES in wanted:
        answer, media_type = _lines(reader, offset, end), LINES
    else:
        answer, media_type = _pieces(reader, offset, end), "text/plain; charset=utf-8"
    return StreamingResponse(answer, headers={NEXT_OFFSET: str(end)}, media_type=media_type)


def _pieces(reader: RunLog, offset: int, end: int) -> Iterator[bytes]:
    while offset < end:
        piece = reader.read(offset, min(BLOCK, end - offset))
        if piece.next_offset <= offset:
            return
        if piece.data:
            yield piece.data
        offset = piece.next_offset


def _lines(reader: RunLog, offset: int, end: int) -> Iterator[bytes]:
    """Each with who said it and when, as JSON on a line of its own; what is no UTF-8 as U+FFFD."""
    for base, line in reader.lines(offset, end):
        yield json.dumps(_shown(base, line)).encode() + b"\n"


def _shown(base: int, line: Line) -> dict[str, object]:
    return {
        "offset": base + line.offset,
        "at": line.at.isoformat().replace("+00:00", "Z") if line.at else None,
        "stream": line.stream.name.lower(),
        "instance": None if line.stream is Stream.SYSTEM else line.instance,
        "text": line.text.decode("utf-8", "replace"),
    }


def _resumed(ctx: ApiContext[Empty, Any]) -> int:
    """Where a client that lost its connection goes on."""
    last = ctx.request.headers.get("last-event-id")
    if last is None:
        return int(ctx.query.offset)
    offset = whole_number(last)
    if offset is None:
        raise InvalidValue(
            "Last-Event-ID", "Last-Event-ID must be an offset, the id of an event of this log."
        )
    return offset


OPERATIONS = (
    Operation(
        "GET",
        "/builds/{id}/logs",
        "Read or follow a build's log, or (application/x-ndjson) its lines with offset, at, stream and text",
        build_log,
        query=BuildLogQuery,
        media_types=MEDIA_TYPES,
    ),
    Operation(
        "GET",
        "/runs/{id}/logs",
        "Read or follow a run's log, or (application/x-ndjson) its lines with offset, at, stream, instance and text",
        run_log,
        query=RunLogQuery,
        media_types=MEDIA_TYPES,
    ),
)
