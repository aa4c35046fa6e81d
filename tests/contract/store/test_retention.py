"""What goes from the store and what stays, on SQLite and PostgreSQL."""

from __future__ import annotations

from pathlib import Path
from threading import Thread

import pytest
from sqlalchemy import text

from app.domain.job.records import Job
from app.domain.retention import Kind, Limits, Plan
from app.store import apps, jobs, removal
from app.store.database import Database
from tests.support.databases import somebody_waits
from tests.support.past import OURS, Writer, ago, deploy, ids, random_past, retention
from tests.support.samples import spec_of
from tests.support.stored import NOW, add_job

TABLE_OF = {
    Kind.FLOW_RUNS: "flow_run",
    Kind.DEPLOYMENTS: "deployment",
    Kind.RUNS: "run",
    Kind.BUILDS: "build",
    Kind.DELIVERIES: "delivery",
    Kind.MOVEMENTS: "movement",
    Kind.DELETED_JOBS: "job",
}
LAST_OF_JOBS = """SELECT max(run.id) FROM run JOIN job ON job.id = run.job_id
    WHERE job.deleted_at IS NULL AND run.status IN ('succeeded', 'failed') GROUP BY run.job_id, run.status"""
NEEDED_BUILDS = """SELECT build_id FROM run WHERE build_id IS NOT NULL
    UNION SELECT awaited_build_id FROM run WHERE awaited_build_id IS NOT NULL
    UNION SELECT build_id FROM deployment_step WHERE build_id IS NOT NULL"""
OPEN_ROWS = """SELECT 'run', id FROM run WHERE status IN ('queued', 'running')
    UNION SELECT 'flow', id FROM flow_run WHERE status IN ('queued', 'running')
    UNION SELECT 'delivery', id FROM delivery WHERE status = 'received'"""


def all_of(db: Database, query: str) -> set[object]:
    with db.read() as tx:
        return {tuple(row) for row in tx.connection().execute(text(query))}


def said(plan: Plan, kind: Kind) -> dict[str, int]:
    """Why what is beyond the limits stays, as people read it."""
    return {why.sentence: count for why, count in plan.shares[kind].staying.items()}


def carried_out(db: Database, root: Path, limits: Limits) -> Plan:
    """Whatever is beyond the limits goes; `rest` is never asked for less than nothing."""
    keeper = retention(db, root, limits, batch=7)
    plan = keeper.plan()
    keeper.carry_out(plan, lambda seconds: None)
    return plan


@pytest.mark.parametrize("limits", [Limits(60, 0), Limits(0, 3), Limits(90, 5)])
@pytest.mark.parametrize("seed", range(3))
def test_what_the_preview_says_is_what_then_goes(
    db: Database, tmp_path: Path, seed: int, limits: Limits
) -> None:
    random_past(db, seed)
    before = ids(db)
    last, is_open = all_of(db, LAST_OF_JOBS), all_of(db, OPEN_ROWS)
    plan = carried_out(db, tmp_path, limits)
    after = ids(db)
    for kind, table in TABLE_OF.items():
        assert before[table] - after[table] == set(plan.shares[kind].ids), kind
    assert set(plan.shares[Kind.DECISIONS].ids).isdisjoint(after["decision"])
    assert all_of(db, LAST_OF_JOBS) == last
    assert all_of(db, OPEN_ROWS) == is_open
    assert {build for (build,) in all_of(db, NEEDED_BUILDS)} <= after["build"]  # type: ignore[misc]
    assert len(after["attempt"]) == len(after["run"])
    again = retention(db, tmp_path, limits).plan()
    assert again.is_empty
    assert again.is_whole


def test_nothing_goes_without_limits(db: Database, tmp_path: Path) -> None:
    random_past(db, 1)
    before = ids(db)
    assert carried_out(db, tmp_path, Limits(0, 0)).is_empty
    assert ids(db) == before


def test_the_last_success_and_the_last_failure_of_a_job_stay(db: Database, job: Job, tmp_path: Path) -> None:
    with db.write() as tx:
        writer = Writer(tx)
        old, success, failure = (
            writer.run(job, 200),
            writer.run(job, 190),
            writer.run(job, 180, "failed"),
        )
        cancelled, recent = writer.run(job, 170, "cancelled"), writer.run(job, 1, "cancelled")
    plan = carried_out(db, tmp_path, Limits(90, 0))
    assert plan.shares[Kind.RUNS].going == {job.id: [old, cancelled]}
    assert said(plan, Kind.RUNS) == {"It is the last that succeeded.": 1, "It is the last that failed.": 1}
    assert ids(db)["run"] == {success, failure, recent}


def test_of_a_deleted_job_all_goes_in_time(db: Database, tmp_path: Path) -> None:
    job, other = add_job(db, "gone"), add_job(db, "there")
    with db.write() as tx:
        writer = Writer(tx)
        run = writer.run(job, 100)
        writer.decision(job, 100, run_id=run)
        writer.decision(job, 100)
        jobs.delete(tx, job.id, ago(99))
    carried_out(db, tmp_path, Limits(90, 0))
    assert ids(db)["job"] == {other.id}


def test_more_than_so_many_of_a_job_go_however_new(db: Database, tmp_path: Path) -> None:
    busy, calm = add_job(db, "busy"), add_job(db, "calm")
    with db.write() as tx:
        writer = Writer(tx)
        of_busy = [writer.run(busy, 1) for _ in range(6)]
        of_calm = [writer.run(calm, 2) for _ in range(3)]
        skips = [writer.decision(busy, 1) for _ in range(5)]
    plan = carried_out(db, tmp_path, Limits(90, 4))
    assert plan.shares[Kind.RUNS].going == {busy.id: of_busy[:2]}
    assert plan.shares[Kind.DECISIONS].going == {busy.id: skips[:1]}
    assert ids(db)["run"] == {*of_busy[2:], *of_calm}


def test_what_is_deployed_or_could_be_rolled_back_to_stays(db: Database, job: Job, tmp_path: Path) -> None:
    with db.write() as tx:
        writer = Writer(tx)
        app_id = apps.create(tx, job.project_id, "app", NOW)
        unused, deployed, to_go_back_to, of_a_run, latest = (writer.build(job, 200) for _ in range(5))
        hook = writer.run(job, 199)
        writer.run(job, 1, build_id=of_a_run)
        writer.deployment(job, app_id, 199, build=to_go_back_to, run=hook)
        deploy(tx, job, deployed)
    plan = carried_out(db, tmp_path, Limits(90, 0))
    assert plan.shares[Kind.BUILDS].ids == [unused]
    assert said(plan, Kind.BUILDS) == {
        "Its image is deployed, or named as a job's source.": 1,
        "A deployment that is kept refers to it.": 1,
        "A run that is kept refers to it.": 1,
        "It is the last that succeeded.": 1,
    }
    assert said(plan, Kind.RUNS) == {"A deployment that is kept refers to it.": 1}
    assert said(plan, Kind.DEPLOYMENTS) == {"It could be rolled back to.": 1}
    assert ids(db)["build"] == {deployed, to_go_back_to, of_a_run, latest}


def test_what_is_not_over_stays_with_all_that_it_refers_to(db: Database, job: Job, tmp_path: Path) -> None:
    elsewhere = add_job(db, "other")
    with db.write() as tx:
        writer = Writer(tx)
        flow_id = writer.flow(job.project_id)
        run, build, again, latest = (
            writer.run(job, 200, "cancelled"),
            *(writer.build(job, 200, "cancelled") for _ in range(3)),
        )
        other = writer.build(elsewhere, 200, "queued", rebuild_of=again)
        writer.flow_run(flow_id, job.project_id, 200, "running", run_id=run, build_id=build)
    plan = carried_out(db, tmp_path, Limits(90, 0))
    assert said(plan, Kind.BUILDS) == {
        "Something that is not over refers to it.": 2,
        "It is the latest build of its source.": 1,
        "It is not over.": 1,
    }
    assert said(plan, Kind.RUNS) == {"Something that is not over refers to it.": 1}
    assert ids(db)["build"] == {build, again, latest, other}


def test_a_build_that_is_named_as_a_source_or_in_a_flow_stays(db: Database, job: Job, tmp_path: Path) -> None:
    with db.write() as tx:
        writer = Writer(tx)
        named, in_flow, unused, _latest = (writer.build(job, 200) for _ in range(4))
        writer.flow(job.project_id, nodes=[{"parallel": [{"type": "deploy", "build": in_flow}]}])
    image = f"{OURS.repository}:build-{named}-0123456789"
    with db.write() as tx:
        spec = spec_of("copy", source={"type": "image", "image": image}, run_on_image_change="never")
        jobs.create(tx, job.project_id, spec, None, NOW)
    assert carried_out(db, tmp_path, Limits(90, 0)).shares[Kind.BUILDS].ids == [unused]


def test_a_removal_that_loses_the_race_with_a_new_reference_does_nothing(
    db: Database, job: Job, tmp_path: Path
) -> None:
    with db.write() as tx:
        writer = Writer(tx)
        app_id = apps.create(tx, job.project_id, "app", NOW)
        first = writer.deployment(job, app_id, 1)
        found = [writer.build(job, 200) for _ in range(4)]
        run = writer.run(job, 200)
        writer.run(job, 150)
        writer.build(job, 150)
    keeper = retention(db, tmp_path, Limits(90, 0))
    plan = keeper.plan()
    assert plan.shares[Kind.BUILDS].ids == found
    assert plan.newest_deployment == first
    with db.write() as tx:
        writer = Writer(tx)
        deploy(tx, job, found[0])
        writer.deployment(job, app_id, 0, "running", build=found[1], run=run)
        tx.connection().execute(text("UPDATE deployment_step SET build_id = NULL"))  # its images alone tell
        writer._number += 100
        writer.run(job, 0, "queued", build_id=found[2])
    removed = keeper.carry_out(plan, lambda seconds: None)
    assert removed[Kind.RUNS] == 0
    assert removed[Kind.BUILDS] == 1
    assert set(found) & ids(db)["build"] == set(found[:3])


def test_a_delivery_that_is_replayed_meanwhile_stays(db: Database, job: Job, tmp_path: Path) -> None:
    with db.write() as tx:
        old = Writer(tx).delivery(job, 100)
    keeper = retention(db, tmp_path, Limits(90, 0))
    plan = keeper.plan()
    with db.write() as tx:
        tx.connection().execute(text("UPDATE delivery SET status = 'received'"))
    assert keeper.carry_out(plan, lambda seconds: None)[Kind.DELIVERIES] == 0
    assert old in ids(db)["delivery"]


def test_the_movements_that_are_looked_at_stay(db: Database, job: Job, tmp_path: Path) -> None:
    with db.write() as tx:
        writer = Writer(tx)
        for number in range(60):
            writer.delivery(job, 200 - number)
    plan = carried_out(db, tmp_path, Limits(90, 0))
    assert plan.shares[Kind.DELIVERIES].count == 60
    assert plan.shares[Kind.MOVEMENTS].count == 10
    assert len(ids(db)["movement"]) == 50


def test_one_plan_takes_no_more_than_it_may(db: Database, job: Job, tmp_path: Path) -> None:
    with db.write() as tx:
        writer = Writer(tx)
        found = [writer.decision(job, 100) for _ in range(9)]
    keeper = retention(db, tmp_path, Limits(90, 0), most=4)
    plans = []
    for _ in range(3):
        plans.append(keeper.plan())
        keeper.carry_out(plans[-1], lambda seconds: None)
    assert [plan.shares[Kind.DECISIONS].ids for plan in plans] == [found[:4], found[4:8], found[8:]]
    assert [plan.is_whole for plan in plans] == [False, False, True]


def test_one_server_at_a_time_begins(db: Database) -> None:
    def begins(minutes: float) -> bool:
        with db.write() as tx:
            return removal.take_turn(tx, ago(-minutes / 1440), ago(0) - ago(1 / 24))

    assert [begins(0), begins(1), begins(59), begins(60), begins(61), begins(-600)] == [
        True, False, False, True, False, True,
    ]  # fmt: skip


def test_a_deploy_holds_its_build_until_it_is_stored(db: Database, job: Job, tmp_path: Path) -> None:
    """What it names as JSON refers to no row, so nothing else would keep the build from being removed meanwhile."""
    with db.write() as tx:
        writer = Writer(tx)
        old, _latest = writer.build(job, 200), writer.build(job, 150)
    keeper = retention(db, tmp_path, Limits(90, 0))
    plan, removed = keeper.plan(), list[int]()
    assert plan.shares[Kind.BUILDS].ids == [old]
    other = Thread(
        target=lambda: removed.append(keeper.carry_out(plan, lambda seconds: None)[Kind.BUILDS]), daemon=True
    )
    with db.write() as tx:
        deploy(tx, job, old)
        other.start()
        while other.is_alive() and not somebody_waits(db):
            pass
    other.join()
    assert removed == [0]
    assert old in ids(db)["build"]
