"""Claims of builds and runs on SQLite and PostgreSQL: who takes which, and that an old token changes nothing."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from app.domain.builds import BuildReason, BuildStatus
from app.domain.job.records import Job
from app.domain.runs import Again, Cancel, Final, Outcome, Reason, RunStatus
from app.store import builds, run_attempts, runs
from app.store.claims import DEAD_AFTER, expire_servers, heartbeat, register_server
from app.store.database import Database
from tests.support.stored import NOW, add_build, add_job, add_run


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
        attempt = run_attempts.begin_attempt(tx, old, NOW)
        assert attempt is not None
        (container,) = run_attempts.containers_of(tx, attempt.id)
    with db.write() as tx:
        (new,) = runs.taken_over(tx, "alive", frozenset())
    outcome = Outcome(None, 0, "Exited with code 0.")
    final = Final(RunStatus.SUCCEEDED, None, "Exited with code 0.")
    with db.write() as tx:
        assert (runs.is_claimed(tx, old), runs.is_claimed(tx, new)) == (False, True)
        assert run_attempts.begin_attempt(tx, old, NOW) is None
        assert not run_attempts.container_started(tx, old, container, {}, NOW)
        assert not run_attempts.container_ended(tx, old, container, outcome, NOW)
        assert not run_attempts.conclude(tx, old, attempt, outcome, final, NOW)
        assert not runs.fix_image(tx, old, NOW)
        assert run_attempts.conclude(tx, new, attempt, outcome, final, NOW)
        assert not run_attempts.conclude(tx, new, attempt, outcome, final, NOW)
    with db.read() as tx:
        run = runs.with_id(tx, 1)
        (attempt,) = run_attempts.attempts_of(tx, 1)
        (container,) = run_attempts.containers_of(tx, attempt.id)
    assert (run.status, run.attempts, run.succeeded, run.active) == (RunStatus.SUCCEEDED, 1, 1, 0)
    assert (attempt.status, container.finished_at) == (RunStatus.SUCCEEDED, None)


def test_a_failed_attempt_is_counted_and_the_run_waits(db: Database, job: Job) -> None:
    add_run(db, job)
    later = NOW + timedelta(seconds=10)
    with db.write() as tx:
        run = runs.claim(tx, "a", NOW)
        assert run is not None
        attempt = run_attempts.begin_attempt(tx, run, NOW)
        failure = Outcome(Reason.EXIT_NONZERO, 3, "Exited with code 3.")
        assert run_attempts.conclude(tx, run, attempt, failure, Again(later, "Again."), NOW)
    with db.write() as tx:
        assert runs.claim(tx, "a", NOW) is None
        again = runs.claim(tx, "a", later)
        assert again is not None
        second = run_attempts.begin_attempt(tx, again, later)
    assert second is not None
    assert (again.failed, again.attempts, second.number) == (1, 1, 2)


def test_an_interrupted_attempt_is_not_over(db: Database, job: Job) -> None:
    add_run(db, job)
    with db.write() as tx:
        run = runs.claim(tx, "a", NOW)
        assert run is not None
        attempt = run_attempts.begin_attempt(tx, run, NOW)
        run_attempts.conclude(tx, run, attempt, Outcome(Reason.INTERRUPTED), Again(NOW, "Again."), NOW)
    with db.read() as tx:
        (attempt,) = run_attempts.attempts_of(tx, 1)
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
    limit = DEAD_AFTER.seconds
    servers = {"dead": 0, "silent": -limit - 1, "alive": 1 - limit, "me": 0}
    with db.write() as tx:
        for server, seconds in servers.items():
            register_server(tx, server, "host", 1, NOW + timedelta(seconds=seconds))
        claims = {}
        for owner in ("dead", "silent", "alive", "me", "me", "unheard-of"):
            run = runs.claim(tx, owner, NOW)
            assert run is not None
            claims[run.name] = run
    with db.write() as tx:
        assert expire_servers(tx, NOW, alone=False, me="me") == ["silent"]
        taken = runs.taken_over(tx, "me", {(claims["me"].id, claims["me"].token)})
    assert [run.name for run in taken] == ["silent", "me-lost", "unheard-of"]
    with db.write() as tx:
        assert sorted(expire_servers(tx, NOW, alone=True, me="me")) == ["alive", "dead"]
        assert not heartbeat(tx, "dead", NOW)
        assert heartbeat(tx, "me", NOW)
        mine = {(run.id, run.token) for run in (claims["me"], *taken)}
        assert [run.name for run in runs.taken_over(tx, "me", mine)] == ["dead", "alive"]


def test_what_was_begun_on_an_engine_is_gone_on_with_by_who_reaches_it(db: Database, job: Job) -> None:
    add_run(db, job, "begun")
    with db.write() as tx:
        run = runs.claim(tx, "dead", NOW, "first")
        assert run is not None
        attempt = run_attempts.begin_attempt(tx, run, NOW, engine="first")
    with db.write() as tx:
        assert runs.taken_over(tx, "other", frozenset(), engine="second") == []
        assert runs.taken_over(tx, "other", frozenset(), engine="") == [], "it has not answered yet"
        (run,) = runs.taken_over(tx, "same", frozenset(), engine="first")
    with db.write() as tx:
        outcome = Outcome(Reason.INTERRUPTED)
        run_attempts.conclude(tx, run, attempt, outcome, Again(NOW, "It goes on."), NOW)
        assert runs.claim(tx, "other", NOW, "second") is None
        run = runs.claim(tx, "same", NOW, "first")
        assert run is not None
        again = Outcome(Reason.EXIT_NONZERO, exit_code=1)
        run_attempts.conclude(tx, run, attempt, again, Again(NOW, "It is tried again."), NOW)
        assert runs.claim(tx, "other", NOW, "second") is not None, "nothing of it is left there"


def test_a_forced_end_of_what_nobody_reaches_is_anybody_s_to_bring_about(db: Database, job: Job) -> None:
    add_run(db, job, "begun")
    with db.write() as tx:
        run = runs.claim(tx, "dead", NOW, "first")
        assert run is not None
        run_attempts.begin_attempt(tx, run, NOW, engine="first")
        for _ in range(2):
            assert runs.taken_over(tx, "other", frozenset(), engine="second") == []
            runs.cancel(tx, run, Reason.CANCELLED, "Somebody cancelled it.", NOW)
    with db.write() as tx:
        assert [each.name for each in runs.taken_over(tx, "other", frozenset(), engine="second")] == ["begun"]
