"""A store full of what happened over a long time, put there row by row."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from sqlalchemy import text

from app.commands.retention import Retention
from app.domain.job.records import Deployed, Job
from app.domain.job.spec import RunSpec
from app.domain.references import Ours
from app.domain.retention import Limits
from app.runtime.log_storage import LogStorage
from app.runtime.signals import Signals
from app.store import apps, jobs
from app.store.database import Database, Tx
from app.store.schema import (
    AttemptRow,
    BuildRow,
    BuildSourceRow,
    ContainerRow,
    DecisionRow,
    DeliveryRow,
    DeploymentRow,
    DeploymentStepRow,
    FlowNodeRow,
    FlowRow,
    FlowRunRow,
    MovementRow,
    RunRow,
)
from tests.support.clock import Clock
from tests.support.stored import NOW, add_job

ENDS = ("succeeded", "failed", "cancelled")
OURS = Ours("jobyard-0123456789ab")
TABLES = (
    "run",
    "build",
    "deployment",
    "decision",
    "delivery",
    "movement",
    "flow_run",
    "job",
    "attempt",
    "container",
)


def retention(db: Database, root: Path, limits: Limits, **fields: Any) -> Retention:
    """Its clock says `NOW`."""
    storage = LogStorage(root / "logs", Signals(), cap_bytes=1_000_000)
    return Retention(db, Clock(NOW), storage, limits, OURS, **fields)


def ids(db: Database) -> dict[str, set[int]]:
    """Of all rows, by table."""
    with db.read() as tx:
        return {
            table: set(tx.connection().execute(text(f"SELECT id FROM {table}")).scalars()) for table in TABLES
        }


def ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


class Writer:
    """Adds rows as of a time, in the days before `NOW`."""

    def __init__(self, tx: Tx) -> None:
        self.tx = tx
        self._number = 0

    def _add(self, row: Any) -> int:
        self.tx.add(row)
        self.tx.flush()
        return int(row.id)

    def _next(self, of: str) -> str:
        self._number += 1
        return f"{of}-{self._number}"

    def run(self, job: Job, days: float, status: str = "succeeded", **fields: Any) -> int:
        at = ago(days)
        values = {
            "project_id": job.project_id,
            "job_id": job.id,
            "trigger_type": "manual",
            "effective": RunSpec(),
            "overridden": [],
            "available_at": at,
            "created_at": at,
            "updated_at": at,
            "finished_at": at if status in ENDS else None,
        }
        run_id = self._add(RunRow(name=self._next(job.name), status=status, **{**values, **fields}))
        attempt = AttemptRow(run_id=run_id, number=1, status=status, token=1, created_at=at)
        key = self._next("key")
        self._add(ContainerRow(attempt_id=self._add(attempt), instance=0, key=key))
        return run_id

    def build(self, job: Job, days: float, status: str = "succeeded", **fields: Any) -> int:
        assert job.source is not None
        at, key = ago(days), fields.pop("key", None) or self._next("build")
        values = {
            "project_id": job.project_id,
            "url": job.source.url,
            "ref": "refs/heads/main",
            "config": job.source.build,
            "env": {},
            "trigger": {"type": "push"},
            "image": f"jobyard:{key}" if status == "succeeded" else None,
            "digest": f"sha256:{key}" if status == "succeeded" else None,
            "available_at": at,
            "created_at": at,
            "finished_at": at if status in ENDS else None,
        }
        build_id = self._add(BuildRow(key=key, status=status, **{**values, **fields}))
        self.tx.add(BuildSourceRow(build_id=build_id, source_id=job.source.id))
        return build_id

    def deployment(
        self,
        job: Job,
        app_id: int,
        days: float,
        status: str = "succeeded",
        *,
        build: int | None = None,
        run: int | None = None,
    ) -> int:
        at = ago(days)
        images = {} if build is None else {str(job.id): image_of(build, at).to_json()}
        row = DeploymentRow(
            project_id=job.project_id,
            app_id=app_id,
            status=status,
            phase="done",
            cause="push",
            images=images,
            snapshot={},
            created_at=at,
            finished_at=None if status in ("pending", "running") else at,
        )
        deployment_id = self._add(row)
        step = {"deployment_id": deployment_id, "position": 0, "status": "succeeded", "job_id": job.id}
        self._add(DeploymentStepRow(kind="pre_deploy", build_id=build, run_id=run, **step))
        return deployment_id

    def decision(self, job: Job, days: float, **refers: int | None) -> int:
        row = DecisionRow(
            at=ago(days),
            event_type="manual",
            event_id=self._next("event"),
            project_id=job.project_id,
            job_id=job.id,
            verdict="skipped",
            rule="paused",
            inputs={},
            **refers,
        )
        return self._add(row)

    def delivery(self, job: Job, days: float, status: str = "processed") -> int:
        """With the movement that it told of."""
        assert job.source is not None
        at = ago(days)
        row = DeliveryRow(
            forge="github", guid=self._next("guid"), event="push", status=status, scopes=[], body=b"{}" * 50,
            received_at=at, processed_at=None if status == "received" else at,
        )  # fmt: skip
        delivery_id = self._add(row)
        self._add(
            MovementRow(
                project_id=job.project_id,
                source_id=job.source.id,
                repo_key=job.source.repo_key,
                ref="refs/heads/main",
                after=self._next("sha"),
                position=delivery_id * 1000,
                delivery_id=delivery_id,
            )
        )
        return delivery_id

    def flow_run(self, flow_id: int, project_id: int, days: float, status: str, **refers: int | None) -> int:
        at = ago(days)
        row = FlowRunRow(
            flow_id=flow_id,
            project_id=project_id,
            status=status,
            trigger={"type": "api"},
            created_at=at,
            finished_at=at if status in ENDS else None,
        )
        run_id = self._add(row)
        node = {"group": 0, "name": "one", "type": "run", "spec": {}, "status": status, "log": []}
        self._add(FlowNodeRow(flow_run_id=run_id, **node, **refers))
        return run_id

    def flow(self, project_id: int, **definition: Any) -> int:
        name = self._next("flow")
        return self._add(
            FlowRow(project_id=project_id, name=name, definition=definition, created_at=ago(300))
        )


def image_of(build_id: int, at: datetime) -> Deployed:
    return Deployed(f"jobyard:{build_id}", f"sha256:{build_id}", build_id, None, "Deployed.", at)


def deploy(tx: Tx, job: Job, build_id: int) -> None:
    jobs.deploy(tx, job.id, image_of(build_id, NOW))


def random_past(db: Database, seed: int) -> Mapping[str, Any]:
    """Some jobs, an app and a flow with a past of up to 200 days; returns what was made."""
    chance = Random(seed)
    made = [add_job(db, f"job-{number}") for number in range(4)]
    with db.write() as tx:
        app_id = apps.create(tx, made[0].project_id, "app", ago(300))
        apps.set_members(tx, app_id, {made[0].id: None})
    with db.write() as tx:
        writer = Writer(tx)
        flow_id = writer.flow(made[0].project_id)
        days = sorted((chance.uniform(0, 200) for _ in range(120)), reverse=True)
        all_builds: list[int] = []
        all_runs: list[int] = []
        deployments: list[int] = []
        for at in days:
            job, end = chance.choice(made), chance.choice(ENDS)
            own = [None, *all_builds[-5:]]
            match chance.randrange(7):
                case 0:
                    all_builds.append(writer.build(job, at, end))
                case 1 | 2:
                    all_runs.append(writer.run(job, at, end, build_id=chance.choice(own)))
                    writer.decision(job, at, run_id=all_runs[-1], build_id=chance.choice(own))
                case 3:
                    build, run = chance.choice(own), chance.choice([None, *all_runs[-3:]])
                    deployments.append(writer.deployment(made[0], app_id, at, end, build=build, run=run))
                    writer.decision(job, at, deployment_id=deployments[-1])
                case 4:
                    writer.delivery(job, at, chance.choice(("processed", "ignored", "received")))
                case 5:
                    writer.decision(job, at, build_id=chance.choice(own))
                case _:
                    status = chance.choice((*ENDS, "running"))
                    node = {"run_id": chance.choice([None, *all_runs[-3:]]), "build_id": chance.choice(own)}
                    writer.flow_run(flow_id, job.project_id, at, status, **node)
        if all_builds:
            deploy(tx, made[1], chance.choice(all_builds))
        writer.run(made[2], 150, "queued", awaited_build_id=chance.choice([None, *all_builds]))
        jobs.delete(tx, made[3].id, ago(chance.uniform(0, 200)))
    return {"jobs": made, "app": app_id, "deployments": deployments}
