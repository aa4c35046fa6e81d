"""Limits of projects on SQLite and PostgreSQL: nothing goes beyond them, and nothing waits that they allow."""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.domain.job.records import Job
from app.domain.plans import DEFAULT_PLANS, MIB
from app.domain.runs import Again, Outcome, Reason, Run
from app.store import builds, quotas, run_attempts, runs
from app.store.database import Database, is_writing
from app.store.schema import RunRow
from tests.support.stored import NOW, add_build, add_job, add_run

PLANS = {plan.name: plan for plan in DEFAULT_PLANS}


def limit(db: Database, job: Job, **limits: float | None) -> None:
    with db.write() as tx:
        quotas.set_own(tx, job.project_id, limits)


def claim(db: Database, owner: str = "a") -> Run | None:
    with db.write() as tx:
        return runs.claim(tx, owner, NOW)


def end(db: Database, run_id: int) -> None:
    with db.write() as tx:
        tx.get_one(RunRow, run_id).status = "succeeded"


@pytest.mark.parametrize("kind", ["runs", "builds"])
def test_a_project_has_no_more_at_work_than_it_may_and_holds_up_no_other(
    db: Database, job: Job, kind: str
) -> None:
    other = add_job(db, "other", "elsewhere")
    limit(db, job, runs_at_once=2, builds_at_once=2)
    for number in range(4):
        for each in (job, other):
            if kind == "runs":
                add_run(db, each, f"{each.project}-{number}")
            else:
                add_build(db, each, key=f"{number}", url=f"https://example.com/{each.project}/{number}")
    taken: list[str] = []
    while True:
        with db.write() as tx:
            found: Any = (runs.claim if kind == "runs" else builds.claim)(tx, "a", NOW)
        if found is None:
            break
        taken.append(found.project)
    assert sorted(taken) == ["elsewhere"] * 4 + ["reports"] * 2
    with db.read() as tx:
        waiting = runs.page(tx, limit=1, project_id=job.project_id) if kind == "runs" else ()
        told = [quotas.run_waits(tx, run, NOW).sentence for run in waiting]
        told += [
            quotas.build_waits(tx, each).sentence
            for each in builds.page(tx, limit=1, project_id=job.project_id)
        ]
    assert told == [
        f"Waits: project reports has 2 of 2 {kind} at work; an administrator can raise limits.{kind}_at_once."
    ]


@pytest.mark.parametrize("kind", ["runs", "builds"])
def test_two_servers_together_take_no_more_than_one_may(db: Database, job: Job, kind: str) -> None:
    limit(db, job, runs_at_once=3, builds_at_once=3)
    for number in range(20):
        if kind == "runs":
            add_run(db, job, f"report-{number}")
        else:
            add_build(db, job, key=str(number), url=f"https://example.com/{number}")
    barrier = threading.Barrier(4)

    def take(owner: int) -> int:
        barrier.wait()
        taken = 0
        for _ in range(5):
            with db.write() as tx:
                found: Any = (runs.claim if kind == "runs" else builds.claim)(tx, f"server-{owner}", NOW)
            taken += found is not None
        return taken

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(take, range(4))) == 3


def test_two_who_queue_at_once_do_not_exceed_the_queue_together(db: Database, job: Job) -> None:
    limit(db, job, queued_runs=3)
    barrier = threading.Barrier(4)

    def queue(who: int) -> int:
        barrier.wait()
        done = 0
        for number in range(3):
            with db.write() as tx:
                if quotas.why_not_queued(tx, job.project_id) is None:
                    row = {"project_id": job.project_id, "job_id": job.id, "status": "queued"}
                    same = {"trigger_type": "api", "effective": job.spec.run, "overridden": []}
                    times = {"available_at": NOW, "created_at": NOW, "updated_at": NOW}
                    tx.add(RunRow(name=f"report-{who}-{number}", **row, **same, **times))
                    done += 1
        return done

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(queue, range(4))) == 3
    with db.write() as tx:
        assert quotas.why_not_queued(tx, job.project_id) == (
            "project reports has 3 of 3 runs queued; an administrator can raise limits.queued_runs"
        )


def test_who_only_asks_waits_for_nobody(db: Database, job: Job) -> None:
    limit(db, job, queued_runs=3)
    with db.write() as tx, db.read() as other:
        quotas.hold(tx, [job.project_id])
        if other.connection().dialect.name == "postgresql":
            other.connection().exec_driver_sql("SET LOCAL lock_timeout = '1ms'")
        assert quotas.why_not_queued(other, job.project_id) is None
    with db.write() as tx:
        assert is_writing(tx)


def test_a_small_run_begins_where_a_big_one_does_not_fit(db: Database, job: Job) -> None:
    limit(db, job, cpus=2.5)
    big, second = add_run(db, job, "big", plan="large"), add_run(db, job, "second", plan="large")
    small = add_run(db, job, "small", plan="small")
    unknown = add_run(db, job, "unknown", plan="gone")  # fails as it starts, and says why
    assert [run and run.id for run in (claim(db), claim(db), claim(db), claim(db))] == [
        big,
        small,
        unknown,
        None,
    ]
    with db.read() as tx:
        assert quotas.run_waits(tx, runs.with_id(tx, second), NOW).sentence == (
            "Waits: project reports uses 2.5 of 2.5 CPUs, and this run needs 2; an administrator can raise limits.cpus."
        )
    end(db, big)
    again = claim(db)
    assert again is not None
    assert again.id == second


def test_what_was_interrupted_goes_on_whatever_the_limits_say(db: Database, job: Job) -> None:
    """Its containers may be alive: nobody would follow them."""
    for number in range(4):
        add_run(db, job, f"report-{number}")
    first, second = claim(db), claim(db)
    limit(db, job, runs_at_once=1)
    for run in (first, second):
        assert run is not None
        with db.write() as tx:
            attempt = run_attempts.begin_attempt(tx, run, NOW)
            lost = Outcome(Reason.INTERRUPTED, sentence="It was lost.")
            run_attempts.conclude(tx, run, attempt, lost, Again(NOW, "It was lost."), NOW)
    taken = [claim(db), claim(db), claim(db)]
    assert [run and run.name for run in taken] == ["report-0", "report-1", None]


def test_memory_counts_for_every_instance(db: Database, job: Job) -> None:
    limit(db, job, memory_mb=1024)
    first = add_run(db, job, "first", plan="micro", instances=3)
    second = add_run(db, job, "second", plan="micro", instances=2)
    never = add_run(db, job, "never", plan="medium", instances=2)
    taken = claim(db)
    assert taken is not None
    assert (taken.id, claim(db)) == (first, None)
    with db.read() as tx:
        assert quotas.run_waits(tx, runs.with_id(tx, second), NOW).sentence == (
            "Waits: project reports uses 768 of 1024 MiB of memory, and this run needs 512; an administrator can raise"
            " limits.memory_mb."
        )
        assert quotas.run_waits(tx, runs.with_id(tx, never), NOW).sentence == (
            "Waits: 2 instances of plan medium need 2048 MiB of memory, and project reports may use 1024 in all: choose"
            " a smaller plan, or let an administrator raise limits.memory_mb."
        )


def test_usage_is_counted_from_rows(db: Database, job: Job) -> None:
    limit(db, job, cpus=4, jobs=0)
    add_build(db, job)
    for number in range(3):
        add_run(db, job, f"report-{number}", plan="small", instances=2)
    with db.write() as tx:
        runs.claim(tx, "a", NOW)
        builds.claim(tx, "a", NOW)
        used = {
            each.name: (each.used, each.most, each.is_own) for each in quotas.usage_of(tx, job.project_id, 0)
        }
    assert used == {
        "jobs": (1, 0, True),
        "queued_runs": (2, 20_000, False),
        "runs_at_once": (1, 0, False),
        "builds_at_once": (1, 0, False),
        "cpus": (1.0, 4, True),
        "memory_mb": (1024, 0, False),
        "log_mb": (0, 0, False),
    }
    limit(db, job, cpus=None, jobs=None)
    with db.read() as tx:
        assert not any(each.is_own for each in quotas.usage_of(tx, job.project_id, 0))


@dataclass
class Model:
    """What may be at work, said as simply as can be."""

    limits: Mapping[str, Mapping[str, float]]
    queued: dict[int, tuple[str, str, int]] = field(default_factory=dict)  # project, plan, instances
    running: dict[int, tuple[str, str, int]] = field(default_factory=dict)

    def may_begin(self, run_id: int) -> bool:
        project, plan, instances = self.queued[run_id]
        beside = [(plan, instances), *((p, n) for owner, p, n in self.running.values() if owner == project)]
        limits = self.limits[project]
        sums = {
            "runs_at_once": len(beside),
            "cpus": sum(PLANS[plan].cpus * n for plan, n in beside),
            "memory_mb": sum(PLANS[plan].memory_bytes // MIB * n for plan, n in beside),
        }
        return all(not limits[name] or used <= limits[name] for name, used in sums.items())

    def fewest(self) -> set[str]:
        """The projects of which something may begin that have the fewest at work."""
        count = {
            project: sum(owner == project for owner, _, _ in self.running.values())
            for project in {self.queued[run_id][0] for run_id in self.queued if self.may_begin(run_id)}
        }
        return {project for project, number in count.items() if number == min(count.values())}


LIMITS = st.fixed_dictionaries(
    {
        "runs_at_once": st.sampled_from([0, 1, 3]),
        "cpus": st.sampled_from([0, 0.3, 1, 2.25, 4]),
        "memory_mb": st.sampled_from([0, 256, 1000, 3072]),
    }
)
RUNS = st.tuples(st.sampled_from(["a", "b", "c"]), st.sampled_from(list(PLANS)), st.integers(1, 3))
EVENTS = st.lists(st.one_of(RUNS, st.just("claim"), st.just("claim"), st.just("end")), max_size=40)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(limits=st.fixed_dictionaries(dict.fromkeys("abc", LIMITS)), events=EVENTS, seed=st.integers(0, 2**16))
def test_never_beyond_a_limit_and_never_idle_within_them(
    db: Database, limits: Mapping[str, Mapping[str, float]], events: list[Any], seed: int
) -> None:
    chance, model = random.Random(seed), Model(limits)
    with db.write() as tx:
        tx.connection().exec_driver_sql("DELETE FROM run")
    jobs = {name: _job_of(db, name) for name in "abc"}
    for name, job in jobs.items():
        limit(db, job, **limits[name])
    for number, what in enumerate([*events, *["claim"] * 5]):
        if what == "claim":
            fewest, run = model.fewest(), claim(db)
            assert (run is None) == (not fewest)
            if run is not None:
                assert run.project in fewest
                assert model.may_begin(run.id)
                model.running[run.id] = model.queued.pop(run.id)
        elif what == "end":
            if model.running:
                over = chance.choice(sorted(model.running))
                end(db, over)
                del model.running[over]
        else:
            project, plan, instances = what
            id_ = add_run(db, jobs[project], f"run-{number}", plan=plan, instances=instances)
            model.queued[id_] = what


def _job_of(db: Database, project: str) -> Job:
    from app.store import jobs as stored

    with db.read() as tx:
        found = stored.find(tx, project, "report")
    return found or add_job(db, "report", project)
