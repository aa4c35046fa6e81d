"""What would be removed now, and why what is as old stays: by looks at the store that change nothing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from app.domain.references import Ours
from app.domain.retention import Kind, Limits, Past, Plan, Share, Why, divided, is_beyond
from app.store import history, needs
from app.store.database import Database, Tx

LAST: Mapping[Kind, Callable[[Tx, Collection[int]], dict[int, Why]]] = {
    Kind.DEPLOYMENTS: history.last_deployments,
    Kind.RUNS: history.last_runs,
}


@dataclass
class Planning:
    """`most` rows of each kind are taken, the oldest first. What goes of one kind is known to those after it."""

    db: Database
    limits: Limits
    ours: Ours
    now: datetime
    most: int
    shares: dict[Kind, Share] = field(default_factory=dict)

    def plan(self) -> Plan:
        for kind in (Kind.FLOW_RUNS, Kind.PROMOTIONS, Kind.DEPLOYMENTS, Kind.RUNS):
            self.shares[kind] = self._of_owners(kind)
        self.shares[Kind.BUILDS], newest_deployment = self._of_sources()
        for kind in (Kind.DECISIONS, Kind.DELIVERIES):
            self.shares[kind] = self._of_owners(kind)
        self.shares |= self._what_is_left()
        return Plan(self.now, self.shares, newest_deployment)

    @property
    def _cutoff(self) -> datetime | None:
        return self.limits.cutoff(self.now)

    def _going(self, kind: Kind) -> frozenset[int]:
        return frozenset(self.shares[kind].ids)

    def _of_owners(self, kind: Kind) -> Share:
        floors: Mapping[int, int] = {}
        if self.limits.count and kind is not Kind.DELIVERIES:
            with self.db.read() as tx:
                floors = history.floors(tx, kind, self.limits.count)
        found, is_whole = self._found(
            kind, floors, lambda tx, owner, floor: history.below(tx, kind, owner, floor, self.most)
        )
        beyond = [past for past in found if is_beyond(past, self._cutoff, [floors.get(past.owner or 0, 0)])]
        needed: dict[int, Why] = {}
        with self.db.read() as tx:
            if kind is Kind.RUNS:
                needed |= needs.of_runs(tx, [past.id for past in beyond], self._going(Kind.DEPLOYMENTS))
            if kind in LAST:
                needed |= LAST[kind](tx, {past.owner for past in beyond if past.owner is not None})
        return divided(beyond, needed, is_whole=is_whole)

    def _of_sources(self) -> tuple[Share, int]:
        """Of the builds, and the newest deployment that was looked at for that."""
        floors: Mapping[int, int] = {}
        if self.limits.count:
            with self.db.read() as tx:
                floors = history.floors_of_sources(tx, self.limits.count)
        found, is_whole = self._found(
            Kind.BUILDS, floors, lambda tx, source, floor: history.builds_below(tx, source, floor, self.most)
        )
        with self.db.read() as tx:
            sources = history.sources_of(tx, [past.id for past in found])
        beyond = [
            replace(past, owner=next(iter(sources.get(past.id, ())), None))
            for past in found
            if is_beyond(past, self._cutoff, [floors.get(each, 0) for each in sources.get(past.id, ())])
        ]
        needed, newest_deployment = self._needed_builds([past.id for past in beyond])
        with self.db.read() as tx:
            needed |= history.last_builds(tx, {each for past in beyond for each in sources.get(past.id, ())})
        return divided(beyond, needed, is_whole=is_whole), newest_deployment

    def _needed_builds(self, ids: Sequence[int]) -> tuple[dict[int, Why], int]:
        going = self._going(Kind.DEPLOYMENTS)
        with self.db.read() as tx:
            needed, newest_deployment = needs.of_deployments(tx, going)
        with self.db.read() as tx:
            needed |= needs.of_builds(tx, ids, self._going(Kind.RUNS), going)
            needed |= needs.deployed(tx, self.ours)
        return needed, newest_deployment

    def _found(
        self,
        kind: Kind,
        floors: Mapping[int, int],
        below: Callable[[Tx, int, int], Sequence[Past]],
    ) -> tuple[Sequence[Past], bool]:
        """The rows that may be beyond the limits, and whether those are all."""
        found: dict[int, Past] = {}
        is_whole = True
        if self._cutoff is not None:
            with self.db.read() as tx:
                old, is_whole = history.older(tx, kind, self._cutoff, self.most)
            found |= {past.id: past for past in old}
        for owner, floor in floors.items():
            if len(found) >= self.most:
                return list(found.values()), False
            with self.db.read() as tx:
                more = below(tx, owner, floor)
            found |= {past.id: past for past in more}
            is_whole = is_whole and len(more) < self.most
        return list(found.values()), is_whole

    def _what_is_left(self) -> dict[Kind, Share]:
        """Of movements and deleted jobs: by what else goes."""
        if self._cutoff is None:
            return {Kind.MOVEMENTS: Share(), Kind.DELETED_JOBS: Share()}
        with self.db.read() as tx:
            movements = history.movements_beyond(tx, self._going(Kind.DELIVERIES), self.most)
        with self.db.read() as tx:
            going = {kind: self._going(kind) for kind in self.shares}
            jobs = history.deleted_jobs(tx, self._cutoff, going, self.most)
        return {Kind.MOVEMENTS: Share({None: movements}), Kind.DELETED_JOBS: Share({None: jobs})}
