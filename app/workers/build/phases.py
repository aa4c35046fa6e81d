"""The phases of a build under way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from app.domain.build_parts import BuildPhase
from app.domain.builds import Build
from app.runtime.ports import Clock
from app.store import builds
from app.store.database import Database


@dataclass(frozen=True)
class Phases:
    """How long each phase of a build takes, stored at the end."""

    db: Database
    clock: Clock
    build: Build
    _over: list[BuildPhase] = field(default_factory=list)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        began_at = self.clock.now()
        try:
            yield
        finally:
            since = self.build.started_at or began_at
            started, took = began_at - since, self.clock.now() - began_at
            self._over.append(BuildPhase(name, started.total_seconds(), took.total_seconds()))

    def save(self) -> None:
        with self.db.write() as tx:
            builds.save_phases(tx, self.build, self._over)
