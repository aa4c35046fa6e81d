"""Pipelines, apps and measurements on top of the furnished installation, for pictures of their pages."""

from __future__ import annotations

from datetime import datetime, timedelta
from math import sin

from app.commands.deployment_requests import deploy_latest
from app.commands.flow_runs import answer_approval, start_flow_run
from app.commands.promotions import plan_promotion, promote
from app.domain.flow_codec import steps_from_json
from app.domain.flows import FlowConcurrency, FlowTrigger, FlowTriggerType
from app.domain.health import Answer, Tally
from app.domain.job.checks import CheckType
from app.domain.job.codec import check_from_json
from app.domain.job.records import Job
from app.domain.metrics import Sample
from app.domain.pipelines import Component, Stage, route
from app.domain.plans import MIB
from app.domain.runs import Outcome, Reason
from app.store import apps, flows, jobs, pipelines, runs
from app.workers.deployments import DeploymentWorker
from app.workers.flows import FlowWorker
from tests.support.demo_world import sha_of
from tests.support.seed import SUCCEEDED, World, failed

STARTUP = {"type": "startup", "protocol": "tcp", "port": 8080, "success_threshold": 1}
BROKEN = failed(Reason.EXIT_NONZERO, "Exited with code 1.")
LIVENESS = {"type": "liveness", "protocol": "http", "path": "/live", "port": 8080}


def furnish_releases(world: World, now: datetime) -> int:
    """A pipeline with a promotion, an app with three deployments; returns a run that was measured."""
    with world.db.read() as tx:
        report = jobs.named(tx, "acme", "nightly-report")
    live = world.job("report-live", repository=None)
    web = world.job("web", repository="acme/web", run_on_image_change="never")
    upgrade = world.job("upgrade-database", repository="acme/web", run_on_image_change="never")
    _deployments(world, web, upgrade, now)
    measured = _measured(world, now)
    _flows(world, report, now)
    _stages(world, report, live)  # last, as nothing takes up the run that its promotion starts
    return measured


def _flows(world: World, report: Job, now: datetime) -> None:
    """A flow with three runs: one that went well, one that failed, one that asks."""
    nodes = [
        {"name": "checks", "type": "message", "message": "A release of the reports began."},
        {
            "parallel": [
                {"name": "figures", "type": "run", "job": "check-figures", "overrides": {"env": {"DRY_RUN": "yes"}}},
                {"name": "links", "type": "run", "job": "check-links", "retries": 2},
            ]
        },
        {"name": "ready", "type": "approval", "message": "Do the figures look right?"},
        {"name": "live", "type": "promote", "pipeline": "reports", "from": "nightly-report"},
        {"name": "tell", "type": "message", "message": "The new reports are live.", "url": "sealed"},
    ]  # fmt: skip
    for name in ("check-figures", "check-links"):
        world.build(world.job(name, run_on_image_change="never"), now - timedelta(hours=1), sha=sha_of(name))
    with world.db.write() as tx:
        flows.save(
            tx, report.project_id, "release", steps_from_json(nodes), concurrency=FlowConcurrency.QUEUE,
            push_job_id=report.id, now=now,
        )  # fmt: skip
    began = world.clock.at
    for number, outcomes in enumerate(
        ([SUCCEEDED, SUCCEEDED], [SUCCEEDED] + [BROKEN] * 3, [SUCCEEDED, BROKEN, SUCCEEDED])
    ):
        world.clock.at = now - timedelta(minutes=50 - 20 * number)
        with world.db.write() as tx:
            flow = flows.named(tx, "acme", "release")
            trigger = FlowTrigger(FlowTriggerType.MANUAL, by="ada", sha=sha_of(f"release-{number}"))
            run_id = start_flow_run(tx, flow, trigger, world.clock.now()).id
        _conduct(world, run_id, outcomes)
        if number == 0:
            with world.db.write() as tx:
                flow_run = flows.run_with_id(tx, run_id)
                answer_approval(tx, flow_run, "ready", approved=False, who="ada", now=world.clock.now())
            _conduct(world, run_id, [])
    world.clock.at = began


def _conduct(world: World, run_id: int, outcomes: list[Outcome]) -> None:
    """The flow's run as far as it goes, with the runs that it starts ending so."""
    flow_worker = FlowWorker(world.db, world.clock, world.names, world.box)
    for _ in range(40):
        while flow_worker.step():
            world.clock.at = world.clock.now() + timedelta(seconds=3)
        with world.db.read() as tx:
            nodes = flows.run_with_id(tx, run_id).nodes
            started = [runs.with_id(tx, node.run_id) for node in nodes if node.run_id is not None]
        for run in [each for each in started if not each.status.is_final][: len(outcomes)]:
            world.attempt(run.id, world.clock.now(), b"ready")
            world.clock.at = world.clock.now() + timedelta(seconds=9)
            world.end_attempt(run.id, outcomes.pop(0), world.clock.now())
        world.clock.at = world.clock.now() + timedelta(seconds=5)


def _stages(world: World, report: Job, live: Job) -> None:
    with world.db.write() as tx:
        stages = [
            Stage("development", ()),
            Stage("staging", (Component("job", report.id, report.name),)),
            Stage("production", (Component("job", live.id, live.name),)),
        ]
        pipelines.set_stages(
            tx, pipelines.create(tx, report.project_id, "reports", world.clock.now()), stages
        )
    with world.db.write() as tx:
        pipeline = pipelines.named(tx, "acme", "reports")
        way = route(pipeline, report.name, to=None, to_stage=None, may_skip_stages=False)
        planned = plan_promotion(tx, way, who="ada", confirm_paused=False)
        promote(tx, world.names, pipeline, planned, who="ada", now=world.clock.now())


def _deployments(world: World, web: Job, upgrade: Job, now: datetime) -> None:
    with world.db.write() as tx:
        app_id = apps.create(tx, web.project_id, "shop", now)
        apps.set_members(tx, app_id, {upgrade.id: "pre-deploy", web.id: None})
    began = world.clock.at
    for number, outcome in enumerate(
        (SUCCEEDED, SUCCEEDED, failed(Reason.EXIT_NONZERO, "Exited with code 1."))
    ):
        at = now - timedelta(minutes=40 - 15 * number)
        world.clock.at = at
        for job in (web, upgrade):
            world.build(job, at - timedelta(minutes=2), sha=sha_of(f"shop-{number}"))
        with world.db.write() as tx:
            deploy_latest(tx, apps.with_id(tx, app_id), "ada", at)
        deployment_worker = DeploymentWorker(world.db, world.clock, world.names)
        while deployment_worker.step():
            world.clock.at += timedelta(seconds=7)
            _end_hooks(world, outcome)
    world.clock.at = began


def _end_hooks(world: World, outcome: Outcome) -> None:
    with world.db.read() as tx:
        waiting = [
            run for run in runs.page(tx, limit=5) if run.job == "upgrade-database" and not run.status.is_final
        ]
    for run in waiting:
        world.attempt(run.id, world.clock.now())
        world.end_attempt(run.id, outcome, world.clock.now())


def _measured(world: World, now: datetime) -> int:
    job = world.job("api", health_checks=[STARTUP, LIVENESS])
    start = now - timedelta(minutes=4)
    run_id = world.run(
        job, start, outcome=SUCCEEDED, seconds=200, log=b"listening on 8080\nserved 412 requests"
    )
    vitals = world.log_storage.vitals(run_id, 1)
    metrics, health = vitals.write_metrics(0), vitals.write_health(0)
    startup, liveness = check_from_json(STARTUP), check_from_json(LIVENESS)
    health.append(CheckType.STARTUP, Tally().add(startup, Answer(start, True, "connected", 0.003)))
    tally = Tally()
    for second in range(0, 200, 5):
        at = start + timedelta(seconds=second)
        cpu = 0.22 + 0.16 * sin(second / 17) + 0.05 * sin(second / 3)
        metrics.append(Sample(at, cpu, int((120 + second * 1.4) * MIB), 0, 0, 4))
        is_ok = not 150 < second < 170
        tally = tally.add(liveness, Answer(at, is_ok, "status 200" if is_ok else "status 503", 0.02))
        health.append(CheckType.LIVENESS, tally)
    return run_id
