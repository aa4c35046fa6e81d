"""Whatever order runs end in, and whoever notices it: first failures and recoveries take turns, and nothing is lost."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import mkdtemp

from hypothesis import given, settings
from hypothesis import strategies as st

from app.commands import notices
from app.domain.job.records import Job
from app.domain.runs import Final, Outcome, Reason, Run, RunStatus, Trigger, TriggerType
from app.store import run_attempts, runs
from app.store.database import Database
from tests.support.installation import Installation
from tests.support.telling import Told

OUTCOMES = st.sampled_from([RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.CANCELLED])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("begin"), st.integers(0, 3)),
        st.tuples(st.just("end"), st.integers(0, 3), OUTCOMES),
        st.tuples(st.just("notice"), st.integers(1, 3)),
    ),
    max_size=40,
)
REASONS = {RunStatus.FAILED: Reason.EXIT_NONZERO, RunStatus.CANCELLED: Reason.CANCELLED}


class World:
    """Runs of one job that are alive at once, and what is noticed of their ends, some at a time."""

    def __init__(self, place: Installation) -> None:
        self.place, self.told = place, Told(place)
        self.job: Job = place.job("report", source={"type": "image", "image": "busybox"})
        self.target = self.told.target("ops", "first_failure", "recovery")
        self.alive: dict[int, Run] = {}
        self.ended: list[RunStatus] = []  # in order

    def begin(self, number: int) -> None:
        if number in self.alive:
            return
        place, job = self.place, self.job
        with place.db.write() as tx:
            runs.enqueue(
                tx,
                name=f"report-{place.names.suffix()}",
                project_id=job.project_id,
                job_id=job.id,
                trigger=Trigger(TriggerType.MANUAL, cause="Started manually."),
                spec=job.spec.run,
                now=place.clock.now(),
                image="sha256:abc",
            )
            claimed = runs.claim(tx, "one", place.clock.now())
            assert claimed is not None
        self.alive[number] = claimed

    def end(self, number: int, status: RunStatus) -> None:
        run = self.alive.pop(number, None)
        if run is None:
            return
        with self.place.db.write() as tx:
            reason = REASONS.get(status)
            verdict = Final(status, reason, "It ended.")
            assert run_attempts.conclude(tx, run, None, Outcome(reason), verdict, self.place.clock.now())
        self.ended.append(status)

    def notice(self, limit: int) -> None:
        before, notices.AT_ONCE = notices.AT_ONCE, limit
        try:
            with self.place.db.write() as tx:
                notices.tell(tx, self.place.clock.now())
        finally:
            notices.AT_ONCE = before

    def told_of(self) -> list[str]:
        return [item.rule for each in self.told.deliveries(self.target) for item in each.items]


def expected(ended: list[RunStatus]) -> list[str]:
    """The model: a machine of two states."""
    rules, before = [], None
    for status in ended:
        if status is RunStatus.CANCELLED:
            continue
        if status is RunStatus.FAILED and before is not RunStatus.FAILED:
            rules.append("first_failure")
        if status is RunStatus.SUCCEEDED and before is RunStatus.FAILED:
            rules.append("recovery")
        before = status
    return rules


def lives_through(steps: list[tuple[object, ...]], db: Database | None = None) -> None:
    root = Path(mkdtemp())
    try:
        with Installation(root / "place", db) as place:
            world = World(place)
            for name, *arguments in steps:
                getattr(world, str(name))(*arguments)
            world.notice(1000)
            assert world.told_of() == expected(world.ended)
            assert world.told_of()[1::2] == ["recovery"] * (len(world.told_of()) // 2)
    finally:
        shutil.rmtree(root)


@settings(max_examples=40, deadline=None)
@given(STEPS)
def test_first_failures_and_recoveries_take_turns(steps: list[tuple[object, ...]]) -> None:
    lives_through(steps)


def test_they_do_on_either_database(other_database: Database | None) -> None:
    failed, succeeded = RunStatus.FAILED, RunStatus.SUCCEEDED
    steps: list[tuple[object, ...]] = [
        *(("begin", number) for number in range(4)),
        *(("end", 2, failed), ("notice", 1), ("end", 0, succeeded), ("end", 3, failed)),
        *(("notice", 1), ("begin", 0), ("end", 1, RunStatus.CANCELLED), ("end", 0, succeeded)),
    ]
    lives_through(steps, other_database)
