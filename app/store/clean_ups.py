"""The last clean-ups and what the build cache took then: two facts, of which nothing else depends."""

from __future__ import annotations

import json
from datetime import datetime

from app.domain.clean_ups import CacheSeen, CleanUp, with_newest
from app.domain.held_images import CacheUse
from app.store import facts
from app.store.database import Tx

CLEAN_UPS, BUILD_CACHE = "clean_ups", "build_cache"


def add(tx: Tx, clean_up: CleanUp, cache: CacheUse | None) -> None:
    """Remember a clean-up; without `cache`, what was seen of the build cache before stays known."""
    facts.hold(tx, CLEAN_UPS)
    kept = with_newest(newest(tx), clean_up)
    stored = [
        {"at": each.at.isoformat(), "server": each.server, "removed": dict(each.removed)} for each in kept
    ]
    facts.write(tx, CLEAN_UPS, json.dumps(stored))
    if cache is not None:
        seen = {"at": clean_up.at.isoformat(), "parts": cache.parts, "bytes": cache.bytes}
        facts.write(tx, BUILD_CACHE, json.dumps(seen))


def newest(tx: Tx) -> list[CleanUp]:
    """Those that are remembered, newest first."""
    found = json.loads(facts.read(tx, CLEAN_UPS) or "[]")
    return [CleanUp(datetime.fromisoformat(each["at"]), each["server"], each["removed"]) for each in found]


def cache_seen(tx: Tx) -> CacheSeen | None:
    """None before the first time that an engine said what its build cache takes."""
    text = facts.read(tx, BUILD_CACHE)
    if text is None:
        return None
    seen = json.loads(text)
    return CacheSeen(datetime.fromisoformat(seen["at"]), CacheUse(seen["parts"], seen["bytes"]))
