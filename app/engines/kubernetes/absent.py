"""What a cluster doesn't have, or doesn't let a server have: its nodes' images and build cache, figures."""

# ruff: noqa: ARG002

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from app.domain.held_images import CacheUse, HeldImage
from app.domain.metrics import Sample
from app.engines.base import Capability, Confinement, Handle, ImageUnavailable, ResolvedImage

LACKS = {
    Capability.STATS: "The engine kubernetes gives no figures of what containers use: ask the cluster's monitoring.",
    Capability.NETWORK: "The engine kubernetes can't keep network: none, as nothing tells whether a cluster holds pods"
    " to it; leave that out, or use the engine docker.",
}
_NO_IMAGES = "A cluster has no images of its own that a server can ask for: it pulls them from registries."


class Absent:
    """The part of the contract that is answered without asking the cluster."""

    def lacks(self) -> Mapping[Capability, str]:
        return LACKS

    def confine(self) -> str:
        return ""

    def confinement(self) -> Confinement:
        return Confinement(
            "What jobs may reach (JOBYARD_EGRESS) is for a NetworkPolicy of the namespace to say, and for the cluster's"
            " network to enforce."
        )

    def unconfine(self) -> None:
        return

    def disk_refusal(self, size: int) -> str:
        return ""

    def held(self, reference: str) -> ResolvedImage:
        raise ImageUnavailable(_NO_IMAGES)

    def stats(self, handle: Handle) -> Sample | None:
        return None

    def rename_images(self, new_name: Callable[[str], str | None]) -> int:
        return 0

    def images(self) -> Sequence[HeldImage]:
        return []

    def remove_image(self, name: str) -> bool:
        return True

    def prune_build_cache(self, keep_bytes: int) -> int:
        return 0

    def build_cache(self) -> CacheUse:
        return CacheUse(0, 0)
