"""What clean-ups have removed, and what the build cache took after the last one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from app.domain.held_images import CacheUse

ENTRIES, LOGS, IMAGES, CACHE_BYTES = "audit_entries", "logs", "images", "build_cache_bytes"
REMEMBERED = 20  # clean-ups that removed something


@dataclass(frozen=True)
class CleanUp:
    """One clean-up of a server: how many of each kind went, without those of which none did.

    Kinds are those of `retention.Kind`, and `ENTRIES`, `LOGS`, `IMAGES`; `CACHE_BYTES` counts bytes.
    """

    at: datetime
    server: str
    removed: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class CacheSeen:
    """The build cache of an engine as a clean-up left it."""

    at: datetime
    use: CacheUse


def with_newest(before: list[CleanUp], newest: CleanUp) -> list[CleanUp]:
    """The clean-ups that are remembered, newest first; one that removed nothing only as the newest of its server."""
    kept = [each for each in before if each.removed or each.server != newest.server]
    return [newest, *kept][:REMEMBERED]
