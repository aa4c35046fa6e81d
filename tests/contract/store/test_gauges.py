"""What is open, as metrics tell it, on either kind of database."""

from __future__ import annotations

from app.domain.job.records import Job
from app.store import deliveries, gauges, runs
from app.store.database import Database
from tests.support.stored import NOW, add_run
from tests.support.stored_deliveries import delivery


def test_what_is_open_is_counted(db: Database, job: Job) -> None:
    for _ in range(3):
        add_run(db, job)
    deliveries.record(db, [delivery("one"), delivery("two")])
    with db.write() as tx:
        runs.claim(tx, "me", NOW)
    with db.read() as tx:
        found = gauges.read(tx)
    opened = {key: number for key, number in found.open.items() if number}
    assert opened == {("run", "queued"): 2, ("run", "running"): 1, ("delivery", "received"): 2}
    assert found.run_due_at == NOW
    assert found.build_due_at is None
    assert found.delivery_received_at is not None
    assert found.database_bytes > 10_000
