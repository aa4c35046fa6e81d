"""Deployments of an app one after the other, cancelled, and rolled back: loops stepped by hand."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from app.commands.deployments import begin_deployment, cancel_deployment
from app.commands.promotions import lock_source, plan_promotion, promote
from app.domain.deployments import Cause, DeploymentStatus, Phase, StepKind, StepStatus
from app.domain.errors import Conflict
from app.domain.job.records import Deployed
from app.domain.pipelines import Component, Stage, route
from app.domain.runs import Run, RunStatus
from app.engines.fake import Script
from app.store import apps, deployments, jobs, pipelines
from app.store.apps import App
from tests.support.databases import somebody_waits
from tests.support.deployments import all_have, job_with_id, live, of_deployments, shop
from tests.support.fakes import commit, image_of
from tests.support.installation import Installation
from tests.support.loops import Server

A, B, C, D = (commit(letter) for letter in "abcd")


def run_of(place: Installation, job: str) -> Run:
    (run,) = [each for each in place.runs() if each.job == job]
    return run


def test_a_newer_push_replaces_the_pending_one(place: Installation, server: Server) -> None:
    app = shop(place)
    place.push(A, B)
    server.intake.step()
    place.push(B, C)
    server.intake.step()
    place.push(C, D)
    server.work()
    assert [str(each.status) for each in place.deployments()] == ["succeeded", "superseded", "succeeded"]
    assert place.deployments()[1].warning == "Superseded by deployment 3."
    assert live(place, app) == all_have(app, D)
    assert Counter(run.job for run in place.runs() if run.sha == C) == Counter()
    superseded = [each for each in place.decisions() if each.deployment_id == 2]
    assert [(each.job, each.rule) for each in superseded] == [
        (member.job, "superseded") for member in app.members
    ]


def test_what_only_the_replaced_one_built_is_not_lost(place: Installation, server: Server) -> None:
    """Each push changes another component; the last takes over what the one in between would have brought."""
    web = place.job("web", build__paths=["web/"], build__paths_mode="allow")
    worker = place.job("worker", build__paths=["worker/"], build__paths_mode="allow")
    app = place.app("shop", web, worker)
    place.push(A, B, files=("web/a",))
    server.intake.step()
    place.push(B, C, files=("worker/a",))
    server.intake.step()
    place.push(C, D, files=("web/b",))
    server.work()
    assert live(place, app) == {"web": D, "worker": C}


def test_a_push_that_comes_late_deploys_nothing(place: Installation, server: Server) -> None:
    app = shop(place)
    place.push(B, C)
    place.push(A, B)
    server.work()
    first, late = place.deployments()
    assert (first.status, late.status) == (DeploymentStatus.SUCCEEDED, DeploymentStatus.SUPERSEDED)
    assert late.warning.startswith("Nothing moved.")
    assert live(place, app) == all_have(app, C)
    assert {run.sha for run in place.runs()} == {C}


def test_superseded_builds_are_no_failure(place: Installation, server: Server) -> None:
    app = place.app("shop", place.job("web", source__builds_in_flight="latest"))
    place.push(A, B)
    server.intake.step()
    place.push(B, C)
    server.work()
    assert [str(each.status) for each in place.deployments()] == ["superseded", "succeeded"]
    assert place.deployments()[0].warning == "Its builds were superseded by those of a newer push."
    assert live(place, app) == all_have(app, C)


def explicit(place: Installation, app: App, sha: str, cause: Cause = Cause.API, **options: Any) -> int:
    """A deployment of one image to all jobs of an app."""
    image = Deployed(image_of(sha), image_of(sha), None, sha, "", place.clock.now())
    with place.db.write() as tx:
        return begin_deployment(
            tx,
            apps.with_id(tx, app.id),
            cause=cause,
            by="ada",
            sentence="Asked for.",
            now=place.clock.now(),
            images={member.job_id: image for member in app.members},
            **options,
        ).id


def test_a_push_does_not_replace_what_somebody_asked_for(place: Installation, server: Server) -> None:
    app = shop(place)
    place.push(A, B)
    server.intake.step()
    explicit(place, app, D)
    place.push(B, C)
    server.work()
    assert [str(each.status) for each in place.deployments()] == ["succeeded", "succeeded", "superseded"]
    assert live(place, app) == all_have(app, D)


def test_a_push_behind_an_explicit_deployment_finds_cd_off(place: Installation, server: Server) -> None:
    app = shop(place)
    explicit(place, app, D)
    place.push(A, B)
    server.work()
    explicit_one, push = place.deployments()
    assert (explicit_one.status, push.status) == (DeploymentStatus.SUCCEEDED, DeploymentStatus.SUPERSEDED)
    assert live(place, app) == all_have(app, D)
    assert {run.sha for run in place.runs()} == {D}
    assert not any(job_with_id(place, member.job_id).cd_enabled for member in app.members)
    assert ("nightly", "available", "cd_off") in of_deployments(place)


def test_two_explicit_deployments_the_newer_waits(place: Installation, server: Server) -> None:
    app = shop(place)
    for sha in (B, C, D):
        explicit(place, app, sha)
    server.work()
    assert [str(each.status) for each in place.deployments()] == ["succeeded", "superseded", "succeeded"]
    assert live(place, app) == all_have(app, D)


def cancelled(place: Installation, number: int) -> None:
    with place.db.write() as tx:
        cancel_deployment(tx, deployments.with_id(tx, number), "ada", place.clock.now())


def test_cancelled_while_it_builds(place: Installation, server: Server) -> None:
    app = shop(place)
    place.push(A, B)
    server.intake.step()
    cancelled(place, 1)
    server.work()
    (deployment,) = place.deployments()
    assert deployment.status is DeploymentStatus.CANCELLED
    assert deployment.warning == "Cancelled by ada before anything moved."
    assert place.runs() == []
    assert live(place, app) == all_have(app, None)
    assert Counter(rule for _, _, rule in of_deployments(place)) == Counter(cancelled=len(app.members))


def test_cancelled_with_its_hook_that_waits_to_start(place: Installation, server: Server) -> None:
    app = shop(place)
    place.push(A, B)
    server.intake.step()
    server.builder.step()
    while not place.runs():
        server.deployment_worker.step()
    cancelled(place, 1)
    server.work()
    run, (deployment,) = run_of(place, "migrate"), place.deployments()
    assert (run.status, run.reason) == (RunStatus.CANCELLED, "cancelled")
    assert run.sentence == "Cancelled by ada with deployment 1."
    assert [each.id for each in place.runs()] == [run.id]
    assert deployment.status is DeploymentStatus.CANCELLED
    assert deployment.warning == "Cancelled by ada before anything moved."
    assert live(place, app) == all_have(app, None)
    assert ("migrate", "cancelled", "cancel") in [
        (each.job, str(each.verdict), each.rule) for each in place.decisions()
    ]


def test_cancelled_with_its_hook_that_runs(place: Installation, server: Server) -> None:
    app = shop(place)
    place.engine.script("*", Script(exit_code=None, on_sigterm=0))
    place.push(A, B)
    server.intake.step()
    server.builder.step()
    while not place.runs():
        server.deployment_worker.step()
    hook = threading.Thread(target=server.runner.step)
    hook.start()
    server.until_running()
    cancelled(place, 1)
    while hook.is_alive():
        server.watcher.step()
        hook.join(0.01)
    server.work()
    assert [str(run.status) for run in place.runs()] == ["cancelled"]
    assert place.deployments()[0].status is DeploymentStatus.CANCELLED
    assert live(place, app) == all_have(app, None)


def test_cancelled_while_it_waits(place: Installation, server: Server) -> None:
    app = shop(place)
    place.push(A, B)
    server.intake.step()
    place.push(B, C)
    server.intake.step()
    cancelled(place, 2)
    assert place.deployments()[1].status is DeploymentStatus.CANCELLED
    server.work()
    assert live(place, app) == all_have(app, B)
    assert {run.sha for run in place.runs()} == {B}


def test_too_late_to_cancel(place: Installation, server: Server) -> None:
    shop(place)
    place.push(A, B)
    server.intake.step()
    while not any(each.phase is Phase.POST_DEPLOY for each in place.deployments()):
        server.turn()
    with pytest.raises(Conflict, match="post_deploy"):
        cancelled(place, 1)
    server.work()
    with pytest.raises(Conflict, match="over already"):
        cancelled(place, 1)


def test_a_rollback_holds_cd_until_released(place: Installation, server: Server) -> None:
    app = shop(place)
    place.push(A, B)
    server.work()
    explicit(place, app, D, Cause.ROLLBACK, with_hooks=False)
    server.work()
    assert live(place, app) == all_have(app, D)
    assert all(job_with_id(place, member.job_id).cd_enabled for member in app.members)
    assert any("(CD is held now)" in each.sentence for each in place.decisions())
    place.push(B, C)
    server.work()
    assert live(place, app) == all_have(app, D)
    assert len(place.deployments()) == 2
    assert ("build", "nightly", "available", "rollback_hold") in place.verdicts()
    with place.db.write() as tx:
        apps.hold(tx, app.id, None)
    place.push(C, A)
    server.work()
    assert live(place, app) == all_have(app, A)


def test_a_push_behind_a_rollback_moves_nothing(place: Installation, server: Server) -> None:
    app = shop(place)
    explicit(place, app, D, Cause.ROLLBACK, with_hooks=False)
    place.push(A, B)
    server.work()
    assert live(place, app) == all_have(app, D)
    assert [run.job for run in place.runs()] == ["nightly"]
    assert ("nightly", "available", "rollback_hold") in of_deployments(place)


def test_a_rollback_runs_hooks_only_when_asked(place: Installation, server: Server) -> None:
    app = shop(place)
    explicit(place, app, D, Cause.ROLLBACK, with_hooks=False)
    server.work()
    assert {step.kind for step in place.deployments()[0].steps} == {StepKind.MOVE}
    explicit(place, app, C, Cause.ROLLBACK, with_hooks=True)
    server.work()
    kinds = {step.kind for step in place.deployments()[1].steps if step.status is StepStatus.SUCCEEDED}
    assert kinds == {StepKind.PRE_DEPLOY, StepKind.MOVE, StepKind.POST_DEPLOY}


def test_a_promotion_waits_for_images_that_move_and_takes_them_all(
    place: Installation, server: Server
) -> None:
    """What goes on is what one deployment left, never some of its images and some of the one before."""
    source = place.app("source", place.job("web"), place.job("worker"))
    target = place.app(
        "target", *(place.job(name, source={"type": "none"}) for name in ("web-live", "worker-live"))
    )
    place.push(None, A)
    server.work()
    with place.db.write() as tx:
        pipeline_id = pipelines.create(tx, place.project.id, "main", place.clock.now())
        components = [(Component("app", app.id, app.name),) for app in (source, target)]
        pipelines.set_stages(tx, pipeline_id, [Stage("one", components[0]), Stage("two", components[1])])
        pipeline = pipelines.named(tx, place.project.name, "main")
    way = route(pipeline, "source", to=None, to_stage=None, may_skip_stages=False)

    def go_on() -> None:
        with place.db.write() as tx:
            lock_source(tx, way)
            planned = plan_promotion(tx, way, who="ada", confirm_paused=False)
            promote(tx, place.names, pipeline, planned, who="ada", now=place.clock.now())

    promotion = threading.Thread(target=go_on)
    with place.db.write() as tx:
        deployments.lock_app(tx, source.id)
        moved = [
            replace(jobs.with_id(tx, each.job_id).deployed, digest=image_of(B)) for each in source.members
        ]
        jobs.deploy(tx, source.members[0].job_id, moved[0])
        promotion.start()
        while promotion.is_alive() and not somebody_waits(place.db):
            pass
        jobs.deploy(tx, source.members[1].job_id, moved[1])
    promotion.join()
    with place.db.read() as tx:
        (made,) = pipelines.promotions(tx, pipeline.id, 10)
    assert set(made.images.values()) == {image_of(B)}
