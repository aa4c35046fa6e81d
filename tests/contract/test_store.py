"""The store's contract, on SQLite and on PostgreSQL."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError

from app.domain.builds import BuildReason, BuildStatus
from app.domain.decisions import EventType, Verdict
from app.domain.errors import Conflict, NotFound, UserError
from app.domain.job.records import Deployed, Job
from app.domain.runs import Again, Cancel, Final, Outcome, Reason, RunStatus
from app.store import builds, deaths, decisions, deliveries, jobs, projects, runs
from app.store.claims import bury_dead_servers, heartbeat, register_server
from app.store.database import Database, StoreUnavailable, Tx
from app.store.deliveries import Delivery, NewDelivery
from app.store.inbox import Inbox
from app.store.schema import SourceRow, metadata
from tests.support.databases import migrated
from tests.support.loops import spec_of
from tests.support.stored import NOW, SOURCE, add_build, add_job, add_run

FULL_DISK_BYTES = 2 * 1024 * 1024


def delivery(guid: str, body: bytes = b"{}", lane: str = "1:github.com/acme/report") -> NewDelivery:
    return NewDelivery("github", guid, "push", False, ("project:1",), body, "acme/report", NOW, lane)


# deliveries


def test_a_delivery_is_recorded_once(db: Database) -> None:
    batch = [delivery("a", b"first"), delivery("b"), delivery("a", b"again")]
    assert deliveries.record(db, batch) == {("github", "a"), ("github", "b")}
    assert deliveries.record(db, [delivery("b"), delivery("c")]) == {("github", "c")}
    assert deliveries.record(db, [delivery("c")]) == set()
    with db.read() as tx:
        assert [each.guid for each in deliveries.page(tx, 10)] == ["c", "b", "a"]
        assert deliveries.find(tx, "a").body == b"first"
        with pytest.raises(NotFound):
            deliveries.find(tx, "x")


def test_many_at_once_are_each_recorded_once_and_answered(db: Database) -> None:
    inbox = Inbox(db)
    guids = [str(number % 40) for number in range(400)]
    with ThreadPoolExecutor(16) as pool:
        new = list(pool.map(lambda guid: (guid, inbox.put_and_wait(delivery(guid))), guids))
    inbox.close()
    assert Counter(guid for guid, is_new in new if is_new) == Counter({str(n): 1 for n in range(40)})
    with db.read() as tx:
        assert len(deliveries.page(tx, 1000)) == 40


def test_a_broken_delivery_does_not_take_others_with_it(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that the database refuses is answered with its error; what arrived beside it is stored."""
    inbox = Inbox(db)
    answers: dict[str, bool | Exception] = {}
    done = threading.Semaphore(0)
    bad = NewDelivery("github", "bad", "push", False, (), None, "", NOW)  # type: ignore[arg-type]

    def put(each: NewDelivery) -> None:
        def answer(result: bool | Exception) -> None:
            answers[each.guid] = result
            done.release()

        inbox.put(each, answer)

    with db.write():  # holds the turn, where there is one, until all of them wait
        for each in (delivery("a"), bad, delivery("b")):
            put(each)
    for _ in range(3):
        assert done.acquire(timeout=10)
    inbox.close()
    assert (answers["a"], answers["b"]) == (True, True)
    assert isinstance(answers["bad"], Exception)


def test_an_answer_that_fails_does_not_stop_the_inbox(db: Database) -> None:
    def answer(_: object) -> None:
        raise RuntimeError("the caller is gone")

    inbox = Inbox(db)
    inbox.put(delivery("a"), answer)
    assert inbox.put_and_wait(delivery("b")) is True
    inbox.close()


def claimed(tx: Tx, now: datetime = NOW, owner: str = "one", *, asks_git: bool = False) -> Delivery | None:
    """The next delivery, if there is one."""
    found = deliveries.next_waiting(tx, now, asks_git=asks_git)
    return deliveries.claim(tx, found[0][0], owner) if found else None


def test_deliveries_of_a_lane_are_taken_in_order_and_settled_once(db: Database) -> None:
    deliveries.record(db, [delivery("a"), delivery("b"), delivery("other", lane="2:else")])
    with db.write() as tx:
        first = claimed(tx)
        assert first is not None
        deliveries.try_later(tx, first, "Git is down.", NOW + timedelta(seconds=5))
    with db.write() as tx:
        other = claimed(tx)
        assert other is not None
        assert (first.guid, other.guid) == ("a", "other")
        assert deliveries.settle(tx, other.id, "processed", "Done.", NOW)
    with db.write() as tx:
        assert not deliveries.settle(tx, other.id, "failed", "Never.", NOW)
        deliveries.try_later(tx, other, "Never.", NOW)
        assert not deliveries.is_held(tx, other)
        assert claimed(tx) is None  # b waits for a, which waits for its time
        again = claimed(tx, NOW + timedelta(seconds=5))
        assert again is not None
        assert (again.guid, again.tries) == ("a", 2)
        assert claimed(tx, NOW + timedelta(seconds=5)) is None  # b waits for a, which is at work
        deliveries.settle(tx, again.id, "failed", "Given up.", NOW)
        last = claimed(tx)
        assert last is not None
        assert last.guid == "b"


def test_a_claim_holds_until_the_delivery_is_let_go(db: Database) -> None:
    deliveries.record(db, [delivery("a")])
    with db.write() as tx:
        first = claimed(tx)
        assert first is not None
        assert deliveries.claim(tx, first.id, "two") is None
        deliveries.hand_to_git(tx, first)
        assert not deliveries.is_held(tx, first)
        assert claimed(tx) is None
        asking = claimed(tx, owner="two", asks_git=True)
        assert asking is not None
        assert (asking.tries, asking.asks_git, deliveries.is_held(tx, first)) == (1, True, False)
        assert deliveries.lanes_of(tx, "two") == [asking.lane]
        deliveries.release(tx, "two", {(asking.id, asking.token)})
        assert deliveries.is_held(tx, asking)
        deliveries.release(tx, "two")
        assert not deliveries.is_held(tx, asking)
        assert deliveries.find(tx, "a").tries == 0


def test_what_a_dead_server_had_in_hand_is_counted_once_and_waits_again(db: Database, job: Job) -> None:
    deliveries.record(db, [delivery("a")])
    add_build(db, job)
    add_run(db, job)
    for count in (1, 2, 3):
        with db.write() as tx:
            register_server(tx, "alive", "here", 1, NOW)
            first = claimed(tx, owner="alive")
            assert first is not None
            build = builds.claim(tx, "alive", NOW)
            assert build is not None
            assert count > 1 or runs.claim(tx, "alive", NOW) is not None
            assert not deaths.count(tx, "other")
            assert deliveries.is_held(tx, first)
            bury_dead_servers(tx, NOW + timedelta(hours=1), alone=True, me="other")
            assert deaths.count(tx, "other")
            assert not deaths.count(tx, "other")
            assert not deliveries.is_held(tx, first)
            assert deliveries.find(tx, "a").tries == 0
            assert [each.deaths for each in builds.taken_over(tx, "other", frozenset())] == [count]
            assert builds.put_back(tx, builds.with_id(tx, build.id), "Again.", NOW)
            assert [each.deaths for each in runs.page(tx, limit=9)] == [1]
    with db.write() as tx:
        deaths.hold_back(tx, NOW)
        assert claimed(tx) is None
        assert builds.claim(tx, "other", NOW) is None
        assert builds.claim(tx, "other", NOW + timedelta(minutes=1)) is not None
        assert deaths.next_suspect(tx, timedelta(hours=1)) is None
        deaths.let_go(tx, "other")
        assert not deaths.count(tx, "yet another")


def test_a_replay_is_an_event_of_its_own(db: Database) -> None:
    deliveries.record(db, [delivery("a")])
    with db.write() as tx:
        found = claimed(tx)
        assert found is not None
        deliveries.settle(tx, found.id, "failed", "Broken.", NOW)
        deliveries.reopen(tx, found.id)
        again = claimed(tx)
    assert again is not None
    assert (found.event_id, again.event_id, again.tries) == ("a", "a~1", 1)


# claims and transitions


@pytest.mark.parametrize("kind", ["builds", "runs"])
def test_racing_claims_take_each_row_once(db: Database, job: Job, kind: str) -> None:
    count = 40
    for number in range(count):
        if kind == "runs":
            add_run(db, job, f"report-{number}")
        else:
            add_build(db, job, key=str(number), url=f"https://example.com/{number}")
    barrier = threading.Barrier(4)

    def take(owner: int) -> list[int]:
        taken = []
        barrier.wait()
        while True:
            with db.write() as tx:
                claim = runs.claim if kind == "runs" else builds.claim
                claimed = claim(tx, f"server-{owner}", NOW)
            if claimed is None:
                return taken
            taken.append(claimed.id)

    with ThreadPoolExecutor(4) as pool:
        taken = [id_ for found in pool.map(take, range(4)) for id_ in found]
    assert sorted(taken) == list(range(1, count + 1))


def test_what_waited_longest_is_claimed_first_and_not_before_its_time(db: Database, job: Job) -> None:
    late = add_build(db, job, key="late", now=NOW + timedelta(seconds=1), url="https://example.com/late")
    early = add_build(db, job, key="early")
    with db.write() as tx:
        assert builds.due_at(tx) == NOW
        first = builds.claim(tx, "a", NOW)
        assert builds.claim(tx, "a", NOW) is None
        second = builds.claim(tx, "a", NOW + timedelta(seconds=1))
        assert builds.due_at(tx) is None
    assert (first and first.id, second and second.id) == (early, late)


@pytest.mark.parametrize("kind", ["runs", "builds"])
def test_the_project_with_fewest_at_work_is_next(db: Database, job: Job, kind: str) -> None:
    """However much one of them has queued, and however long its own take."""
    other = add_job(db, "other", "elsewhere")
    claim = runs.claim if kind == "runs" else builds.claim
    owners: dict[int, str] = {}

    def add(of: Job, number: int) -> None:
        if kind == "runs":
            id_ = add_run(db, of, f"{of.project}-{number}")
        else:
            id_ = add_build(
                db, of, key=f"{of.project}-{number}", url=f"https://example.com/{of.project}/{number}"
            )
        owners[id_] = of.project

    for number in range(6):
        add(job, number)
    for number in range(2):
        add(other, number)
    taken = []
    for _ in range(8):
        with db.write() as tx:
            found = claim(tx, "a", NOW)
        assert found is not None
        taken.append(owners[found.id])
    mine, theirs = "reports", "elsewhere"
    assert taken == [mine, theirs, mine, theirs, mine, mine, mine, mine]


def test_one_build_of_a_repository_is_fetched_at_a_time(db: Database, job: Job) -> None:
    for number in range(2):
        add_build(db, job, key=str(number))
    other = add_build(db, job, key="other", url="https://example.com/other")
    third = add_build(db, job, key="third", url="https://example.com/third")
    with db.write() as tx:
        first, second = builds.claim(tx, "a", NOW, 2), builds.claim(tx, "a", NOW, 2)
        assert first is not None
        assert second is not None
        assert second.id == other
        assert (
            builds.claim(tx, "a", NOW, 2) is None
        )  # so many of the project wait for Git servers on this server
        elsewhere = builds.claim(tx, "b", NOW, 2)
        assert elsewhere is not None
        assert elsewhere.id == third
        assert builds.save_plan(tx, first, sha="a" * 40, plan={}, dockerfile="")
        again = builds.claim(tx, "a", NOW, 2)
        assert again is not None
        assert again.url == first.url


def test_an_old_token_changes_no_build(db: Database, job: Job) -> None:
    add_build(db, job)
    with db.write() as tx:
        old = builds.claim(tx, "dead", NOW)
    assert old is not None
    with db.write() as tx:
        (new,) = builds.taken_over(tx, "alive", frozenset())
    with db.write() as tx:
        assert not builds.succeed(tx, old, image="i", digest="d", now=NOW)
        assert not builds.fail(tx, old, BuildReason.BUILD_FAILED, "No.", NOW)
        assert not builds.put_back(tx, old, "No.", NOW)
        assert not builds.end_cancelled(tx, old, NOW)
        assert not builds.save_plan(tx, old, sha="a" * 40, plan={}, dockerfile="")
        assert not builds.save_steps(tx, old, [])
        assert builds.succeed(tx, new, image="i", digest="d", now=NOW)
        assert not builds.fail(tx, new, BuildReason.BUILD_FAILED, "It is over.", NOW)
    with db.read() as tx:
        assert builds.with_id(tx, 1).status is BuildStatus.SUCCEEDED


def test_an_old_token_changes_no_run(db: Database, job: Job) -> None:
    add_run(db, job)
    with db.write() as tx:
        old = runs.claim(tx, "dead", NOW)
        assert old is not None
        attempt = runs.begin_attempt(tx, old, NOW)
        assert attempt is not None
        (container,) = runs.containers_of(tx, attempt.id)
    with db.write() as tx:
        (new,) = runs.taken_over(tx, "alive", frozenset())
    outcome = Outcome(None, 0, "Exited with code 0.")
    final = Final(RunStatus.SUCCEEDED, None, "Exited with code 0.")
    with db.write() as tx:
        assert (runs.is_claimed(tx, old), runs.is_claimed(tx, new)) == (False, True)
        assert runs.begin_attempt(tx, old, NOW) is None
        assert not runs.container_started(tx, old, container, {}, NOW)
        assert not runs.container_ended(tx, old, container, outcome, NOW)
        assert not runs.conclude(tx, old, attempt, outcome, final, NOW)
        assert not runs.fix_image(tx, old, NOW)
        assert runs.conclude(tx, new, attempt, outcome, final, NOW)
        assert not runs.conclude(tx, new, attempt, outcome, final, NOW)
    with db.read() as tx:
        run = runs.with_id(tx, 1)
        (attempt,) = runs.attempts_of(tx, 1)
        (container,) = runs.containers_of(tx, attempt.id)
    assert (run.status, run.attempts, run.succeeded, run.active) == (RunStatus.SUCCEEDED, 1, 1, 0)
    assert (attempt.status, container.finished_at) == (RunStatus.SUCCEEDED, None)


def test_a_failed_attempt_is_counted_and_the_run_waits(db: Database, job: Job) -> None:
    add_run(db, job)
    later = NOW + timedelta(seconds=10)
    with db.write() as tx:
        run = runs.claim(tx, "a", NOW)
        assert run is not None
        attempt = runs.begin_attempt(tx, run, NOW)
        failure = Outcome(Reason.EXIT_NONZERO, 3, "Exited with code 3.")
        assert runs.conclude(tx, run, attempt, failure, Again(later, "Again."), NOW)
    with db.write() as tx:
        assert runs.claim(tx, "a", NOW) is None
        again = runs.claim(tx, "a", later)
        assert again is not None
        second = runs.begin_attempt(tx, again, later)
    assert second is not None
    assert (again.failed, again.attempts, second.number) == (1, 1, 2)


def test_an_interrupted_attempt_is_not_over(db: Database, job: Job) -> None:
    add_run(db, job)
    with db.write() as tx:
        run = runs.claim(tx, "a", NOW)
        assert run is not None
        attempt = runs.begin_attempt(tx, run, NOW)
        runs.conclude(tx, run, attempt, Outcome(Reason.INTERRUPTED), Again(NOW, "Again."), NOW)
    with db.read() as tx:
        (attempt,) = runs.attempts_of(tx, 1)
        assert (attempt.status, runs.with_id(tx, 1).interruptions) == (RunStatus.RUNNING, 1)


def test_cancelling_a_run(db: Database, job: Job) -> None:
    queued, running = add_run(db, job, "queued"), add_run(db, job, "running")

    def cancel(run_id: int, reason: Reason = Reason.CANCELLED) -> Cancel | None:
        with db.write() as tx:
            asked = runs.cancel(tx, runs.with_id(tx, run_id), reason, f"{reason} by ada.", NOW)
        return None if asked is None else asked.cancel

    assert cancel(queued) is Cancel.OVER
    assert cancel(queued) is None
    with db.write() as tx:
        run = runs.claim(tx, "a", NOW)
    assert run is not None
    assert run.id == running
    assert cancel(running, Reason.REPLACED) is Cancel.ASKED
    with db.read() as tx:
        assert running in runs.cancel_requested(tx, [queued, running])
        found = runs.with_id(tx, running)
    assert (found.status, found.cancel_reason) == (RunStatus.RUNNING, Reason.REPLACED)


def test_cancelling_a_build(db: Database, job: Job) -> None:
    build_id = add_build(db, job)
    with db.write() as tx:
        assert builds.claim(tx, "a", NOW)
        asked = builds.cancel(tx, builds.with_id(tx, build_id), BuildReason.CANCELLED, "By ada.", NOW)
        assert asked == builds.with_id(tx, build_id)
        assert asked.status is BuildStatus.RUNNING
        assert builds.cancel_is_requested(tx, build_id)
        ended = builds.end_cancelled(tx, builds.with_id(tx, build_id), NOW)
        assert ended == builds.with_id(tx, build_id)
        assert (ended.status, ended.sentence) == (BuildStatus.CANCELLED, "By ada.")
        assert builds.cancel(tx, builds.with_id(tx, build_id), BuildReason.CANCELLED, "By ada.", NOW) is None


def test_only_what_nobody_works_on_is_taken_over(db: Database, job: Job) -> None:
    for name in ("dead", "silent", "alive", "me", "me-lost", "unheard-of"):
        add_run(db, job, name)
    servers = {"dead": 0, "silent": -31, "alive": -29, "me": 0}
    with db.write() as tx:
        for server, seconds in servers.items():
            register_server(tx, server, "host", 1, NOW + timedelta(seconds=seconds))
        claims = {}
        for owner in ("dead", "silent", "alive", "me", "me", "unheard-of"):
            run = runs.claim(tx, owner, NOW)
            assert run is not None
            claims[run.name] = run
    with db.write() as tx:
        assert bury_dead_servers(tx, NOW, alone=False, me="me") == ["silent"]
        taken = runs.taken_over(tx, "me", {(claims["me"].id, claims["me"].token)})
    assert [run.name for run in taken] == ["silent", "me-lost", "unheard-of"]
    with db.write() as tx:
        assert sorted(bury_dead_servers(tx, NOW, alone=True, me="me")) == ["alive", "dead"]
        assert not heartbeat(tx, "dead", NOW)
        assert heartbeat(tx, "me", NOW)
        mine = {(run.id, run.token) for run in (claims["me"], *taken)}
        assert [run.name for run in runs.taken_over(tx, "me", mine)] == ["dead", "alive"]


# builds and their sources


def test_equal_builds_are_joined_while_they_are_open(db: Database, job: Job) -> None:
    other = add_job(db, "other")
    elsewhere = add_job(db, "other", "elsewhere")
    assert other.source is not None
    assert elsewhere.source is not None
    build_id = add_build(db, job, position=5)

    def join(project_id: int, source_id: int, key: str = "key") -> int | None:
        with db.write() as tx:
            joined = builds.join_equal(tx, key, project_id, source_id, 7)
            return None if joined is None else joined.id

    assert join(elsewhere.project_id, elsewhere.source.id) is None
    assert join(other.project_id, other.source.id, "another") is None
    assert [join(other.project_id, other.source.id) for _ in range(2)] == [build_id, build_id]
    with db.write() as tx:
        assert builds.sources_of(tx, build_id) == [job.source.id if job.source else 0, other.source.id]
        build = builds.claim(tx, "a", NOW)
        assert build is not None
        assert build.position == 7
        builds.cancel(tx, builds.with_id(tx, build_id), BuildReason.CANCELLED, "By ada.", NOW)
    assert join(other.project_id, other.source.id) is None


def test_the_latest_build_is_that_of_the_newest_push(db: Database, job: Job) -> None:
    assert job.source is not None
    for key, position in (("b", 2), ("a", 1), ("c", 3)):
        add_build(db, job, key=key, sha=key * 40, position=position)
    with db.write() as tx:
        for _ in range(2):
            build = builds.claim(tx, "x", NOW)
            assert build is not None
            builds.succeed(tx, build, image=build.key, digest=build.key, now=NOW)
        latest = builds.latest_succeeded(tx, job.source.id, "refs/heads/main")
        assert builds.latest_succeeded(tx, job.source.id, "refs/heads/other") is None
    assert latest is not None
    assert latest.key == "b"


@pytest.mark.parametrize(
    ("policy", "has_newer", "is_dropped"),
    [("latest", True, True), ("latest", False, False), ("all", True, False), ("all", False, False)],
)
def test_a_shared_build_is_dropped_when_no_source_wants_it(
    db: Database, job: Job, policy: str, has_newer: bool, is_dropped: bool
) -> None:
    assert job.source is not None
    other = add_job(db, "other")
    assert other.source is not None
    ids = [add_build(db, job, key=str(position), position=position) for position in (1, 2, 3)]
    with db.write() as tx:
        tx.get_one(SourceRow, other.source.id).builds_in_flight = policy
        builds.join_equal(tx, "1", job.project_id, other.source.id, 1)
        if has_newer:
            builds.join_equal(tx, "3", job.project_id, other.source.id, 3)
        found = builds.no_longer_wanted(tx, job.source.id, "refs/heads/main", 3)
    assert sorted(found) == (ids[:2] if is_dropped else [ids[1]])


# decisions


def test_one_decision_for_an_event_and_a_job(db: Database, job: Job) -> None:
    def decide(event_id: str, job_id: int | None = job.id) -> int:
        with db.write() as tx:
            return decisions.record(
                tx,
                at=NOW,
                event=(EventType.PUSH, event_id),
                project_id=job.project_id,
                job_id=job_id,
                verdict=Verdict.SKIPPED,
                rule="tag",
                sentence="Tags don't build.",
            )

    first = decide("a")
    with pytest.raises(IntegrityError):
        decide("a")
    second = decide("b")
    other = decide("a", add_job(db, "other").id)
    with db.read() as tx:
        assert [each.id for each in decisions.page(tx, limit=9)] == [other, second, first]
        assert [
            each.id for each in decisions.page(tx, limit=9, event=(EventType.PUSH, "a"), job_id=job.id)
        ] == [first]


# jobs and projects


def test_names_of_jobs_are_free_again_after_deletion(db: Database, job: Job) -> None:
    with pytest.raises(Conflict, match="named report"):
        add_job(db)
    add_run(db, job)
    with db.write() as tx:
        jobs.delete(tx, job.id, NOW)
    again = add_job(db)
    assert again.id != job.id
    with db.read() as tx:
        assert jobs.named(tx, "reports", "report").id == again.id
        assert runs.with_id(tx, 1).job == "report"
        assert [each.id for each in jobs.page(tx)] == [again.id]
        with pytest.raises(Conflict, match="was deleted"):
            jobs.still_there(tx, job.id)


def test_redefining_keeps_what_is_deployed(db: Database, job: Job) -> None:
    deployed = Deployed("sha256:abc", "sha256:abc", None, "a" * 40, "By hand.", NOW, 7)
    with db.write() as tx:
        jobs.deploy(tx, job.id, deployed)
        source = replace(SOURCE, branch="release")
        changed = jobs.redefine(tx, job.id, spec_of("report", cd_enabled=False), source, NOW)
    assert (changed.deployed, changed.cd_enabled) == (deployed, False)
    assert changed.source is not None
    assert job.source is not None
    assert (changed.source.id, changed.source.branch) == (job.source.id, "release")


def test_a_source_of_its_own_goes_with_the_jobs_last_use_of_it(db: Database, job: Job) -> None:
    """A webhook secret that nothing uses any more must not open the door."""
    with db.write() as tx:
        jobs.redefine(tx, job.id, spec_of("report", source={"type": "none"}), None, NOW)
    with db.read() as tx:
        assert projects.repositories_in_scope(tx) == {}


def test_tracking_is_bounded_by_what_the_secret_speaks_for(db: Database, job: Job) -> None:
    other = add_job(db, "report", "elsewhere")
    add_job(db, "unrelated", repo_key="github.com/acme/other")
    assert job.source is not None
    assert other.source is not None
    keys = [SOURCE.repo_key]

    def tracked(*scopes: str) -> list[int]:
        with db.read() as tx:
            return [job.id for _, found in jobs.tracking(tx, keys, scopes) for job in found]

    assert tracked(f"project:{job.project_id}") == [job.id]
    assert tracked(f"source:{other.source.id}") == [other.id]
    assert tracked(f"project:{job.project_id}", f"source:{other.source.id}") == [job.id, other.id]
    assert tracked("project:99") == tracked() == []


# migrations


def test_the_newest_revision_is_what_the_tables_say(make: Callable[..., str]) -> None:
    db = migrated(make(empty=True))
    with db._engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "render_as_batch": True})
        assert compare_metadata(context, metadata) == []
    db.migrate()
    db.close()


def test_a_database_of_a_newer_version_is_refused(make: Callable[..., str]) -> None:
    db = Database(make())
    with db.write() as tx:
        tx.connection().execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(UserError, match=r"revision 9999, which this version of Jobyard doesn't know"):
        db.migrate()
    db.close()


# the database itself


def test_a_transaction_is_all_or_nothing_and_told_of_once(make: Callable[..., str]) -> None:
    told: list[frozenset[str]] = []
    db = Database(make(), told.append)

    def fail_late() -> None:
        with db.write() as tx:
            projects.create(tx, "lost", None, NOW)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_late()
    with db.write() as tx:
        projects.create(tx, "kept", None, NOW)
    with db.read() as tx:
        assert [each.name for each in projects.page(tx, 9, None)] == ["kept"]
    assert told == [frozenset({"projects"})]
    db.close()


def test_times_are_aware_utc(db: Database) -> None:
    here = datetime.fromisoformat("2026-07-01T14:00:00.123456+02:00")
    with db.write() as tx:
        made = projects.create(tx, "reports", None, here)
    with db.read() as tx:
        found = projects.with_id(tx, made.id).created_at
    assert (found, found.tzinfo) == (here, UTC)
    with pytest.raises(Exception, match="naive"), db.write() as tx:
        projects.create(tx, "naive", None, here.replace(tzinfo=None))


def test_a_database_that_is_not_there_is_said(tmp_path: Path) -> None:
    for url in (f"sqlite:///{tmp_path / 'missing' / 'x.db'}", f"postgresql://postgres@/x?host={tmp_path}"):
        db = Database(url)
        with pytest.raises(StoreUnavailable, match="JOBYARD_DATABASE_URL"):
            db.check()
        db.close()


# SQLite alone


@pytest.fixture
def sqlite(tmp_path: Path, sqlite_template: Path) -> Iterator[Database]:
    shutil.copy(sqlite_template, tmp_path / "jobyard.db")
    db = Database(f"sqlite:///{tmp_path / 'jobyard.db'}")
    yield db
    db.close()


def test_sqlite_is_durable_and_checks_references(sqlite: Database) -> None:
    with sqlite.read() as tx:
        pragmas = {
            name: tx.connection().execute(text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 5000}


def test_every_writing_transaction_begins_as_one(sqlite: Database) -> None:
    said: list[str] = []
    event.listen(sqlite._engine, "before_cursor_execute", lambda *args: said.append(args[2]))
    event.listen(sqlite._engine, "begin", lambda connection: said.append("a transaction"))
    job = add_job(sqlite)
    add_run(sqlite, job)
    with sqlite.read() as tx:
        runs.with_id(tx, 1)
    begun = ""
    for statement in said:
        verb = statement.split()[0]
        if statement.startswith("BEGIN"):
            begun = statement
        elif verb in ("INSERT", "UPDATE", "DELETE"):
            assert begun == "BEGIN IMMEDIATE"
    assert begun == "BEGIN"  # of the reader


def test_a_reader_sees_one_moment_and_stops_no_writer(sqlite: Database) -> None:
    with sqlite.read() as before:
        assert list(projects.page(before, 9, None)) == []
        with sqlite.write() as tx:
            projects.create(tx, "reports", None, NOW)
        assert list(projects.page(before, 9, None)) == []
    with sqlite.read() as after:
        assert len(projects.page(after, 9, None)) == 1


def fill(ballast: Path) -> None:
    """Write until the file system is full."""
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


def test_a_full_disk_is_said_and_recovered_from(tmp_path: Path, sqlite_template: Path) -> None:
    assert os.geteuid() == 0, "mounting a small file system needs root"
    disk = tmp_path / "disk"
    disk.mkdir()
    size = f"size={FULL_DISK_BYTES}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(disk)], check=True)
    try:
        shutil.copy(sqlite_template, disk / "jobyard.db")
        db = Database(f"sqlite:///{disk / 'jobyard.db'}")
        deliveries.record(db, [delivery("first")])
        ballast = disk / "ballast"
        fill(ballast)
        inbox = Inbox(db)
        with pytest.raises(StoreUnavailable, match="full"):
            inbox.put_and_wait(delivery("second", bytes(100_000)))
        with db.read() as tx:
            assert [each.guid for each in deliveries.page(tx, 9)] == ["first"]
        ballast.unlink()
        assert inbox.put_and_wait(delivery("second", bytes(100_000)))
        inbox.close()
        db.close()
    finally:
        subprocess.run(["umount", str(disk)], check=True)
