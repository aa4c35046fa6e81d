"""`/prune`: what is kept and for how long, what would be removed now, and the button that removes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from starlette.responses import Response
from starlette.routing import Route

from app.domain.principals import Right
from app.domain.room import MARKS, SCARCE_BYTES, Level, Room, size
from app.store.audit_recorder import note
from app.web.pages.context import PageContext, get, post, see

DOES = {
    Level.ENOUGH: "there is enough",
    Level.LOW: "clean-up hurries",
    Level.SHORT: "builds wait",
    Level.SCARCE: "nothing new is accepted",
}


def show_prune(ctx: PageContext) -> Response:
    retention = ctx.server.retention
    plan = retention.plan()
    portions = retention.preview(plan)
    return ctx.page(
        "prune.html",
        limits=retention.limits,
        plan=plan,
        portions=portions,
        images=retention.preview_of_images(plan),
        going=sum(each.going for each in portions),
        weight=sum(each.bytes for each in portions),
        size=size,
        disks=disks_of(ctx.server.disk.rooms),
        is_begun=bool(ctx.query("begun")),
    )


@dataclass(frozen=True)
class DiskShown:
    """What is free in a directory, and how little of it leads to what."""

    directory: str
    free: str
    state: str
    is_little: bool
    marks: Sequence[tuple[str, str]]


def disks_of(rooms: Mapping[Path, Room]) -> list[DiskShown]:
    """Each directory with its three marks, as last looked at."""
    shown = []
    for directory, room in rooms.items():
        marks = [(size(MARKS[level].room_of(room).bytes), DOES[level]) for level in (Level.LOW, Level.SHORT)]
        marks.append((size(SCARCE_BYTES), DOES[Level.SCARCE]))
        free = f"{size(room.bytes)} of {size(room.total_bytes)} free"
        is_little = room.level > Level.ENOUGH
        shown.append(DiskShown(str(directory), free, DOES[room.level], is_little, marks))
    return shown


def prune(ctx: PageContext) -> Response:
    note(ctx.server.db)
    ctx.server.retention.ask()
    return see("/prune?begun=1")


def routes() -> list[Route]:
    return [get("/prune", show_prune, Right.PRUNE), post("/prune", prune, Right.PRUNE)]
