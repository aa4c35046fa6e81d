"""`/prune`: what is kept and for how long, what would be removed now, and the button that removes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from starlette.responses import Response
from starlette.routing import Route

from app.domain.clean_ups import CACHE_BYTES
from app.domain.principals import Right
from app.domain.room import MARKS, SCARCE_BYTES, Level, Room, size
from app.store import clean_ups
from app.store.audit_recorder import note
from app.web.pages import formatting
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
    with ctx.server.db.read() as tx:
        cleaned, cache = clean_ups.newest(tx), clean_ups.cache_seen(tx)
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
        cleaned=[(each, in_words(each.removed)) for each in cleaned],
        servers=len({each.server for each in cleaned}),
        cache=cache,
        cache_going=images.cache_going(cache.use) if cache and (images := retention.images) else 0,
        cache_gb=retention.images.cache_gb if retention.images else 0,
        is_begun=bool(ctx.query("begun")),
    )


def in_words(removed: Mapping[str, int]) -> str:
    """`runs: 3 · decisions: 12 · build cache: 1.5 GiB`; empty for nothing."""
    return " · ".join(
        f"build cache: {size(count)}" if kind == CACHE_BYTES else f"{formatting.label(kind)}: {count:,}"
        for kind, count in removed.items()
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
