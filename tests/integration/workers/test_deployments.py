"""Deployments of apps, from a push to the last hook: real store and rules, an engine in memory, loops by hand."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.commands.deployments import begin_deployment, cancel_deployment
from app.commands.promotions import hold_still, plan, promote
from app.domain.deployments import Cause, Deployment, DeploymentStatus, Phase, StepKind, StepStatus
from app.domain.errors import Conflict
from app.domain.job.records import Deployed, Job
from app.domain.pipelines import Component, Stage, route
from app.domain.runs import Run, RunStatus
from app.engines.fake import Script
from app.store import apps, deployments, jobs, pipelines
from app.store.apps import App
from app.store.database import Database
from builders.backends.base import BuildFailed
from tests.support.databases import somebody_waits
from tests.support.loops import Installation, Server, commit, fail, image_of

A, B, C, D = (commit(letter) for letter in "abcd")
FAILS = Script(exit_code=1)
OTHER_BUILD = {"MODE": {"value": "other", "scope": "build"}}
CRON: dict[str, Any] = {"kind": "cron", "schedule": {"cron": "0 3 * * *", "time_zone": "UTC"}}


@pytest.fixture
def place(tmp_path: Path, other_database: Database | None) -> Iterator[Installation]:
    place = Installation(tmp_path / "place", other_database)
    yield place
    place.close()


def shop(place: Installation, **changes: Any) -> App:
    """migrate before, seed before, nightly by cron, smoke and report after, notice on failure."""
    return place.app(
        "shop",
        place.job("migrate", deploy_trigger="pre-deploy", **changes),
        place.job("nightly", **CRON, **changes),
        place.job("seed", deploy_trigger="pre-deploy", **changes),
        place.job("smoke", deploy_trigger="post-deploy", **changes),
        place.job("notice", deploy_trigger="failed-deploy", **changes),
    )


def ran(place: Installation) -> list[tuple[str, str, str | None]]:
    """(job, trigger, commit) of every run, oldest first."""
    return [(run.job, str(run.trigger.type), run.sha) for run in place.runs()]


def run_of(place: Installation, job: str) -> Run:
    (run,) = [each for each in place.runs() if each.job == job]
    return run


def live(place: Installation, app: App) -> dict[str, str | None]:
    """The commit that each job of the app has."""
    with place.db.read() as tx:
        found = [jobs.with_id(tx, member.job_id) for member in app.members]
    return {job.name: job.deployed and job.deployed.sha for job in found}


def all_have(app: App, sha: str | None) -> dict[str, str | None]:
    return {member.job: sha for member in app.members}


def steps(deployment: Deployment) -> list[tuple[str, str | None, str]]:
    return [(str(step.kind), step.job, str(step.status)) for step in deployment.steps]


def of_deployments(place: Installation) -> list[tuple[str | None, str, str]]:
    """(job, verdict, rule) of the decisions about deployments."""
    return [(job, verdict, rule) for event, job, verdict, rule in place.verdicts() if event == "deployment"]


def script_job(place: Installation, number: int) -> None:
    place.engine.script(f"run-{number}-*", FAILS)


# the whole way


def test_a_push_makes_one_deployment_with_one_build(place: Installation, server: Server) -> None:
    app = shop(place)
    place.push(A, B)
    server.work()
    (build,) = place.builds()
    (deployment,) = place.deployments()
    assert place.backend.built == Counter({B: 1})
    assert (deployment.status, deployment.cause, deployment.sha) == (
        DeploymentStatus.SUCCEEDED,
        Cause.PUSH,
        B,
    )
    assert steps(deployment) == [
        ("build", None, "succeeded"),
        ("pre_deploy", "migrate", "succeeded"),
        ("pre_deploy", "seed", "succeeded"),
        ("move", None, "succeeded"),
        ("post_deploy", "smoke", "succeeded"),
        ("failed_deploy", "notice", "skipped"),
    ]
    assert ran(place) == [
        ("migrate", "pre_deploy", B),
        ("seed", "pre_deploy", B),
        ("nightly", "image_change", B),
        ("smoke", "post_deploy", B),
    ]
    assert {run.build_id for run in place.runs()} == {build.id}
    assert live(place, app) == all_have(app, B)
    assert all(step.finished_at is not None for step in deployment.steps)
    assert sorted(deployment.snapshot) == sorted(str(member.job_id) for member in app.members)


def test_steps_are_seen_as_they_happen_and_images_move_at_once(place: Installation, server: Server) -> None:
    app = shop(place)
    place.push(A, B)
    server.intake.step()
    seen = []

    def look() -> None:
        (deployment,) = place.deployments()
        moved = {sha == B for sha in live(place, app).values()}
        assert len(moved) == 1, "some images have moved and others not"
        seen.append((str(deployment.phase), moved.pop()))

    look()
    while server.turn():
        look()
    assert list(dict.fromkeys(seen)) == [
        ("building", False),
        ("pre_deploy", False),
        ("post_deploy", True),
        ("done", True),
    ]


def test_components_with_settings_of_their_own_have_builds_of_their_own(
    place: Installation, server: Server
) -> None:
    app = place.app("shop", place.job("web"), place.job("worker"), place.job("api", env=OTHER_BUILD))
    place.push(A, B)
    server.work()
    assert len(place.builds()) == 2
    assert len(place.deployments()) == 1
    assert live(place, app) == all_have(app, B)


def test_a_hook_without_a_trigger_is_post_deploy(place: Installation, server: Server) -> None:
    web, smoke = place.job("web", run_on_image_change="never"), place.job("smoke")
    place.app("shop", web, smoke, hooks=[smoke])
    place.push(A, B)
    server.work()
    assert ran(place) == [("smoke", "post_deploy", B)]


def test_decisions_tell_everything(place: Installation, server: Server) -> None:
    shop(place)
    place.push(A, B)
    server.work()
    assert of_deployments(place) == [
        ("migrate", "started", "pre_deploy"),
        ("seed", "started", "pre_deploy"),
        ("migrate", "deployed", "hook"),
        ("nightly", "started", "run_on_image_change:always"),
        ("seed", "deployed", "hook"),
        ("smoke", "deployed", "hook"),
        ("notice", "deployed", "hook"),
        ("smoke", "started", "post_deploy"),
    ]
    about = [each for each in place.decisions() if each.event_type == "deployment"]
    assert {each.deployment_id for each in about} == {place.deployments()[0].id}


# what goes wrong


def test_a_failed_pre_deploy_job_moves_nothing(place: Installation, server: Server) -> None:
    app = shop(place)
    place.push(A, B)
    server.work()
    before = len(place.runs())
    script_job(place, before + 1)  # migrate
    place.push(B, C)
    server.work()
    assert ran(place)[before:] == [("migrate", "pre_deploy", C), ("notice", "failed_deploy", C)]
    deployment = place.deployments()[-1]
    assert deployment.status is DeploymentStatus.FAILED
    assert deployment.warning == "Deployment 2 failed: pre-deploy job migrate did not succeed; nothing moved."
    assert steps(deployment)[1:] == [
        ("pre_deploy", "migrate", "failed"),
        ("pre_deploy", "seed", "skipped"),
        ("move", None, "skipped"),
        ("post_deploy", "smoke", "skipped"),
        ("failed_deploy", "notice", "succeeded"),
    ]
    assert live(place, app) == all_have(app, B)


def test_a_failed_build_runs_the_notice_in_the_image_of_before(place: Installation, server: Server) -> None:
    app = shop(place)
    place.push(A, B)
    server.work()
    before = len(place.runs())
    place.backend.before_end[C] = fail(BuildFailed("no such package"))
    place.push(B, C)
    server.work()
    assert ran(place)[before:] == [("notice", "failed_deploy", B)]
    assert place.deployments()[-1].status is DeploymentStatus.FAILED
    assert live(place, app) == all_have(app, B)


def test_a_failed_build_with_nothing_deployed_before_says_so(place: Installation, server: Server) -> None:
    shop(place)
    place.backend.before_end[B] = fail(BuildFailed("no such package"))
    place.push(A, B)
    server.work()
    assert place.runs() == []
    assert ("notice", "skipped", "no_image") in of_deployments(place)
    assert steps(place.deployments()[0])[-1] == ("failed_deploy", "notice", "skipped")


@pytest.mark.parametrize("first_fails", [True, False])
def test_the_notice_has_the_new_image_where_its_own_build_succeeded(
    place: Installation, server: Server, first_fails: bool
) -> None:
    """Whichever of two builds ends first."""
    notice = {"deploy_trigger": "failed-deploy"}
    if first_fails:
        app = place.app("shop", place.job("web"), place.job("notice", env=OTHER_BUILD, **notice))
    else:
        app = place.app("shop", place.job("notice", env=OTHER_BUILD, **notice), place.job("web"))
    broken = next(each for each in app.members if each.job == "web")
    place.push(A, B)
    server.intake.step()
    broken_first = place.builds()[0].env == {}
    place.backend.before_end[B] = (
        fail(BuildFailed("no")) if broken_first else [lambda _: None, *fail(BuildFailed("no"))]
    )
    server.work()
    assert ran(place) == [("notice", "failed_deploy", B)]
    assert place.job_now(_job(place, broken.job_id)).deployed is None


def _job(place: Installation, job_id: int) -> Job:
    with place.db.read() as tx:
        return jobs.with_id(tx, job_id)


def test_a_failed_post_deploy_job_is_a_warning(place: Installation, server: Server) -> None:
    app = shop(place)
    script_job(place, 4)
    place.push(A, B)
    server.work()
    (deployment,) = place.deployments()
    assert deployment.status is DeploymentStatus.SUCCEEDED
    assert deployment.warning == "Live, but post-deploy job smoke did not succeed."
    assert live(place, app) == all_have(app, B)
    assert "notice" not in [run.job for run in place.runs()]


def test_a_failed_notice_goes_no_further(place: Installation, server: Server) -> None:
    shop(place)
    place.engine.script("*", FAILS)
    place.push(A, B)
    server.work()
    assert ran(place) == [("migrate", "pre_deploy", B), ("notice", "failed_deploy", B)]
    assert place.deployments()[0].status is DeploymentStatus.FAILED


def test_a_paused_hook_is_passed_over(place: Installation, server: Server) -> None:
    app = place.app("shop", place.job("migrate", deploy_trigger="pre-deploy", paused=True), place.job("web"))
    place.push(A, B)
    server.work()
    assert ran(place) == [("web", "image_change", B)]
    assert live(place, app) == {"migrate": None, "web": B}
    assert ("migrate", "skipped", "paused") in of_deployments(place)


# one after the other


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
        )


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
    assert not any(_job(place, member.job_id).cd_enabled for member in app.members)
    assert ("nightly", "available", "cd_off") in of_deployments(place)


def test_two_explicit_deployments_the_newer_waits(place: Installation, server: Server) -> None:
    app = shop(place)
    for sha in (B, C, D):
        explicit(place, app, sha)
    server.work()
    assert [str(each.status) for each in place.deployments()] == ["succeeded", "superseded", "succeeded"]
    assert live(place, app) == all_have(app, D)


# cancel


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
        server.deployer.step()
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
        server.deployer.step()
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


# rollback


def test_a_rollback_holds_cd_until_released(place: Installation, server: Server) -> None:
    app = shop(place)
    place.push(A, B)
    server.work()
    explicit(place, app, D, Cause.ROLLBACK, with_hooks=False)
    server.work()
    assert live(place, app) == all_have(app, D)
    assert all(_job(place, member.job_id).cd_enabled for member in app.members)
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
            hold_still(tx, way)
            planned = plan(tx, way, who="ada", confirm_paused=False)
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
