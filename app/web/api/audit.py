"""The audit log: who changed what, and who was refused; page by page, or all of it as JSON lines."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from starlette.responses import Response, StreamingResponse

from app.domain.principals import Right
from app.store import audit
from app.store.audit import Wanted
from app.web.api.lists import paged
from app.web.api.operations import ApiContext, Operation
from app.web.schemas.audit import AuditAnswer, AuditQuery, audit_answer, wanted_of
from app.web.schemas.base import Empty, Page

LINES = "application/x-ndjson"
BLOCK = 500  # entries that are in memory at once


def list_entries(ctx: ApiContext[Empty, AuditQuery]) -> Any:
    wanted = wanted_of(ctx, ctx.query)
    ctx.server.desk.refusals.flush(ctx.server.db, ctx.now)
    if ctx.query.format == "lines" or LINES in ctx.request.headers.get("accept", ""):
        return _exported(ctx, wanted)
    with ctx.server.db.read() as tx:
        return paged(
            ctx,
            partial(audit.page, tx, wanted),
            lambda found: [audit_answer(each) for each in found],
        )


def _exported(ctx: ApiContext[Empty, AuditQuery], wanted: Wanted) -> Response:
    """All that the filters leave, newest first; `limit` has no meaning here, `cursor` says where to begin."""
    return StreamingResponse(_lines(ctx, wanted), media_type=LINES)


def _lines(ctx: ApiContext[Empty, AuditQuery], wanted: Wanted) -> Iterator[bytes]:
    before = ctx.query.cursor
    while ctx.may_still():
        with ctx.server.db.read() as tx:
            block = audit.page(tx, wanted, BLOCK, before)
        for entry in block:
            yield audit_answer(entry).model_dump_json().encode() + b"\n"
        if len(block) < BLOCK:
            return
        before = block[-1].id


OPERATIONS = (
    Operation(
        "GET",
        "/audit",
        "List who changed what and who was refused, newest first; or (application/x-ndjson) all of it, a line each",
        list_entries,
        Right.AUDIT,
        query=AuditQuery,
        answer=Page[AuditAnswer],
        media_types=("application/json", LINES),
    ),
)
