"""Images that the engine lost are built again for rollbacks and deployments of apps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from app.commands.deployment_requests import (
    deploy_builds,
    deploy_commit,
    deploy_latest,
    images_to_deploy,
    roll_back,
)
from app.commands.deployments import begin_deployment
from app.domain.deployments import Cause, DeploymentStatus
from app.domain.errors import Conflict
from app.domain.job.records import Deployed, Job
from app.domain.runs import RunStatus
from app.store import builds
from app.store.apps import App
from builders.backends.base import BuildFailed
from tests.support.fakes import commit, fail, image_of
from tests.support.gone_images import deployed, lose, of_gone, run_now, start
from tests.support.installation import Installation
from tests.support.loops import Server

A, B, C = (commit(letter) for letter in "abc")
ON_BOTH = pytest.mark.parametrize("place", ["sqlite", "postgresql"], indirect=True)


def shop(place: Installation, server: Server, *shas: str) -> tuple[App, Job, Job]:
    """migrate before, report; a deployment of each of these commits."""
    first = place.job("migrate", deploy_trigger="pre-deploy", run_on_image_change="never")
    second = place.job("report", run_on_image_change="never")
    app = place.app("shop", first, second)
    for before, after in zip((None, *shas), shas, strict=False):
        place.push(before, after)
        server.work()
    return app, first, second


def go_back(place: Installation, number: int, gone: Mapping[str, str] | set[str], **more: Any) -> int:
    with place.db.write() as tx:
        to = place.deployments()[number]
        return roll_back(tx, to, "ada", place.clock.now(), gone=gone, **{"with_hooks": False, **more}).id


@ON_BOTH
@pytest.mark.parametrize("with_hooks", [False, True])
def test_a_rollback_waits_for_what_is_gone(place: Installation, server: Server, *, with_hooks: bool) -> None:
    _, migrate, report = shop(place, server, A, B)
    lose(place, image_of(A))
    go_back(place, 0, {image_of(A)}, with_hooks=with_hooks)
    server.deployment_worker.step()
    waits = place.deployments()[-1]
    assert (waits.status, waits.phase) == (DeploymentStatus.RUNNING, "building")
    assert deployed(place, report)[2] == B
    said = f"The image that deployment 3 is for is gone; build 3 makes it again from {A[:7]}."
    assert [each.sentence for each in place.decisions() if each.rule == "image_gone"] == [said] * 2
    server.work()
    assert place.deployments()[-1].status is DeploymentStatus.SUCCEEDED
    for job in (migrate, report):
        assert deployed(place, job) == (image_of(A, 1), 3, A)
    assert len(place.builds()) == 3
    assert all(run.status is RunStatus.SUCCEEDED for run in place.runs())


def test_a_rollback_takes_what_was_made_again_before(place: Installation, server: Server) -> None:
    _, _, report = shop(place, server, A, B)
    lose(place, image_of(A))
    go_back(place, 0, {image_of(A)})
    server.work()
    go_back(place, 1, set())
    server.work()
    go_back(place, 0, {image_of(A)})
    server.work()
    assert [each.status for each in place.deployments()] == [DeploymentStatus.SUCCEEDED] * 5
    assert (deployed(place, report), len(place.builds())) == ((image_of(A, 1), 3, A), 3)


def test_a_rollback_whose_image_can_not_be_made_moves_nothing(place: Installation, server: Server) -> None:
    _, _, report = shop(place, server, A, B)
    lose(place, image_of(A))
    place.backend.before_end[A] = fail(BuildFailed("Step 3 failed with exit code 1."))
    go_back(place, 0, {image_of(A)})
    server.work()
    ended = place.deployments()[-1]
    assert ended.status is DeploymentStatus.FAILED
    assert "build 3 did not succeed; nothing moved" in ended.warning
    assert deployed(place, report) == (image_of(B), 2, B)


def test_a_rollback_to_an_image_that_nobody_can_make_is_refused(place: Installation, server: Server) -> None:
    app, _, report = shop(place, server, A)
    name, digest = "registry.example.com/tool@sha256:" + "1" * 64, "sha256:" + "1" * 64
    now = place.clock.now()
    with place.db.write() as tx:
        images = {report.id: Deployed(name, digest, None, None, "", now)}
        begin_deployment(
            tx, app, cause=Cause.PROMOTION, by="ada", sentence="Promoted.", now=now, images=images
        )
    server.work()
    with pytest.raises(Conflict, match="push it to its registry again, or deploy another one"):
        go_back(place, 1, {name})
    assert len(place.deployments()) == 2


@pytest.mark.parametrize("is_known", [True, False])
def test_a_deployment_of_a_build_whose_image_is_gone(
    place: Installation, server: Server, *, is_known: bool
) -> None:
    """It waits, or, where the engine did not say so before it began, its first job does."""
    app, migrate, report = shop(place, server, A, B)
    lose(place, image_of(A))
    with place.db.write() as tx:
        gone = {image_of(A)} if is_known else set()
        deploy_builds(tx, app, [1], "ada", place.clock.now(), gone=gone)
    server.work()
    assert place.deployments()[-1].status is DeploymentStatus.SUCCEEDED
    assert not is_known or deployed(place, report) == (image_of(A, 1), 3, A)
    start(place, report)
    server.work()
    assert run_now(place).status is RunStatus.SUCCEEDED
    assert deployed(place, migrate) == deployed(place, report) == (image_of(A, 1), 3, A)
    with place.db.read() as tx:
        assert builds.with_id(tx, 3).rebuild_of == 1
    assert of_gone(place)[0] == ("deployment" if is_known else "run", "migrate", "queued")


def test_the_latest_builds_and_a_commit_are_made_again_for_a_deployment(
    place: Installation, server: Server
) -> None:
    app, _, report = shop(place, server, A)
    lose(place, image_of(A))
    now = place.clock.now()
    with place.db.write() as tx:
        assert set(images_to_deploy(tx, app, sha=None, build_ids=None).values()) == {image_of(A)}
        deploy_latest(tx, app, "ada", now, gone={image_of(A)})
        deploy_commit(tx, place.box, app, A, "ada", now, gone={image_of(A)})
    server.work()
    assert deployed(place, report) == (image_of(A, 1), 2, A)
    assert len(place.builds()) == 2
    assert place.job_now(report).cd_enabled is False
