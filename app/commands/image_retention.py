"""Images that nobody needs any more, and the build cache, on the engine: what goes, and its going."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from app.domain.errors import Busy, EngineUnavailable, JobyardError
from app.domain.held_images import CacheUse, HeldImage, Unneeded, unneeded, weight
from app.domain.references import Ours
from app.engines.base import Engine
from app.runtime.engine_health import EngineHealth
from app.store import image_needs
from app.store.database import Database

REST_SECONDS = 0.2  # after each image
BATCH = 20  # images, before it is asked again what is needed
GB = 10**9


@dataclass(frozen=True)
class ImagesPreview:
    """How many images would go, and the bytes that they take at most; `sentence` says why that is not known."""

    going: int = 0
    bytes: int = 0
    sentence: str = ""


@dataclass(frozen=True)
class ImageRetention:
    """`cache_gb` bounds what the engine's build cache takes; 0 leaves it alone."""

    db: Database
    engine: Engine
    ours: Ours
    health: Callable[[], EngineHealth]
    cache_gb: int = 20
    turn: threading.Lock = field(default_factory=threading.Lock)

    def plan(self, going: Collection[int] = frozenset()) -> list[Unneeded]:
        """What would go now, after the builds that are `going`.

        Raises EngineUnavailable where the engine does not say, Busy while another one asks.
        """
        health = self.health()
        if not health.is_up:
            raise EngineUnavailable(health.sentence)
        if not self.turn.acquire(blocking=False):
            raise Busy("The container engine is being asked about its images: try again in a moment.")
        try:
            images = self.engine.images()
        finally:
            self.turn.release()
        return self._unneeded(images, going)

    def preview(self, going: Collection[int] = frozenset()) -> ImagesPreview:
        try:
            plan = self.plan(going)
        except JobyardError as error:
            return ImagesPreview(sentence=str(error))
        return ImagesPreview(len(plan), weight(plan))

    def _unneeded(self, images: Sequence[HeldImage], going: Collection[int] = frozenset()) -> list[Unneeded]:
        with self.db.read() as tx:
            needed = image_needs.needed(tx, self.ours, going)
            made = image_needs.made(tx, {digest for image in images for digest in image.digests})
        return unneeded(images, needed, made, self.ours)

    def carry_out(self, plan: Sequence[Unneeded], rest: Callable[[float], object]) -> int:
        """Remove what a plan says, unless something has come to need it since; how many went.

        What a container uses stays until that is gone. Raises EngineUnavailable: the next plan goes on.
        """
        removed = 0
        for start in range(0, len(plan), BATCH):
            for each in self._unneeded([each.image for each in plan[start : start + BATCH]]):
                has_gone = [self.engine.remove_image(name) for name in each.names]
                removed += all(has_gone)
                rest(REST_SECONDS)
        return removed

    def bound_cache(self) -> int:
        """Remove from the build cache what it has beyond its bound, least recently used first; the bytes."""
        return self.engine.prune_build_cache(self.cache_gb * GB) if self.cache_gb else 0

    def cache_use(self) -> CacheUse | None:
        """What the build cache takes; None where it is left alone, or the engine does not say now."""
        try:
            return self.engine.build_cache() if self.cache_gb else None
        except EngineUnavailable:
            return None

    def cache_going(self, use: CacheUse) -> int:
        """The bytes of a build cache that are beyond its bound."""
        return max(use.bytes - self.cache_gb * GB, 0) if self.cache_gb else 0
