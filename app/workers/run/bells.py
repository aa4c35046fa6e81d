"""What wakes the loops that look after running containers."""

from __future__ import annotations

from dataclasses import dataclass, field

from app.runtime.signals import Waker
from app.store import builds, runs


@dataclass(frozen=True)
class Bells:
    watcher: Waker = field(default_factory=lambda: Waker(runs.STOPPING, builds.ENDING))
    health: Waker = field(default_factory=Waker)
    metrics: Waker = field(default_factory=Waker)

    def ring(self) -> None:
        """Wake them all: another container is running, or one has ended."""
        for bell in (self.watcher, self.health, self.metrics):
            bell.ring()
