"""What is beyond the limits is removed, every hour and when it is asked for; beside other work, in small steps."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from app.checkout import Checkouts
from app.commands.log_limits import LogLimits
from app.commands.retention import Retention
from app.domain.clean_ups import CACHE_BYTES, ENTRIES, IMAGES, LOGS, CleanUp
from app.domain.errors import EngineUnavailable
from app.runtime.ports import Clock
from app.store import clean_ups, removal
from app.store.database import Database
from builders import private

if TYPE_CHECKING:
    from app.commands.registry_retention import RegistryRetention

log = logging.getLogger(__name__)
INTERVAL, HURRIED_EVERY = timedelta(hours=1), timedelta(minutes=5)
LONGEST_REST_SECONDS = 1.0
BETWEEN_STEPS_SECONDS = 0.05

CLOCK_IS_DOUBTED = (
    "nothing is removed for its age until a day has passed: by the clock, what is kept was last looked at over two"
    " days before, so the server was off for long or its clock is wrong; `jobyard prune` removes it now"
)


@dataclass
class RetentionWorker:
    """Rows are removed by one server at a time; files, mirrors and images by each where they are.

    It goes on until it is through, or `stopping` is set. A part that fails does not hold up the others.
    """

    db: Database
    clock: Clock
    retention: Retention
    checkouts: Checkouts | None = None
    registry: RegistryRetention | None = None
    log_limits: LogLimits | None = None
    stopping: threading.Event = field(default_factory=threading.Event)
    server: str = ""
    _removed: Counter[str] = field(default_factory=Counter)
    _done_at: datetime | None = None

    def hurry(self) -> None:
        """There is little room: do it now, unless that was a moment ago."""
        if self._done_at is None or abs(self.clock.now() - self._done_at) >= HURRIED_EVERY:
            self.retention.hurry()

    def step(self) -> None:
        """Do what is due, hurried or asked for; where the clock may be wrong, only what is asked for.

        Whose logs take more than they may is looked at each time.
        """
        self._keep_log_limits()
        now = self.clock.now()
        is_asked_for, is_hurried = _taken(self.retention.asked), _taken(self.retention.hurried)
        is_due = self._done_at is None or not timedelta(0) <= now - self._done_at < INTERVAL
        if not (is_due or is_hurried or is_asked_for):
            return
        self._done_at = now
        with self.db.write() as tx:
            interval = timedelta(0) if is_asked_for or is_hurried else INTERVAL
            is_first = removal.take_turn(tx, now, interval)
            is_doubted = removal.is_clock_doubted(tx, now)
        if is_doubted and not is_asked_for:
            log.warning(CLOCK_IS_DOUBTED)
            return
        self._removed = Counter()
        if is_first:
            self._remove_rows()
            self._shorten_audit()
        if is_first and self.registry is not None:
            self.registry.step(self._rest)
        for part in (self._sweep_files, self._remove_images, self._tend_mirrors):
            if not self.stopping.is_set():
                part()
        self._shorten_database()
        self._remember(now)

    def _remember(self, now: datetime) -> None:
        images = self.retention.images
        use = None if images is None or self.stopping.is_set() else images.cache_use()
        with self.db.write() as tx:
            clean_ups.add(tx, CleanUp(now, self.server, dict(+self._removed)), use)

    def _remove_rows(self) -> None:
        is_whole = False
        while not is_whole and not self.stopping.is_set():
            plan = self.retention.plan()
            is_whole = plan.is_whole
            done = self.retention.carry_out(plan, self._rest)
            self._removed.update({kind.value: count for kind, count in done.items()})
            removed = [f"{count} {kind.replace('_', ' ')}" for kind, count in done.items() if count]
            if not removed:
                return
            log.info("removed what is beyond the limits of retention: %s", ", ".join(removed))

    def _shorten_audit(self) -> None:
        removed = self.retention.shorten_audit(self._rest)
        self._removed[ENTRIES] += removed
        if removed:
            log.info("removed %d entries of the audit log that were too old", removed)

    def _keep_log_limits(self) -> None:
        dropped = self.log_limits.keep(self.stopping.is_set) if self.log_limits else 0
        if dropped:
            log.info("removed the %d oldest logs of projects whose logs take more than they may", dropped)

    def _sweep_files(self) -> None:
        removed = self.retention.sweep_logs(self._rest)
        self._removed[LOGS] += removed
        if removed:
            log.info("removed the logs of %d runs and builds that are no more", removed)
        for directory in private.sweep(self.clock.now().timestamp()):
            log.info("removed %s, which a process that was killed has left", directory)

    def _remove_images(self) -> None:
        """What the engine does not answer now is done in an hour."""
        images = self.retention.images
        if images is None:
            return
        try:
            removed = images.carry_out(images.plan(), self._rest)
            self._removed[IMAGES] += removed
            freed = images.bound_cache()
            self._removed[CACHE_BYTES] += freed
        except EngineUnavailable as error:
            log.info("images are looked at later: %s", error)
            return
        if removed or freed:
            log.info("removed %d images, and %d bytes of the build cache", removed, freed)

    def _tend_mirrors(self) -> None:
        for done in self.checkouts.tend(self.clock.now().timestamp()) if self.checkouts else ():
            for fault in done.faults:
                log.warning("a mirror stays as it is: %s", fault)
            self._rest(BETWEEN_STEPS_SECONDS)
            if self.stopping.is_set():
                return

    def _shorten_database(self) -> None:
        while not self.stopping.is_set() and self.db.give_back():
            self._rest(BETWEEN_STEPS_SECONDS)
        self.db.cut_log()

    def _rest(self, seconds: float) -> None:
        self.stopping.wait(min(seconds, LONGEST_REST_SECONDS))


def _taken(event: threading.Event) -> bool:
    """Whether it was set; it no longer is."""
    was_set = event.is_set()
    event.clear()
    return was_set
