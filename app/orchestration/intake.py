"""From a stored delivery to builds and decisions."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.checkout import Checkouts, Credential
from app.domain.decisions import EventType, Go, Skip, Verdict
from app.domain.errors import InvalidValue, JobyardError
from app.domain.events import Push, one_line
from app.domain.jobs import BuildsInFlight, Job, Source
from app.domain.paths import Matching
from app.domain.pushes import Movement, is_connected, is_repeated, position_of
from app.domain.rules import needs_changed_files, should_build
from app.forges.base import Forge
from app.orchestration.access import git_access
from app.orchestration.building import build_env, cancel_superseded, key_of_build
from app.orchestration.ports import Clock, Names, Vault
from app.orchestration.releases.flowing import start_flows_by_push
from app.orchestration.releases.releasing import deploy_push
from app.store import builds, decisions, deliveries, jobs
from app.store.database import Database, Tx
from app.store.deliveries import Delivery

log = logging.getLogger(__name__)
TRIES = 3
Tracked = Sequence[tuple[Source, list[Job]]]


@dataclass(frozen=True)
class Intake:
    """Takes deliveries in order, one at a time. A step may be repeated after a crash: it commits once, whole."""

    db: Database
    clock: Clock
    names: Names
    forges: Mapping[str, Forge]
    checkouts: Checkouts
    vault: Vault

    def step(self) -> bool:
        """Process the oldest waiting delivery; False if there is none."""
        with self.db.read() as tx:
            delivery = deliveries.claim(tx, self.clock.now())
        if delivery is None:
            return False
        try:
            self._process(delivery)
        except InvalidValue as error:
            self._give_up(delivery, str(error))
        except JobyardError as error:
            self._try_again(delivery, str(error))
        except Exception:
            log.exception("delivery %s could not be processed", delivery.guid)
            self._try_again(
                delivery, "Jobyard failed while processing this delivery; the server's log has more."
            )
        return True

    def _process(self, delivery: Delivery) -> None:
        push = self.forges[delivery.forge].parse_push(json.loads(delivery.body))
        keys = sorted(push.repository.keys)
        with self.db.read() as tx:
            tracked = jobs.tracking(tx, keys, delivery.scopes)
        changed = {
            source.id: changed_files(self.db, self.checkouts, self.vault, push, source)
            for source, _ in tracked
        }
        newer = self._known_to_contain(push, tracked)
        matching = Matching()
        for source, of_source in tracked:  # here, as others wait for the transaction
            verdict_on(push, source, of_source, changed[source.id], repeated=False, matching=matching)
        with self.db.write() as tx:
            if deliveries.is_waiting(tx, delivery.id):
                self._decide(tx, delivery, push, changed, newer, matching)

    def _known_to_contain(self, push: Push, tracked: Tracked) -> frozenset[str]:
        """The commits known of the branch that hold the pushed one, where only Git can tell whether it comes late.

        A forced push may go back to a commit that others hold, so of those nothing is asked.
        """
        source = next((source for source, _ in tracked if source.branch == push.branch), None)
        if source is None or push.forced or push.after is None:
            return frozenset()
        with self.db.read() as tx:
            history = deliveries.movements(tx, source.repo_key, push.ref)
        before, after = push.before, push.after
        if is_connected(history, before, after) or is_repeated(history, before, after):
            return frozenset()
        known = {movement.after for movement in history if movement.after not in (None, push.after)}
        try:
            credential = access_to(self.db, self.vault, source)
            self.checkouts.fetch(source.url, sha=push.after, ref=push.ref, credential=credential)
            if history[0].after is not None:
                self.checkouts.fetch(source.url, sha=history[0].after, ref=push.ref, credential=credential)
            return frozenset(
                sha for sha in known if sha and self.checkouts.is_ancestor(source.url, push.after, sha)
            )
        except JobyardError as error:
            log.warning("whether %s came late is unknown: %s", push.after, error)
            return frozenset()

    def _decide(
        self,
        tx: Tx,
        delivery: Delivery,
        push: Push,
        changed: Mapping[int, frozenset[str] | None],
        newer: frozenset[str],
        matching: Matching,
    ) -> None:
        now = self.clock.now()
        tracked = jobs.tracking(tx, sorted(push.repository.keys), delivery.scopes)
        movements: dict[str, tuple[Movement, bool]] = {}
        built: list[tuple[int, Sequence[Job]]] = []
        decided = 0
        for source, of_source in tracked:
            if source.repo_key not in movements:
                movements[source.repo_key] = _movement(tx, delivery, push, source.repo_key, newer)
            movement, repeated = movements[source.repo_key]
            verdict = verdict_on(
                push, source, of_source, changed.get(source.id), repeated=repeated, matching=matching
            )
            decided += len(of_source)
            build_id = self._apply(tx, delivery, push, source, of_source, verdict, movement.position, now)
            if build_id is not None:
                built.append((build_id, of_source))
        if built and push.after is not None:
            deploy_push(tx, built, push.after, push.pusher, now)
            start_flows_by_push(tx, delivery.event_id, push.after, push.pusher, built, now)
        sentence = (
            f"{len(built)} of {len(tracked)} source{'s' * (len(tracked) != 1)} built, "
            f"{decided} job{'s' * (decided != 1)} decided."
            if tracked
            else "No job has this repository any more."
        )
        status = "processed" if tracked else "ignored"
        deliveries.settle(tx, delivery.id, status, sentence, now, ref=push.ref, sha=push.after or "")

    def _apply(
        self,
        tx: Tx,
        delivery: Delivery,
        push: Push,
        source: Source,
        of_source: Sequence[Job],
        verdict: Go | Skip,
        position: int,
        now: datetime,
    ) -> int | None:
        """Carry out and store the verdict for each of the source's jobs; the build's id, if there is one."""
        build_id, sentence = None, verdict.sentence
        if isinstance(verdict, Go):
            build_id, joined = _build(
                tx, self.names, self.vault, delivery, push, source, of_source, position, now
            )
            how = f"joins build {build_id}, which makes the same image" if joined else f"build {build_id}"
            sentence = f"{verdict.sentence.removesuffix('.')}: {how}."
        job_ids: list[int | None] = [job.id for job in of_source]
        for job_id in job_ids or [None]:  # a build service may have no job
            decisions.record(
                tx,
                at=now,
                event=(EventType.PUSH, delivery.event_id),
                project_id=source.project_id,
                job_id=job_id,
                verdict=Verdict.BUILT if isinstance(verdict, Go) else verdict.verdict,
                rule=verdict.rule,
                sentence=sentence,
                inputs=verdict.inputs,
                build_id=build_id,
            )
        return build_id

    def _give_up(self, delivery: Delivery, sentence: str) -> None:
        with self.db.write() as tx:
            deliveries.settle(tx, delivery.id, "failed", sentence, self.clock.now())

    def _try_again(self, delivery: Delivery, sentence: str) -> None:
        if delivery.tries + 1 >= TRIES:
            self._give_up(delivery, sentence)
            return
        later = self.clock.now() + timedelta(seconds=5 * 4**delivery.tries)
        with self.db.write() as tx:
            deliveries.try_later(tx, delivery.id, sentence, later)


def access_to(db: Database, vault: Vault, source: Source) -> Credential | None:
    """What fetches a source. Raises InvalidValue for a credential of another host."""
    with db.read() as tx:
        return git_access(tx, vault, source.credential_id, source.url)


def changed_files(
    db: Database, checkouts: Checkouts, vault: Vault, push: Push, source: Source
) -> frozenset[str] | None:
    """From the payload where it is complete, else from Git; None if neither can say."""
    if not needs_changed_files(source) or push.changed_files is not None:
        return push.changed_files
    if push.branch != source.branch or push.deleted or not push.before or not push.after:
        return None
    try:
        credential = access_to(db, vault, source)
        checkouts.fetch(source.url, sha=push.after, ref=push.ref, credential=credential)
        return checkouts.changed_files(source.url, push.before, push.after)
    except JobyardError as error:
        log.warning("files changed by %s are unknown: %s", push.after, error)
        return None


def place_of(tx: Tx, push: Push, repo_key: str, newer: frozenset[str] = frozenset()) -> tuple[Movement, bool]:
    """Where a push stands among the branch's movements, and whether it was told of before."""
    history = deliveries.movements(tx, repo_key, push.ref)
    if is_repeated(history, push.before, push.after):
        return history[0], True
    return Movement(push.before, push.after, position_of(history, push.before, push.after, newer)), False


def verdict_on(
    push: Push,
    source: Source,
    of_source: Sequence[Job],
    changed: frozenset[str] | None,
    *,
    repeated: bool,
    matching: Matching | None = None,
) -> Go | Skip:
    """Whether the push builds the source. A job's own source is held back with it, a build service is not."""
    paused = source.name is None and all(job.paused for job in of_source)
    return should_build(
        push, source, paused=paused, changed_files=changed, repeated=repeated, matching=matching
    )


def _movement(
    tx: Tx, delivery: Delivery, push: Push, repo_key: str, newer: frozenset[str]
) -> tuple[Movement, bool]:
    """Where the push stands among the branch's movements, and whether another hook told of it before."""
    known = deliveries.movement_of(tx, delivery.id, repo_key)
    if known is not None:
        return known, False  # a replay
    movement, repeated = place_of(tx, push, repo_key, newer)
    if not repeated:
        deliveries.add_movement(tx, repo_key, push.ref, movement, delivery.id)
    return movement, repeated


def _build(
    tx: Tx,
    names: Names,
    vault: Vault,
    delivery: Delivery,
    push: Push,
    source: Source,
    of_source: Sequence[Job],
    position: int,
    now: datetime,
) -> tuple[int, bool]:
    """The build of the pushed commit: an equal one that is still open, or a new one."""
    assert push.after is not None
    env = build_env(source, of_source)
    key = key_of_build(vault, source, push.ref, push.after, env)
    joined = builds.join_equal(tx, key, source.project_id, source.id, position)
    if joined is not None:
        _drop_superseded(tx, names, source, joined.id, now)
        return joined.id, True
    build_id = builds.enqueue(
        tx,
        project_id=source.project_id,
        source_id=source.id,
        key=key,
        url=source.url,
        ref=push.ref,
        sha=push.after,
        config=source.build,
        trigger={"type": "push", "delivery": delivery.guid, "by": push.pusher},
        now=now,
        env=env,
        credential_id=source.credential_id,
        position=position,
        message=one_line(push.head_message),
        author=push.pusher,
    )
    _drop_superseded(tx, names, source, build_id, now)
    return build_id, False


def _drop_superseded(tx: Tx, names: Names, source: Source, build_id: int, now: datetime) -> None:
    if source.builds_in_flight is BuildsInFlight.LATEST:
        cancel_superseded(tx, names, source, builds.with_id(tx, build_id), now)
