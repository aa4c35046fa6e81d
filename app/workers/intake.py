"""From a stored delivery to builds and decisions.

    waiting ─claim▶ plain: decided at once │ Git has to be asked: waits again, for a place ─claim▶ asked, decided

Deliveries of one lane (a project's of one repository) are taken in order, those of different lanes beside one another:
only a delivery's own lane waits for its Git server, and only for a bounded time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from app.checkout import Checkouts
from app.commands.change_sets import Inquiry, without_git
from app.commands.check_reruns import asked_by, start_again
from app.commands.commit_statuses import notes_of_push
from app.commands.deployments import deploy_push
from app.commands.flow_runs import start_flow_runs_by_push
from app.commands.pushed_builds import build_push
from app.commands.pushes import git_decides, place_of, push_of, verdict_on
from app.commands.repository_files import Apply, Taken, is_current, no_file, read_files, speaks_for, take
from app.domain import comparing
from app.domain.crashes import is_given_up
from app.domain.decisions import EventType, Go, Skip, Verdict
from app.domain.errors import InvalidValue, JobyardError
from app.domain.events import Push
from app.domain.job.records import Job, Source
from app.domain.lanes import next_in_line
from app.domain.paths import Matching
from app.domain.pushes import Changes, Movement, is_connected, is_repeated
from app.domain.refs import is_proposal
from app.domain.repository_file import FileText
from app.forges.base import CHECK_RUN, CHECK_SUITE, Forge
from app.runtime.disk import WAITED_FOR, Disk
from app.runtime.ports import Clock, Names, Vault
from app.runtime.threads import Background, in_thread
from app.store import builds, commit_statuses, decisions, deliveries, jobs, movements
from app.store.commit_statuses import Note
from app.store.database import Database, StoreUnavailable, Tx
from app.store.deliveries import Delivery
from app.workers.claims import ClaimRegistry

log = logging.getLogger(__name__)
TRIES = 3
DISK_RETRY = timedelta(seconds=5)
LOOKED_AT = 1000  # deliveries that wait for such a place
Tracked = Sequence[tuple[Source, list[Job]]]
Newer = Mapping[
    tuple[int, str], frozenset[str]
]  # by project and repository: commits that hold the pushed one


@dataclass(frozen=True)
class Intake:
    """Takes deliveries. A step may be repeated after a crash: it commits once, whole.

    Deliveries under which the server dies are held back, and not tried for ever (`domain.crashes`).
    """

    db: Database
    clock: Clock
    names: Names
    owner: str
    forges: Mapping[str, Forge]
    checkouts: Checkouts
    vault: Vault
    in_background: Background = in_thread
    disk: Disk = field(default_factory=Disk)
    places: int = 64  # deliveries for which Git is asked at a time; each is a thread and mostly waits
    places_per_project: int = 56
    claim_registry: ClaimRegistry = field(default_factory=ClaimRegistry)
    apply_file: Apply = no_file

    def step(self) -> bool:
        """Process the oldest delivery that may be decided at once, and begin with one that needs Git; False if none."""
        if self.disk.trouble:
            return False
        plain = self._take(self._next_plain)
        if plain is not None:
            self._work(plain)
        asking = self._take(self._next_asking)
        if asking is not None:
            self.in_background(f"intake-{asking.id}", lambda: self._work(asking))
        return plain is not None or asking is not None

    def release(self) -> None:
        """Release what is left to do when the server stops, without counting a try."""
        with self.claim_registry.turn, self.db.write() as tx:
            deliveries.release(tx, self.owner)

    def _take(self, choose: Callable[[Tx], int | None]) -> Delivery | None:
        """Looking is a read; what was looked at is claimed only if nobody else was first."""
        with self.claim_registry.turn:
            with self.db.read() as tx:
                chosen = choose(tx)
            if chosen is None:
                return None
            with self.db.write() as tx:
                delivery = deliveries.claim(tx, chosen, self.owner)
            if delivery is not None:
                self.claim_registry.take(delivery)
            return delivery

    def _next_plain(self, tx: Tx) -> int | None:
        found = deliveries.next_waiting(tx, self.clock.now(), asks_git=False)
        return found[0][0] if found else None

    def _next_asking(self, tx: Tx) -> int | None:
        waiting = deliveries.next_waiting(tx, self.clock.now(), asks_git=True, limit=LOOKED_AT)
        if not waiting:
            return None
        busy = deliveries.lanes_of(tx, self.owner)
        return next_in_line(waiting, busy, places=self.places, per_owner=self.places_per_project)

    def _work(self, delivery: Delivery) -> None:
        """A delivery of which nothing can be stored is let go of, and released by the reconciler."""
        with self.claim_registry.until_done(delivery):
            try:
                self._process_or_put_off(delivery)
            except StoreUnavailable as error:
                self.disk.failed(error)
                log.warning("delivery %s waits: %s", delivery.guid, error)

    def _process_or_put_off(self, delivery: Delivery) -> None:
        if is_given_up(delivery.crashes):
            self._give_up(delivery, _of_dead_servers(delivery))
            return
        try:
            self._process(delivery)
        except WAITED_FOR as error:
            self.disk.failed(error)
            self._wait(delivery, str(error))
        except InvalidValue as error:
            self._give_up(delivery, str(error))
        except JobyardError as error:
            self._try_again(delivery, str(error))
        except Exception:
            log.exception("delivery %s could not be processed", delivery.guid)
            sentence = "Jobyard failed while processing this delivery; the server's log has more."
            self._try_again(delivery, sentence)

    def _process(self, delivery: Delivery) -> None:
        if delivery.event in (CHECK_RUN, CHECK_SUITE):
            self._start_again(delivery)
            return
        push = push_of(delivery, self.forges)
        with self.db.read() as tx:
            tracked = jobs.tracking(tx, sorted(push.repository.keys), delivery.scopes)
            asked_about = [
                source for source, each in tracked if git_decides(tx, push, source, each, delivery)
            ]
            late = _maybe_late(tx, push, tracked)
        with_file = [source for source, _ in tracked if speaks_for(push, source)]
        if (asked_about or late or with_file) and not delivery.asks_git:
            with self.db.write() as tx:
                deliveries.hand_to_git(tx, delivery)
            return
        git = Inquiry(self.db, self.vault, self.checkouts, push)
        changes = {source.id: git.changes(source) for source in asked_about}
        files = read_files(git, with_file, is_last_try=delivery.tries >= TRIES)
        newer = {
            (source.project_id, source.repo_key): git.containing(source, newest, commits)
            for source, newest, commits in late
        }
        matching = Matching()
        for source, of_source in tracked:  # here, as others wait for the transaction
            known = changes.get(source.id) or without_git(push, source)
            verdict_on(push, source, of_source, known, repeated=False, matching=matching)
        with self.db.write() as tx:
            if deliveries.is_held(tx, delivery):
                self._decide(tx, delivery, push, changes, newer, files, matching)

    def _decide(
        self,
        tx: Tx,
        delivery: Delivery,
        push: Push,
        changes: Mapping[int, Changes],
        newer: Newer,
        files: Mapping[int, FileText],
        matching: Matching,
    ) -> None:
        now = self.clock.now()
        tracked = jobs.tracking(tx, sorted(push.repository.keys), delivery.scopes)
        movements.lock_projects(tx, sorted({source.project_id for source, _ in tracked}))
        built: list[tuple[int, Sequence[Job]]] = []
        decided, notes = 0, list[Note]()
        for source, of_source in tracked:
            contained = newer.get((source.project_id, source.repo_key), frozenset())
            built_before = _built_by_hand(tx, push, source)
            movement, repeated = _movement(tx, delivery, push, source, contained)
            known = changes.get(source.id) or without_git(push, source)
            taken = Taken(source, of_source)
            file = None if repeated else files.get(source.id)
            if file is not None and is_current(tx, source, push, movement.position):
                taken = take(tx, self.apply_file, delivery.event_id, push, source, of_source, file, now)
                source, of_source = taken.source, taken.jobs
            verdict = verdict_on(
                push, source, of_source, known, repeated=repeated, built=built_before, matching=matching
            )
            verdict = taken.verdict(verdict)
            decided += len(of_source)
            build_id, noted = self._apply(
                tx, delivery, push, source, of_source, verdict, movement.position, now
            )
            notes += noted
            if build_id is not None:
                built.append((build_id, of_source))
        if built and push.commit is not None and not is_proposal(push.ref):
            deploy_push(tx, built, push.commit, push.pusher, now)
            start_flow_runs_by_push(tx, delivery.event_id, push.commit, push.pusher, built, now)
        commit_statuses.note(tx, notes, now)
        sentence = (
            f"{len(built)} of {len(tracked)} source{'s' * (len(tracked) != 1)} to be built, "
            f"{decided} job{'s' * (decided != 1)} decided."
            if tracked
            else "No job or build service has this repository."
        )
        sentence = f"{sentence} {comparing.how_found(push)}".rstrip()
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
    ) -> tuple[int | None, Iterable[Note]]:
        """Carry out and store the verdict for each of the source's jobs: the build's id, if there is one.

        And what the commit's statuses follow.
        """
        build_id, sentence = None, verdict.sentence
        if isinstance(verdict, Go):
            build_id, joined = build_push(
                tx, self.names, self.vault, delivery, push, source, of_source, position, now
            )
            how = f"joins build {build_id}, which makes the same image" if joined else f"build {build_id}"
            what, _, more = verdict.sentence.partition(". ")
            sentence = f"{what.removesuffix('.')}: {how}." + (more and f" {more}")
        decided: list[tuple[Job | None, int]] = []
        concerned: Sequence[Job | None] = of_source or [None]  # a build service may have no job
        for job in concerned:
            decision_id = decisions.record(
                tx,
                at=now,
                event=(EventType.PUSH, delivery.event_id),
                project_id=source.project_id,
                job_id=job.id if job else None,
                verdict=Verdict.BUILT if isinstance(verdict, Go) else verdict.verdict,
                rule=verdict.rule,
                sentence=sentence,
                inputs=verdict.inputs,
                build_id=build_id or _build_named(verdict),
            )
            decided.append((job, decision_id))
        follows = build_id or _build_named(verdict)
        return build_id, notes_of_push(push, source, decided, follows, verdict.rule, sentence)

    def _start_again(self, delivery: Delivery) -> None:
        asked, now = asked_by(delivery, self.forges), self.clock.now()
        with self.db.write() as tx:
            if deliveries.is_held(tx, delivery):
                said = start_again(tx, self.names, self.vault, asked, delivery.scopes, now)
                deliveries.settle(tx, delivery.id, "processed", said, now, sha=asked.sha)

    def _give_up(self, delivery: Delivery, sentence: str) -> None:
        with self.db.write() as tx:
            if deliveries.is_held(tx, delivery):
                deliveries.settle(tx, delivery.id, "failed", sentence, self.clock.now())

    def _wait(self, delivery: Delivery, sentence: str) -> None:
        """Let a delivery wait for room on our own disk, without counting a try."""
        later = self.clock.now() + DISK_RETRY
        with self.db.write() as tx:
            deliveries.wait(tx, delivery, sentence, later)

    def _try_again(self, delivery: Delivery, sentence: str) -> None:
        if delivery.tries >= TRIES:
            self._give_up(delivery, sentence)
            return
        later = self.clock.now() + timedelta(seconds=5 * 4 ** (delivery.tries - 1))
        with self.db.write() as tx:
            deliveries.try_later(tx, delivery, sentence, later)


def _of_dead_servers(delivery: Delivery) -> str:
    before = f" An earlier try ended with: {delivery.sentence}" if delivery.sentence else ""
    return (
        f"Given up: {delivery.crashes} times the server was killed, or failed, while it processed this, although"
        " nothing else was under suspicion any more."
        f"{before} Replay the delivery to try it again."
    )


def _maybe_late(tx: Tx, push: Push, tracked: Tracked) -> list[tuple[Source, str | None, frozenset[str]]]:
    """Return a source to ask by, the newest commit and all known ones, where only Git can tell if a push is late.

    A forced push may go back to a commit that others hold, so of those nothing is asked.
    """
    asked: dict[tuple[int, str], tuple[Source, str | None, frozenset[str]]] = {}
    for source, _ in tracked:
        place = (source.project_id, source.repo_key)
        if source.branch != push.branch or push.forced or push.after is None or place in asked:
            continue
        history = movements.known(tx, *place, push.ref)
        before, after = push.before, push.after
        if is_connected(history, before, after) or is_repeated(history, before, after):
            continue
        known = {each.after for each in history if each.after not in (None, after)}
        asked[place] = (source, history[0].after, frozenset(sha for sha in known if sha))
    return list(asked.values())


def _built_by_hand(tx: Tx, push: Push, source: Source) -> int | None:
    """The build that somebody asked for of a commit that no hook told of, since the last known one of its branch."""
    if push.found_at is None or push.after is None:
        return None
    newest = movements.newest_taken(tx, source.id, source.repo_key, push.ref)
    return builds.since(tx, source.id, push.ref, push.after, 0 if newest is None else newest.position)


def _movement(
    tx: Tx, delivery: Delivery, push: Push, source: Source, contained_in: frozenset[str]
) -> tuple[Movement, bool]:
    """`place_of`, and from now on the source has taken the movement."""
    movement, repeated = place_of(tx, push, source, delivery, contained_in)
    if push.pull_request is not None:
        return movement, repeated
    known = movements.of_delivery(tx, delivery.id, source)
    if not repeated and (known is None or not known[1]):
        taken = replace(movement, is_found=push.found_at is not None)
        movements.take(tx, source, push.ref, taken, delivery.id)
    return movement, repeated


def _build_named(verdict: Go | Skip) -> int | None:
    """The build that there was already, where a verdict was made because of it."""
    build = verdict.inputs.get("build")
    return build if isinstance(build, int) else None
