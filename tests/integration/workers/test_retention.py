"""The loop that removes what is beyond the limits: when it is due, whose logs go, and what of SQLite's file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from app.commands.image_retention import ImageRetention, ImagesPreview
from app.domain.audit import NOBODY, Action, Entry, Subject
from app.domain.clean_ups import CacheSeen
from app.domain.held_images import CacheUse
from app.domain.job.records import Job
from app.domain.redaction import Redactor
from app.domain.retention import Kind, Limits
from app.engines.fake import FakeEngine, World
from app.logs import Stream
from app.runtime.engine_health import EngineHealth
from app.store import apps, audit, clean_ups, projects
from app.store.audit import Wanted
from app.store.database import LONG_LOG_BYTES, Database
from app.workers.retention import RetentionWorker
from tests.support.clock import Clock
from tests.support.databases import empty_sqlite, quick_sqlite
from tests.support.past import OURS, Writer, ago, deploy, ids, retention
from tests.support.stored import NOW, add_job


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    (tmp_path / "jobyard.db").write_bytes(empty_sqlite())
    db = quick_sqlite(tmp_path / "jobyard.db")
    yield db
    db.close()


@pytest.fixture
def job(db: Database) -> Job:
    return add_job(db)


def worker(db: Database, root: Path, clock: Clock, **limits: int) -> RetentionWorker:
    return RetentionWorker(db, clock, retention(db, root, Limits(**limits)))


def test_it_is_due_every_hour_and_when_it_is_asked_for(db: Database, job: Job, tmp_path: Path) -> None:
    clock = Clock(NOW)
    loop = worker(db, tmp_path, clock, count=1)

    def is_done() -> bool:
        with db.write() as tx:
            writer = Writer(tx)
            writer._number = max(ids(db)["run"], default=0) * 2
            old, new = writer.run(job, 1, "cancelled"), writer.run(job, 1, "cancelled")
        loop.step()
        assert new in ids(db)["run"]
        return old not in ids(db)["run"]

    assert is_done()
    assert not is_done()
    clock.advance(minutes=59)
    assert not is_done()
    loop.retention.ask()
    assert is_done()
    assert not is_done()
    clock.advance(minutes=61)
    assert is_done()


def test_what_it_removed_is_remembered_and_of_those_that_removed_nothing_the_newest(
    db: Database, job: Job, tmp_path: Path
) -> None:
    clock = Clock(NOW)
    loop = worker(db, tmp_path, clock, count=1)
    with db.write() as tx:
        writer = Writer(tx)
        for _ in range(3):
            writer.run(job, 1, "cancelled")
    told = []
    for _ in range(3):
        loop.step()
        with db.read() as tx:
            told.append([(each.at, dict(each.removed)) for each in clean_ups.newest(tx)])
        clock.advance(hours=1)
    full = (NOW, {"runs": 2})
    assert told == [[full], [(ago(-1 / 24), {}), full], [(ago(-2 / 24), {}), full]]


def test_a_clock_that_is_set_forward_makes_nothing_old_at_once(
    db: Database, job: Job, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock(NOW)
    loop = RetentionWorker(db, clock, replace(retention(db, tmp_path, Limits(days=90)), clock=clock))
    with db.write() as tx:
        writer = Writer(tx)
        runs = {writer.run(job, 1, "cancelled"), writer.run(job, 1, "cancelled")}
    loop.step()
    clock.advance(days=3650)
    for _ in range(24):
        loop.step()
        loop.hurry()
        clock.advance(minutes=59)
    assert ids(db)["run"] == runs
    assert "its clock is wrong; `jobyard prune` removes it now" in caplog.text
    clock.advance(days=-3650)  # it was wrong
    for _ in range(24):
        loop.step()
        clock.advance(minutes=61)
    assert ids(db)["run"] == runs
    clock.advance(days=3650)  # it was right, and the server off for ten years
    for _ in range(26):
        loop.step()
        clock.advance(minutes=61)
    assert ids(db)["run"] == set()


def test_what_is_asked_for_is_removed_whatever_the_clock_did(db: Database, job: Job, tmp_path: Path) -> None:
    clock = Clock(NOW)
    loop = RetentionWorker(db, clock, replace(retention(db, tmp_path, Limits(days=90)), clock=clock))
    with db.write() as tx:
        Writer(tx).run(job, 1, "cancelled")
    loop.step()
    clock.advance(days=3650)
    loop.step()
    loop.retention.ask()
    loop.step()
    assert ids(db)["run"] == set()


def test_of_two_servers_one_removes_rows_and_each_its_files(db: Database, job: Job, tmp_path: Path) -> None:
    clock = Clock(NOW)
    servers = [worker(db, tmp_path / name, clock, days=90) for name in ("one", "two")]
    with db.write() as tx:
        writer = Writer(tx)
        gone, kept = writer.run(job, 200, "cancelled"), writer.run(job, 1)
    for server in servers:
        storage = server.retention.log_storage
        for run in (gone, kept):
            with storage.write_attempt(run, 1, Redactor([])) as log:
                log.write(ago(1), Stream.STDOUT, b"hello\n")
    for server in servers:
        server.step()
        storage = server.retention.log_storage
        assert not storage.attempt_path(gone, 1).parent.exists()
        assert storage.attempt_path(kept, 1).exists()
    assert ids(db)["run"] == {kept}


def test_the_logs_of_a_project_that_was_deleted_go(db: Database, tmp_path: Path) -> None:
    gone, other = add_job(db, "report", "gone"), add_job(db)
    with db.write() as tx:
        writer = Writer(tx)
        run, build = writer.run(gone, 1), writer.build(gone, 1)
        writer.run(other, 1)
        writer.build(other, 1)
    loop = worker(db, tmp_path, Clock(NOW))
    storage = loop.retention.log_storage
    for path in (storage.attempt_path(run, 1), storage.build_path(build)):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"text")
        path.with_suffix(".idx").write_bytes(b"index")
    unborn = storage.attempt_path(10_000, 1)
    unborn.parent.mkdir(parents=True)
    with db.write() as tx:
        tx.connection().execute(
            text("UPDATE job SET deleted_at = created_at WHERE id = :id"), {"id": gone.id}
        )
        projects.delete(tx, gone.project_id)
    loop.step()
    assert [storage.size(kind, 1) for kind in (Kind.RUNS, Kind.BUILDS)] == [0, 0]
    assert not storage.build_path(build).exists()
    assert not storage.attempt_path(run, 1).parent.exists()
    assert unborn.parent.exists(), "its id comes again where the database was restored"


def test_expired_links_and_answers_go(db: Database, tmp_path: Path) -> None:
    with db.write() as tx:
        login = "INSERT INTO account_link (hash, kind, created_at, expires_at) VALUES (:hash, 'setup', :at, :until)"
        answer = (
            "INSERT INTO answer (principal, path, key, fingerprint, answer, created_at)"
            " VALUES ('p', '/', :key, '', '{}', :at)"
        )
        for name, days in (("old", 40), ("new", -1)):
            at = ago(days).replace(tzinfo=None).isoformat(sep=" ")
            tx.connection().execute(text(login), {"hash": name, "at": at, "until": at})
            tx.connection().execute(text(answer), {"key": name, "at": at})
    worker(db, tmp_path, Clock(NOW)).step()
    with db.read() as tx:
        assert tx.connection().execute(text("SELECT hash FROM account_link")).scalars().all() == ["new"]
        assert tx.connection().execute(text("SELECT key FROM answer")).scalars().all() == ["new"]


def test_the_file_becomes_shorter_in_steps_and_its_log_is_cut(db: Database, tmp_path: Path) -> None:
    with db.write() as tx:
        tx.connection().execute(text("CREATE TABLE ballast (x BLOB)"))
        for _ in range(4000):
            tx.connection().execute(text("INSERT INTO ballast VALUES (zeroblob(8000))"))
    with db.write() as tx:
        tx.connection().execute(text("DELETE FROM ballast"))
    file, log = tmp_path / "jobyard.db", tmp_path / "jobyard.db-wal"
    assert log.stat().st_size > LONG_LOG_BYTES
    db.cut_log()
    assert log.stat().st_size == 0
    before = file.stat().st_size
    steps = 0
    while db.give_back():
        steps += 1
    db.checkpoint()
    assert steps > 10
    assert file.stat().st_size < before / 2


def test_a_log_that_somebody_reads_is_cut_later(db: Database, tmp_path: Path) -> None:
    log = tmp_path / "jobyard.db-wal"
    with db.write() as tx:
        tx.connection().execute(text("CREATE TABLE ballast (x BLOB)"))
    with db.read() as reader:
        reader.connection().execute(text("SELECT count(*) FROM ballast")).scalar_one()
        with db.write() as tx:
            tx.connection().execute(text("INSERT INTO ballast VALUES (zeroblob(20000000))"))
        db.cut_log()
        assert log.stat().st_size > LONG_LOG_BYTES
    db.cut_log()
    assert log.stat().st_size == 0


class Images:
    """An engine that has an image of each build, and what the loop leaves of them."""

    def __init__(self, db: Database, root: Path) -> None:
        self.world = World()
        self.engine = FakeEngine(lambda: NOW, self.world)
        up = EngineHealth(is_up=True, sentence="The engine answers.")
        self.health = up
        images = ImageRetention(db, self.engine, OURS, lambda: self.health, cache_gb=1)
        self.worker = worker(db, root, Clock(NOW), days=90)
        self.worker.retention = replace(self.worker.retention, images=images)

    def hold(self, *builds: int, repository: str = OURS.repository) -> None:
        self.world.names += [f"{repository}:build-{build}-0a1b" for build in builds]

    @property
    def builds(self) -> set[int]:
        return {
            int(name.split("-")[2]) for name in self.world.names if name.startswith(f"{OURS.repository}:")
        }


def preview(place: Images) -> ImagesPreview:
    retention = place.worker.retention
    return retention.preview_of_images(retention.plan())


def test_images_go_that_nothing_needs(db: Database, job: Job, tmp_path: Path) -> None:
    place = Images(db, tmp_path)
    other = add_job(db, "other")
    with db.write() as tx:
        writer = Writer(tx)
        app_id = apps.create(tx, job.project_id, "app", NOW)
        unused, deployed, live, of_run, failed = (
            *(writer.build(job, 5) for _ in range(4)),
            writer.build(job, 4, "failed"),
        )
        newest = [writer.build(job, 3) for _ in range(10)]
        running = writer.build(other, 0, "running")
        writer.deployment(job, app_id, 2, build=live)
        writer.run(job, 0, "queued", build_id=of_run)
        deploy(tx, other, deployed)
    place.hold(unused, deployed, live, of_run, failed, *newest, running, running + 1)
    place.hold(unused, repository="jobyard-ba9876543210")
    place.world.names.append("busybox:latest")
    place.world.cache_bytes = 3 * 10**9
    shown = preview(place)
    assert (shown.going, shown.sentence) == (2, "")
    before = list(place.world.names)
    place.worker.step()
    assert place.builds == {deployed, live, of_run, *newest, running, running + 1}
    assert len(before) - len(place.world.names) == shown.going
    assert place.world.cache_bytes == 10**9
    with db.read() as tx:
        [done], seen = clean_ups.newest(tx), clean_ups.cache_seen(tx)
    assert (done.at, dict(done.removed)) == (NOW, {"images": 2, "build_cache_bytes": 2 * 10**9})
    assert seen == CacheSeen(NOW, CacheUse(1, 10**9))


def test_an_image_that_is_needed_again_meanwhile_stays(db: Database, job: Job, tmp_path: Path) -> None:
    place = Images(db, tmp_path)
    with db.write() as tx:
        builds = [Writer(tx).build(job, 5, key=f"key-{number}") for number in range(12)]
    place.hold(*builds)
    images = place.worker.retention.images
    assert images is not None
    plan = images.plan()
    with db.write() as tx:
        deploy(tx, job, builds[0])
    assert images.carry_out(plan, lambda seconds: None) == 1
    assert place.builds == {builds[0], *builds[2:]}


def test_an_engine_that_does_not_answer_holds_up_nothing_else(db: Database, job: Job, tmp_path: Path) -> None:
    place = Images(db, tmp_path)
    place.health = EngineHealth(is_up=False, sentence="The engine does not answer.")
    with db.write() as tx:
        gone = Writer(tx).run(job, 200, "cancelled")
    place.worker.step()
    assert gone not in ids(db)["run"]
    assert preview(place).sentence == "The engine does not answer."


def test_one_request_at_a_time_asks_the_engine(db: Database, tmp_path: Path) -> None:
    images = Images(db, tmp_path).worker.retention.images
    assert images is not None
    with images.turn:
        preview = images.preview()
    assert preview.sentence == (
        "The container engine is being asked about its images: try again in a moment."
    )
    assert images.preview().sentence == ""


def test_the_images_of_builds_that_go_are_in_the_preview(db: Database, job: Job, tmp_path: Path) -> None:
    place = Images(db, tmp_path)
    with db.write() as tx:
        writer = Writer(tx)
        builds = [writer.build(job, 200) for _ in range(3)]
    place.hold(*builds)
    shown = preview(place)
    assert shown.going == 2
    place.worker.step()
    assert place.builds == {builds[-1]}


@pytest.mark.parametrize(
    "table", ["run", "build", "deployment", "delivery", "flow_run", "promotion", "decision", "movement"]
)
def test_what_refers_to_a_row_that_goes_is_found_by_index(db: Database, table: str) -> None:
    with db.read() as tx:
        plan = tx.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN DELETE FROM {table} WHERE id IN (1, 2)")
        steps = [row[3] for row in plan]
    assert steps
    assert [step for step in steps if step.startswith("SCAN")] == []


def test_old_entries_of_the_audit_log_are_removed(db: Database, tmp_path: Path) -> None:
    entry = Entry(NOW, NOBODY, Action.SIGN_IN_FAILED, Subject("user"))
    with db.write() as tx:
        for days in range(0, 900, 3):
            audit.add(tx, replace(entry, at=NOW - timedelta(days=days)))

    def kept(days: int) -> int:
        worker(db, tmp_path, Clock(NOW), audit_days=days).retention.shorten_audit(lambda _seconds: None)
        with db.read() as tx:
            return len(audit.page(tx, Wanted(), 1000))

    assert kept(0) == 300
    assert kept(365) == 122
    loop = worker(db, tmp_path, Clock(NOW), audit_days=30)
    loop.step()
    with db.read() as tx:
        assert len(audit.page(tx, Wanted(), 1000)) == 11
