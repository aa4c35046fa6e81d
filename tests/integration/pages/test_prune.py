"""What the page about clean-up tells: the last ones, and the build cache."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from app.commands.image_retention import ImageRetention
from app.domain.clean_ups import CleanUp
from app.domain.held_images import CacheUse
from app.engines.fake import FakeEngine
from app.store import clean_ups
from app.web.app import create_app
from tests.support.client import Client
from tests.support.seed import PASSWORD, World, world
from tests.support.visiting import OURS, read


@pytest.fixture
def made(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as each:
        yield each


def page(made: World, part: str, *, cache_gb: int = 20) -> str:
    """The words of a part of the page, as an administrator has them."""
    context = made.context
    engine = FakeEngine(context.clock.now)
    images = ImageRetention(made.db, engine, context.ours, context.engine_health, cache_gb)
    retention = replace(context.retention, images=images)
    client = Client(
        create_app(replace(context, retention=retention), nullcontext), follow_redirects=False, headers=OURS
    )
    assert client.post("/login", data={"name": "admin-user", "password": PASSWORD}).status_code == 303
    return " ".join(read(client, "/prune").partition(f'id="{part}"')[2].partition("</section>")[0].split())


def clean(made: World, server: str, removed: dict[str, int], cache: CacheUse | None = None) -> None:
    made.context.clock.advance(hours=1)  # type: ignore[attr-defined]
    with made.db.write() as tx:
        clean_ups.add(tx, CleanUp(made.context.clock.now() - timedelta(minutes=5), server, removed), cache)


def test_before_the_first_clean_up_it_says_when_that_is(made: World) -> None:
    assert "None yet: the first one is within an hour." in page(made, "cleaned")
    assert "What it takes is not known yet: the next clean-up, within the hour, asks the engine." in page(
        made, "cache"
    )


def test_the_last_clean_ups_are_told_newest_first(made: World) -> None:
    clean(made, "one", {"runs": 1200, "audit_entries": 3, "build_cache_bytes": 3 * 2**30})
    clean(made, "one", {})
    told = page(made, "cleaned")
    assert told.index("Nothing was beyond the limits.") < told.index(
        "runs: 1,200 · audit entries: 3 · build cache: 3.0 GiB"
    )
    assert "by server" not in told
    clean(made, "two", {"images": 2})
    told = page(made, "cleaned")
    assert "by server two" in told
    assert "images: 2" in told


def test_the_build_cache_is_told_with_what_would_go(made: World) -> None:
    clean(made, "one", {}, CacheUse(812, 25 * 10**9))
    told = page(made, "cache")
    assert "812 parts, 23.3 GiB; up to 20 GB may stay" in told
    assert "4.7 GiB would go now, what was used longest ago first." in told
    clean(made, "one", {})  # when the engine did not say
    assert "812 parts" in page(made, "cache")
    assert "None of it would go now." in page(made, "cache", cache_gb=30)
    assert "It is left alone: JOBYARD_BUILD_CACHE_GB is 0" in page(made, "cache", cache_gb=0)
