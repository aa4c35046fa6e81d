"""Finds pushes that no hook told of, by asking the remotes where their branches are.

    due ─▶ one question a repository and credential ─▶ as known │ another head, once more after a while ─▶ a delivery

What is found is stored as a delivery, from which on all is as if a hook had told of it.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from app.checkout import Checkouts
from app.commands.remote_access import git_access
from app.domain.comparing import (
    GRACE,
    REMOTE,
    Seen,
    Step,
    first_seen,
    found_push,
    how_found,
    judge,
    pause_after,
    to_body,
)
from app.domain.errors import JobyardError
from app.domain.events import Push
from app.domain.hosts import git_host
from app.domain.lanes import lane_of
from app.domain.pushes import Movement
from app.runtime.ports import Clock, Names, Vault
from app.store import comparisons, deliveries, movements
from app.store.comparisons import Watched
from app.store.database import Database, StoreUnavailable, Tx
from app.store.deliveries import NewDelivery

log = logging.getLogger(__name__)
EVENT = "reconciliation"
FAULT = "Jobyard failed while comparing with the remote; the server's log has more."
Known = Mapping[int, Movement | None]  # by source: the newest movement it was told of
Found = Mapping[tuple[str, Step], Push]  # by ref and step: the push with what Git says of it


@dataclass
class RemotePoller:
    """`give` has a look taken beside the loop, one at a time for a key; False if one for it is not over.

    All remotes are due at the start, and again when the store could not be reached meanwhile: then calls of hooks were
    turned away.
    """

    db: Database
    clock: Clock
    names: Names
    checkouts: Checkouts
    vault: Vault
    interval: timedelta
    give: Callable[[Hashable, Callable[[], None]], bool]
    _since: datetime | None = field(default=None)

    def step(self) -> None:
        """Have a look taken at every remote that is due."""
        now = self.clock.now()
        since, self._since = min(self._since or now, now), None
        with self.db.read() as tx:
            watched, switched_off = comparisons.watched(tx), comparisons.switched_off(tx)
        if switched_off:
            with self.db.write() as tx:
                comparisons.forget(tx, switched_off)
        self._since = since
        for place, due in _due_by_place(watched, now, since).items():
            self.give(place, partial(self._look_at_each, due))

    def _look_at_each(self, due: Sequence[Sequence[Watched]]) -> None:
        for of_remote in due:
            try:
                self._try_to_look(of_remote)
            except JobyardError as error:
                log.warning("%s was not compared: %s", of_remote[0].url, error)

    def _try_to_look(self, of_remote: Sequence[Watched]) -> None:
        try:
            self._look(of_remote)
        except StoreUnavailable:
            raise
        except JobyardError as error:
            self._put_off(of_remote, str(error))
        except Exception:
            log.exception("%s could not be compared", of_remote[0].url)
            self._put_off(of_remote, FAULT)

    def _look(self, of_remote: Sequence[Watched]) -> None:
        asked = of_remote[0]
        with self.db.read() as tx:
            known = _newest(tx, of_remote)
            credential = git_access(tx, self.vault, asked.credential_id, asked.url)
        branches = {each.branch for each in of_remote}
        heads = self.checkouts.heads_of(asked.url, sorted(branches), credential)
        now = self.clock.now()
        steps = {
            (each.ref, step)
            for each in of_remote
            if (step := _judged(each, known[each.source_id], heads.get(each.branch), now)[1]) is not None
        }
        found = {(ref, step): self._described(asked, ref, step, now) for ref, step in steps}
        with self.db.write() as tx:
            movements.lock_projects(tx, [asked.project_id])
            self._settle(tx, of_remote, known, heads, found)

    def _settle(
        self, tx: Tx, of_remote: Sequence[Watched], known: Known, heads: Mapping[str, str], found: Found
    ) -> None:
        """Store what was found, unless somebody else has looked meanwhile and left another state, which counts."""
        now = self.clock.now()
        still = {
            each.source_id: each for each in comparisons.watched(tx, [each.source_id for each in of_remote])
        }
        newest = _newest(tx, of_remote)
        told: dict[tuple[str, Step], list[Watched]] = defaultdict(list)
        for asked in of_remote:
            each = still.get(asked.source_id)
            if each is None or (each.remote, each.ref) != (asked.remote, asked.ref):
                continue
            if (
                newest[each.source_id] != known[each.source_id]
            ):  # a hook told of something meanwhile: look again
                comparisons.postpone(tx, each, now, now + GRACE)
                continue
            seen, step = _judged(each, newest[each.source_id], heads.get(each.branch), now)
            if step is not None and (
                (each.ref, step) not in found or deliveries.waits_in_lane(tx, each.project_id, each.repo_key)
            ):
                comparisons.postpone(tx, each, now, now + GRACE)
                continue
            pause = GRACE if seen.found_at is not None else self.interval
            comparisons.save(tx, each, seen, now, now + pause)
            if step is not None:
                told[each.ref, step].append(each)
        for (ref, step), sources in told.items():
            deliveries.add(tx, *self._delivery(sources, found[ref, step], now))

    def _delivery(self, sources: Sequence[Watched], push: Push, now: datetime) -> tuple[NewDelivery, str]:
        place = sources[0]
        new = NewDelivery(
            forge=REMOTE,
            guid=f"found-{(push.after or 'deleted')[:12]}-{self.names.suffix()}",
            event=EVENT,
            ignored=False,
            scopes=tuple(f"source:{each.source_id}" for each in sources),
            body=to_body(push),
            repository=push.repository.full_name,
            received_at=now,
            lane=lane_of([(place.project_id, place.repo_key)]),
        )
        return new, how_found(push)

    def _described(self, asked: Watched, ref: str, step: Step, now: datetime) -> Push:
        """Return the push with what Git says of the step, if it says anything."""
        message, is_forced = "", False
        if step.after is not None:
            try:
                with self.db.read() as tx:
                    credential = git_access(tx, self.vault, asked.credential_id, asked.url)
                self.checkouts.fetch(asked.url, sha=step.after, ref=ref, credential=credential)
                message = self.checkouts.message_of(asked.url, step.after)
                if step.before is not None:
                    held = self.checkouts.is_ancestor(asked.url, step.before, step.after)
                    is_forced = held is False
            except JobyardError as error:
                log.warning("what %s of %s brings is unknown: %s", step.after[:12], asked.url, error)
        return found_push(asked.url, ref, step, now, message=message, is_forced=is_forced)

    def _put_off(self, of_remote: Sequence[Watched], sentence: str) -> None:
        now = self.clock.now()
        with self.db.write() as tx:
            for each in comparisons.watched(tx, [each.source_id for each in of_remote]):
                pause = pause_after(each.failures + 1, self.interval)
                comparisons.save_failure(tx, each, sentence, now, now + pause)


def _due_by_place(
    watched: Sequence[Watched], now: datetime, since: datetime
) -> dict[Hashable, list[list[Watched]]]:
    """The sources of each remote that is due. A place is a project's Git server: one that is slow holds up its own."""
    remotes: dict[tuple[int, str, int | None], list[Watched]] = defaultdict(list)
    for each in watched:
        remotes[each.remote].append(each)
    places: dict[Hashable, list[list[Watched]]] = defaultdict(list)
    for (project_id, url, _), of_remote in remotes.items():
        if any(_is_due(each, now, since) for each in of_remote):
            places[project_id, git_host(url)].append(of_remote)
    return places


def _is_due(each: Watched, now: datetime, since: datetime) -> bool:
    if each.looked_at is None or each.due_at is None:
        return True
    return each.due_at <= now or each.looked_at < since or each.looked_at > now  # the clock was set back


def _newest(tx: Tx, of_remote: Sequence[Watched]) -> dict[int, Movement | None]:
    return {
        each.source_id: movements.newest_taken(tx, each.source_id, each.repo_key, each.ref)
        for each in of_remote
    }


def _judged(
    each: Watched, newest: Movement | None, head: str | None, now: datetime
) -> tuple[Seen, Step | None]:
    if each.is_new:
        return first_seen(head, newest), None
    return judge(each.seen, newest, head, now)
