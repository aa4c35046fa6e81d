"""Deployments of apps, from a push to the last hook, and what goes wrong: loops stepped by hand."""

from __future__ import annotations

from collections import Counter

import pytest

from app.domain.deployments import Cause, Deployment, DeploymentStatus
from app.engines.fake import Script
from builders.backends.base import BuildFailed
from tests.support.deployments import all_have, job_with_id, live, of_deployments, shop
from tests.support.fakes import commit, fail
from tests.support.installation import Installation
from tests.support.loops import Server

A, B, C, D = (commit(letter) for letter in "abcd")
FAILS = Script(exit_code=1)
OTHER_BUILD = {"MODE": {"value": "other", "scope": "build"}}


def ran(place: Installation) -> list[tuple[str, str, str | None]]:
    """(job, trigger, commit) of every run, oldest first."""
    return [(run.job, str(run.trigger.type), run.sha) for run in place.runs()]


def steps(deployment: Deployment) -> list[tuple[str, str | None, str]]:
    return [(str(step.kind), step.job, str(step.status)) for step in deployment.steps]


def script_job(place: Installation, number: int) -> None:
    place.engine.script(f"run-{number}-*", FAILS)


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
    assert sorted(deployment.snapshot) == sorted(member.job_id for member in app.members)


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
    assert place.job_now(job_with_id(place, broken.job_id)).deployed is None


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
