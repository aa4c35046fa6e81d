"""Builds, decisions and jobs in the store, on SQLite and PostgreSQL."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy.exc import IntegrityError

from app.domain.builds import BuildReason
from app.domain.decisions import EventType, Verdict
from app.domain.errors import Conflict
from app.domain.job.records import Deployed, Job
from app.store import builds, decisions, jobs, projects, runs
from app.store.database import Database
from app.store.schema import SourceRow
from tests.support.samples import spec_of
from tests.support.stored import NOW, SOURCE, add_build, add_job, add_run


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
