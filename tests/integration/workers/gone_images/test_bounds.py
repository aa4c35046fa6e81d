"""What the wait for an image that is made again does to limits, retries, cancels and other builds."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.commands.continuous_delivery import after_build
from app.commands.runs import cancel_run, enqueue_run
from app.domain.build_parts import BuildTrigger, BuildTriggerType
from app.domain.builds import BuildStatus
from app.domain.job.records import Deployed
from app.domain.job.variables import EnvScope, EnvValue
from app.domain.runs import Reason, RunStatus
from app.engines.fake import Script
from app.store import builds, jobs, projects
from tests.support.fakes import commit, image_of
from tests.support.gone_images import BY_ADA, built, deployed, lose, run_now, start
from tests.support.installation import Installation
from tests.support.loops import Server
from tests.support.mortal import Fuse, Killed
from tests.support.samples import settings_of

A, B, C = (commit(letter) for letter in "abc")


def test_a_cancel_while_it_finds_its_image_gone_wins(place: Installation, server: Server) -> None:
    job = built(place, server, A)
    run_id = start(place, job)
    lose(place, image_of(A))
    cancelling = server.runner.engine.start

    def start_late(*given: Any, **more: Any) -> Any:
        with place.db.write() as tx:
            cancel_run(tx, run_now(place), "ada", place.clock.now())
        return cancelling(*given, **more)

    server.runner.engine.start = start_late  # type: ignore[method-assign]
    server.runner.step()
    assert (run_now(place).id, run_now(place).status) == (run_id, RunStatus.CANCELLED)
    assert len(place.builds()) == 1


def test_its_time_limit_begins_with_its_container(place: Installation, server: Server) -> None:
    job = built(place, server, A, time_limit_seconds=30)
    lose(place, image_of(A))
    start(place, job)
    server.runner.step()
    place.clock.advance(1000)
    server.work()
    assert run_now(place).status is RunStatus.SUCCEEDED


def test_a_time_limit_that_runs_passes_while_a_retry_waits(place: Installation, server: Server) -> None:
    job = built(place, server, A, time_limit_seconds=60, retry_limit=3)
    place.engine.script(image_of(A), Script(exit_code=1))
    start(place, job)
    server.runner.step()
    lose(place, image_of(A))
    place.clock.advance(10)
    server.runner.step()
    waits = run_now(place)
    assert (waits.status, waits.attempts, waits.available_at) == (RunStatus.QUEUED, 1, waits.deadline_at)
    place.clock.advance(60)
    server.runner.step()
    assert (run_now(place).reason, run_now(place).attempts) == (Reason.TIME_LIMIT, 1)


def test_a_retry_goes_on_with_the_image_that_was_made_again(place: Installation, server: Server) -> None:
    job = built(place, server, A, retry_limit=1)
    place.engine.script("run-1-1-*", Script(exit_code=1))
    start(place, job)
    server.runner.step()
    lose(place, image_of(A))
    server.work()
    run = run_now(place)
    assert (run.status, run.attempts, run.failed, run.build_id) == (RunStatus.SUCCEEDED, 2, 1, 2)


def test_what_is_gone_as_soon_as_it_is_made_is_given_up(place: Installation, server: Server) -> None:
    job = built(place, server, A)
    lose(place, image_of(A))
    start(place, job)
    server.runner.step()
    server.builder.step()
    lose(place, image_of(A, 1))
    server.work()
    run = run_now(place)
    assert (run.status, run.reason, run.attempts) == (RunStatus.FAILED, Reason.IMAGE_UNAVAILABLE, 1)
    assert run.sentence == (
        f"There is no image {image_of(A, 1)}. Build 2 has just made it again: find out what removes images there."
    )
    assert len(place.builds()) == 2


def test_a_newer_push_supersedes_no_rebuild(place: Installation, server: Server) -> None:
    job = built(place, server, A, source__builds_in_flight="latest")
    lose(place, image_of(A))
    start(place, job)
    server.runner.step()
    place.push(A, B)
    server.intake.step()
    assert [build.status for build in place.builds()][1] is BuildStatus.QUEUED
    server.work()
    assert (run_now(place).status, run_now(place).sha) == (RunStatus.SUCCEEDED, A)
    assert deployed(place, job)[2] == B


def test_it_is_built_as_it_was(place: Installation, server: Server) -> None:
    """With the settings and variables of the build whose image is gone, whatever the job says by now."""
    job = built(place, server, A, env={"MODE": {"value": "one", "scope": "build"}})
    with place.db.write() as tx:
        spec = place.job_now(job).spec
        spec = replace(spec, run=replace(spec.run, env={"MODE": EnvValue("two", scope=EnvScope.BUILD)}))
        jobs.redefine(tx, job.id, spec, settings_of(job, branch="other"), place.clock.now())
    lose(place, image_of(A))
    start(place, job)
    server.work()
    assert run_now(place).status is RunStatus.SUCCEEDED
    assert [each.build_args["MODE"] for each in place.backend.requests] == ["one", "one"]
    assert place.backend.requests[1].labels["org.opencontainers.image.revision"] == A


def test_a_deleted_job_s_image_is_made_again_for_whoever_has_it(place: Installation, server: Server) -> None:
    job = built(place, server, A)
    other = place.job("other", source={"type": "none"})
    with place.db.write() as tx:
        has = place.job_now(job).deployed
        assert has is not None
        jobs.deploy(tx, other.id, has)
        jobs.delete(tx, job.id, place.clock.now())
    lose(place, image_of(A))
    start(place, other)
    server.work()
    assert (run_now(place).status, deployed(place, other)) == (RunStatus.SUCCEEDED, (image_of(A, 1), 2, A))


def test_an_image_that_was_deployed_by_its_digest_is_known_by_its_build(
    place: Installation, server: Server
) -> None:
    built(place, server, A)
    other = place.job("other", source={"type": "none"})
    with place.db.write() as tx:
        image = Deployed(image_of(A), image_of(A), None, None, "", place.clock.now())
        jobs.deploy(tx, other.id, image)
    lose(place, image_of(A))
    start(place, other)
    server.work()
    assert (run_now(place).status, deployed(place, other)) == (RunStatus.SUCCEEDED, (image_of(A, 1), 2, A))


def test_the_images_of_other_projects_are_not_built_for_one(place: Installation, server: Server) -> None:
    built(place, server, A)
    with place.db.write() as tx:
        stranger = projects.create(tx, "strangers", None, place.clock.now())
    theirs = place.job("theirs", project_id=stranger.id, source={"type": "none"})
    with place.db.write() as tx:
        image = Deployed(image_of(A), image_of(A), 1, A, "", place.clock.now())
        enqueue_run(tx, place.names, theirs, BY_ADA, place.clock.now(), image=image)
    lose(place, image_of(A))
    server.work()
    assert (run_now(place).reason, len(place.builds())) == (Reason.IMAGE_UNAVAILABLE, 1)


@pytest.mark.parametrize("is_pinned", [False, True])
def test_an_image_of_a_registry_names_the_next_step(
    place: Installation, server: Server, *, is_pinned: bool
) -> None:
    tag = "registry.example.com/team/tool:v1"
    job = place.job(source={"type": "image", "image": tag}, retry_limit=3)
    lost, step = tag, "Push it there again, or use another image."
    if is_pinned:
        found = place.engine.resolve(tag)
        with place.db.write() as tx:
            image = Deployed(found.image, found.digest, None, None, "", place.clock.now())
            jobs.deploy(tx, job.id, image)
        step = "If it is not in its registry any more, push it there again, or use another one."
        lost = found.image
    lose(place, lost)
    start(place, job)
    server.work()
    run, said = run_now(place), f"There is no image {lost}. {step}"
    assert (run.reason, run.sentence, run.attempts) == (Reason.IMAGE_UNAVAILABLE, said, int(is_pinned))
    if is_pinned:
        assert place.attempt_log(run, 1).decode() == f"{said}\n"


def waiting(root: Path) -> Installation:
    """A run of an image that is gone is queued."""
    place = Installation(root)
    job, now = place.job(run_on_image_change="never"), place.clock.now()
    assert job.source is not None
    with place.db.write() as tx:
        builds.enqueue(
            tx, project_id=job.project_id, source_id=job.source.id, key="", url=job.source.url,
            ref="refs/heads/main", sha=A, config=job.source.build, now=now,
            trigger=BuildTrigger(BuildTriggerType.MANUAL),
        )  # fmt: skip
        build = builds.claim(tx, "before", now)
        assert build is not None
        builds.succeed(tx, build, image=image_of(A), digest=image_of(A), now=now)
        after_build(tx, place.names, builds.with_id(tx, build.id), now)
    lose(place, image_of(A))
    start(place, job)
    return place


def test_killed_at_every_point_it_is_built_and_run_once(tmp_path: Path) -> None:
    place = waiting(tmp_path / "place")
    whole = place.server("first")
    whole.work()
    expected, points = place.verdicts(), list(whole.fuse.burnt)
    place.close()
    for number in range(points.index("before start") + 1, points.index("after remove") + 1):
        place = waiting(tmp_path / "place")
        with suppress(Killed):
            place.server("first", Fuse(number)).work()
        place.server("second").work()
        (run,) = place.runs()
        what = f"killed at point {number}: {points[number - 1]}"
        assert (run.status, run.build_id, run.attempts) == (RunStatus.SUCCEEDED, 2, 1), what
        assert [build.status for build in place.builds()] == [BuildStatus.SUCCEEDED] * 2, what
        assert (place.verdicts(), set(place.world.starts.values())) == (expected, {1}), what
        place.close()
