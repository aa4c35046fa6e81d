"""What is removed because it is beyond the limits: found out by one function, for the preview and for doing it.

plan ─▶ shown │ carried out: by kind, in small transactions that look once more, with rests between ─▶ files
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event

from app.commands.image_retention import ImageRetention, ImagesPreview
from app.commands.retention_plans import Planning
from app.commands.retention_preview import Portion, portions
from app.domain.references import Ours
from app.domain.retention import Kind, Limits, Plan
from app.runtime.log_storage import LogStorage
from app.runtime.ports import Clock
from app.store import audit, removal
from app.store.database import Database

ASKED_FOR = "retention"  # the topic that the loop listens to
MOST = 20_000  # rows of a kind that one plan takes; the next one goes on
BATCH = 100  # rows that one transaction removes
SHARE_OF_TIME = 4  # a transaction is followed by a rest that is so many times as long
Rest = Callable[[float], object]


@dataclass(frozen=True)
class Retention:
    """`log_storage` has the logs of this server. Who wants it to be done at once says so by `ask`."""

    db: Database
    clock: Clock
    log_storage: LogStorage
    limits: Limits
    ours: Ours
    batch: int = BATCH
    most: int = MOST
    images: ImageRetention | None = None
    asked: Event = field(default_factory=Event)
    hurried: Event = field(default_factory=Event)

    def ask(self) -> None:
        """Somebody wants what is beyond the limits to be removed as soon as the loop comes to it."""
        self.asked.set()
        self.log_storage.signals.publish(frozenset({ASKED_FOR}))

    def hurry(self) -> None:
        """There is little room: the same, but nobody has seen what would go."""
        self.hurried.set()
        self.log_storage.signals.publish(frozenset({ASKED_FOR}))

    def preview(self, plan: Plan) -> list[Portion]:
        return portions(self.db, self.log_storage, plan)

    def preview_of_images(self, plan: Plan) -> ImagesPreview:
        """Of those that nothing needs when the plan is carried out."""
        if self.images is None:
            return ImagesPreview()
        return self.images.preview(plan.shares[Kind.BUILDS].ids)

    def plan(self) -> Plan:
        """What would go now. Every look at the store is a short one, beside whatever else happens."""
        return Planning(self.db, self.limits, self.ours, self.clock.now(), self.most).plan()

    def carry_out(self, plan: Plan, rest: Rest) -> dict[Kind, int]:
        """Remove what a plan says, unless somebody has come to need it since; how many rows of each kind went.

        `rest` is called between transactions with seconds to wait for.
        """
        removed = dict.fromkeys(plan.shares, 0)
        for kind, share in plan.shares.items():
            ids = share.ids
            for start in range(0, len(ids), self.batch):
                began = self.clock.ticks()
                with self.db.write() as tx:
                    removed[kind] += removal.remove(
                        tx, kind, ids[start : start + self.batch], self.ours, plan.newest_deployment
                    )
                rest(SHARE_OF_TIME * (self.clock.ticks() - began))
        with self.db.write() as tx:
            removal.forget_expired(tx, self.clock.now())
        return removed

    def shorten_audit(self, rest: Rest) -> int:
        """Remove the entries of the audit log that are older than they are kept; how many went."""
        cutoff = self.limits.audit_cutoff(self.clock.now())
        removed, last = 0, self.batch
        while cutoff is not None and last == self.batch and removed < self.most:
            began = self.clock.ticks()
            with self.db.write() as tx:
                last = audit.remove_before(tx, cutoff, self.batch)
            removed += last
            rest(SHARE_OF_TIME * (self.clock.ticks() - began))
        return removed

    def sweep_logs(self, rest: Rest) -> int:
        """Remove the logs, on this server, of runs and builds that are no more; how many went.

        What has a greater id than any row is left alone: ids come again where a database was restored.
        """
        removed = 0
        for kind in (Kind.RUNS, Kind.BUILDS):
            for ids in self.log_storage.stored(kind):
                began = self.clock.ticks()
                with self.db.read() as tx:
                    there, greatest = removal.logs_of(tx, kind, min(ids), max(ids))
                gone = [each for each in ids if each not in there and each < greatest]
                for each in gone:
                    self.log_storage.remove(kind, each)
                removed += len(gone)
                rest(SHARE_OF_TIME * (self.clock.ticks() - began))
        return removed
