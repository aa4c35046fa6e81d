"""Images that the engine lost are built again from their commits: for runs, rollbacks and deployments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.commands.continuous_delivery import after_build, cancel_build
from app.commands.deployment_requests import (
    deploy_builds,
    deploy_commit,
    deploy_latest,
    images_to_deploy,
    roll_back,
)
from app.commands.deployments import begin_deployment
from app.commands.runs import cancel_run, enqueue_run, run_again, start_run
from app.domain.builds import Build, BuildReason, BuildStatus
from app.domain.deployments import Cause, DeploymentStatus
from app.domain.errors import Conflict, GitUnavailable
from app.domain.job.codec import overrides_from_json
from app.domain.job.records import Deployed, Job
from app.domain.job.spec import RunOnImageChange
from app.domain.job.variables import EnvScope, EnvValue
from app.domain.runs import Reason, Run, RunStatus, Trigger, TriggerType
from app.engines.fake import Script
from app.store import builds, jobs, projects
from app.store.apps import App
from app.store.database import Database
from app.workers.clock_changes import ClockChanges
from app.workers.scheduler import Scheduler
from builders.backends.base import BuildFailed
from tests.support.loops import Fuse, Installation, Killed, Server, commit, fail, image_of, settings_of

A, B, C = (commit(letter) for letter in "abc")
BY_ADA = Trigger(TriggerType.API, by="ada")


ON_BOTH = pytest.mark.parametrize("place", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Installation]:
    database = None
    if getattr(request, "param", "sqlite") == "postgresql":
        database = Database(request.getfixturevalue("postgres").create("migrated"))
    place = Installation(tmp_path / "place", database)
    yield place
    place.close()


def built(place: Installation, server: Server, *shas: str, **changes: Any) -> Job:
    """A job with a build of each of these commits, the last of which is deployed; nothing ran."""
    job = place.job(**{"run_on_image_change": "never", **changes})
    for before, after in zip((None, *shas), shas, strict=False):
        place.push(before, after)
        server.work()
    return job


def lose(place: Installation, *images: str) -> None:
    for image in images:
        place.engine.without_image(image)


def start(place: Installation, job: Job, **overrides: Any) -> int:
    with place.db.write() as tx:
        now, changed = place.clock.now(), overrides_from_json(overrides)
        return start_run(tx, place.names, place.job_now(job), changed, BY_ADA, now)


def run_now(place: Installation, number: int = -1) -> Run:
    return place.runs()[number]


def last_build(place: Installation) -> Build:
    return place.builds()[-1]


def deployed(place: Installation, job: Job) -> tuple[str, int | None, str | None]:
    """Digest, build and commit."""
    has = place.job_now(job).deployed
    assert has is not None
    return has.digest, has.build_id, has.sha


def of_gone(place: Installation) -> list[tuple[str, str | None, str]]:
    """(event, job, verdict) of the decisions about images that are gone."""
    return [each[:3] for each in place.verdicts() if each[3] == "image_gone"]


def test_a_run_waits_for_its_image_and_then_runs(place: Installation, server: Server) -> None:
    job = built(place, server, A, B)
    lose(place, image_of(B))
    start(place, job)
    server.runner.step()
    waits = run_now(place)
    assert (waits.status, waits.sentence) == (
        RunStatus.QUEUED,
        f"Its image is gone; build 3 makes it again from {B[:7]}.",
    )
    assert (waits.attempts, waits.active, waits.failed, waits.awaited_build_id) == (0, 0, 0, 3)
    assert not server.runner.step(), "it waits for the build, not for a time"
    server.builder.step()
    again = last_build(place)
    assert (again.sha, again.rebuild_of, again.digest) == (B, 2, image_of(B, 1))
    assert server.runner.step()
    ended = run_now(place)
    assert (ended.status, ended.attempts, ended.digest) == (RunStatus.SUCCEEDED, 1, image_of(B, 1))
    assert (ended.build_id, ended.sha) == (3, B)
    assert deployed(place, job) == (image_of(B, 1), 3, B)
    assert of_gone(place) == [("run", "report", "queued"), ("build", "report", "deployed")]
    sentence = f"The image it had is gone; build 3 made it again from {B[:7]}, and it has that now."
    assert place.decisions()[-1].sentence == sentence
    start(place, job)
    server.work()
    assert (run_now(place).digest, len(place.builds()), len(place.runs())) == (image_of(B, 1), 3, 2)


def test_what_is_made_again_as_the_very_same_image_is_deployed_as_well(
    place: Installation, server: Server
) -> None:
    """Engines make the same of the same, down to the digest, where nothing in it has a time of its own."""
    job = built(place, server, A)
    lose(place, image_of(A))
    start(place, job)
    server.runner.step()
    place.engine.with_image(image_of(A))
    server.work()
    assert (run_now(place).status, run_now(place).digest) == (RunStatus.SUCCEEDED, image_of(A))
    assert (run_now(place).build_id, deployed(place, job)) == (2, (image_of(A), 2, A))
    assert of_gone(place) == [("run", "report", "queued"), ("build", "report", "deployed")]


@ON_BOTH
def test_all_who_need_it_wait_for_one_build_whatever_starts_them(place: Installation, server: Server) -> None:
    job = built(place, server, A)
    other = place.job("other", source={"type": "none"})
    with place.db.write() as tx:
        has = place.job_now(job).deployed
        assert has is not None
        jobs.deploy(tx, other.id, has)
    lose(place, image_of(A))
    second = place.server("two", alone=False)
    for which in (job, other, job):
        start(place, which)
    for each in (server, second, server):
        each.runner.step()
    assert [run.awaited_build_id for run in place.runs()] == [2, 2, 2]
    second.work()
    assert [(run.status, run.digest) for run in place.runs()] == [(RunStatus.SUCCEEDED, image_of(A, 1))] * 3
    assert [build.id for build in place.builds()] == [1, 2]
    assert deployed(place, other) == deployed(place, job) == (image_of(A, 1), 2, A)
    assert set(place.world.starts.values()) == {1}


def test_a_scheduled_run_waits_as_well(place: Installation, server: Server) -> None:
    schedule = {"cron": "* * * * *", "time_zone": "UTC", "active": True, "concurrency_policy": "forbid"}
    built(place, server, A, kind="cron", schedule=schedule)
    lose(place, image_of(A))
    place.clock.advance(60)
    Scheduler(place.db, place.clock, place.names, ClockChanges(place.db, place.clock)).step()
    server.work()
    (run,) = place.runs()
    assert (run.trigger.type, run.status, run.build_id) == (TriggerType.SCHEDULE, RunStatus.SUCCEEDED, 2)


@pytest.mark.parametrize("changes", [{}, {"cd_enabled": False}, {"paused": True}], ids=str)
def test_what_is_deployed_moves_without_the_rules_for_images(
    place: Installation, server: Server, changes: dict[str, Any]
) -> None:
    """It is of the same commit: nothing runs because of it, and no switch holds it back."""
    job = built(place, server, A)
    with place.db.write() as tx:
        spec = replace(place.job_now(job).spec, run_on_image_change=RunOnImageChange.ALWAYS, **changes)
        jobs.redefine(tx, job.id, spec, settings_of(job), place.clock.now())
    lose(place, image_of(A))
    start(place, job, confirm_paused=True)
    server.work()
    assert deployed(place, job) == (image_of(A, 1), 2, A)
    assert len(place.runs()) == 1


def test_an_older_build_never_wins_by_it(place: Installation, server: Server) -> None:
    job = built(place, server, A)
    start(place, job)
    server.work()
    place.push(A, B)
    server.work()
    lose(place, image_of(A))
    with place.db.write() as tx:
        run_again(tx, place.names, run_now(place), "same", BY_ADA, place.clock.now(), confirm_paused=False)
    server.work()
    assert (run_now(place).status, run_now(place).sha) == (RunStatus.SUCCEEDED, A)
    assert deployed(place, job) == (image_of(B), 2, B)
    assert of_gone(place) == [("run", "report", "queued")]
    place.push(B, C)
    server.work()
    assert deployed(place, job)[2] == C


@ON_BOTH
def test_what_was_made_again_before_is_taken_at_once(place: Installation, server: Server) -> None:
    job = built(place, server, A)
    start(place, job)
    server.work()
    lose(place, image_of(A))
    start(place, job)
    server.work()
    with place.db.write() as tx:
        first = place.runs()[0]
        run_again(tx, place.names, first, "same", BY_ADA, place.clock.now(), confirm_paused=False)
    server.work()
    assert (run_now(place).status, run_now(place).build_id, len(place.builds())) == (
        RunStatus.SUCCEEDED,
        2,
        2,
    )
    decision = place.decisions()[-1]
    assert (decision.verdict, decision.sentence) == (
        "built",
        f"Its image is gone; build 2 made it again from {A[:7]}.",
    )
    lose(place, image_of(A, 1))
    with place.db.write() as tx:
        run_again(tx, place.names, first, "same", BY_ADA, place.clock.now(), confirm_paused=False)
    server.work()
    assert (run_now(place).status, run_now(place).build_id) == (RunStatus.SUCCEEDED, 3)
    assert deployed(place, job) == (image_of(A, 2), 3, A)


def test_a_build_of_the_same_that_somebody_asked_for_is_taken(place: Installation, server: Server) -> None:
    """It has the same key: a push told of the commit once more, with CD off."""
    job = built(place, server, A)
    with place.db.write() as tx:
        jobs.set_cd(tx, job.id, enabled=False, now=place.clock.now())
    place.push(A, B)
    place.push(B, A)
    server.work()
    lose(place, image_of(A))
    place.push(A, B, guid="again")
    place.push(B, A, guid="and again")
    server.work()
    start(place, job)
    server.work()
    last = [build.sha for build in place.builds()]
    assert (run_now(place).status, last.count(A), place.builds()[-1].rebuild_of) == (
        RunStatus.SUCCEEDED,
        3,
        None,
    )
    assert run_now(place).build_id == max(build.id for build in place.builds() if build.sha == A)
    assert deployed(place, job)[2] == A


@ON_BOTH
def test_a_rebuild_that_fails_is_why_the_run_fails(place: Installation, server: Server) -> None:
    job = built(place, server, A, retry_limit=3)
    lose(place, image_of(A))
    place.backend.before_end[A] = fail(BuildFailed("Step 3 failed with exit code 1."))
    start(place, job)
    server.work()
    run = run_now(place)
    assert (run.status, run.reason, run.attempts) == (RunStatus.FAILED, Reason.IMAGE_UNAVAILABLE, 0)
    assert run.sentence == (
        f"Its image is gone, and build 2, which was to make it again from {A[:7]}, failed:"
        " Step 3 failed with exit code 1."
    )
    assert of_gone(place) == [("run", "report", "queued"), ("build", "report", "skipped")]
    assert place.decisions()[-1].sentence == (
        f"Build 2, which was to make its image again from {A[:7]}, failed: the image that is deployed is gone, and the"
        " next run asks for it again."
    )
    assert deployed(place, job) == (image_of(A), 1, A)
    start(place, job)
    server.work()
    assert (run_now(place).status, run_now(place).build_id) == (RunStatus.SUCCEEDED, 3)


def test_a_rebuild_that_is_cancelled_is_said(place: Installation, server: Server) -> None:
    job = built(place, server, A)
    lose(place, image_of(A))
    start(place, job)
    server.runner.step()
    with place.db.write() as tx:
        cancel_build(
            tx,
            place.names,
            builds.with_id(tx, 2),
            BuildReason.CANCELLED,
            "Cancelled by bob.",
            place.clock.now(),
        )
    server.work()
    assert run_now(place).sentence.endswith("was cancelled: Cancelled by bob.")


def test_a_git_server_that_is_away_makes_it_wait(place: Installation, server: Server) -> None:
    job = built(place, server, A)
    lose(place, image_of(A))
    place.repository.faults = [GitUnavailable("github.com does not answer.")] * 5
    start(place, job)
    server.work(rounds=60)
    assert (run_now(place).status, run_now(place).build_id) == (RunStatus.SUCCEEDED, 2)


def test_a_run_that_waits_can_be_cancelled(place: Installation, server: Server) -> None:
    job = built(place, server, A)
    lose(place, image_of(A))
    start(place, job)
    server.runner.step()
    with place.db.write() as tx:
        cancel_run(tx, run_now(place), "ada", place.clock.now())
    assert run_now(place).status is RunStatus.CANCELLED
    server.work()
    assert (run_now(place).status, run_now(place).sentence) == (RunStatus.CANCELLED, "Cancelled by ada.")
    assert deployed(place, job) == (image_of(A, 1), 2, A)
    assert not place.world.starts


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


def test_all_instances_wait_together(place: Installation, server: Server) -> None:
    job = built(place, server, A, instances=3)
    lose(place, image_of(A))
    start(place, job)
    server.work()
    assert (run_now(place).status, run_now(place).attempts) == (RunStatus.SUCCEEDED, 1)
    assert sorted(place.world.starts.values()) == [1, 1, 1]


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
            ref="refs/heads/main", sha=A, config=job.source.build, trigger={"type": "manual"}, now=now,
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


# deployments of apps


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
        return roll_back(tx, to, "ada", place.clock.now(), gone=gone, **{"with_hooks": False, **more})


@ON_BOTH
@pytest.mark.parametrize("with_hooks", [False, True])
def test_a_rollback_waits_for_what_is_gone(place: Installation, server: Server, *, with_hooks: bool) -> None:
    _, migrate, report = shop(place, server, A, B)
    lose(place, image_of(A))
    go_back(place, 0, {image_of(A)}, with_hooks=with_hooks)
    server.deployer.step()
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
