"""By which rules a target is told of what the loops did, and in which words."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import text

from app.commands.deployments import begin_deployment
from app.commands.image_rollout import deploy_job, image_of
from app.domain.deployments import Cause
from app.domain.job.records import Job
from app.domain.notifications import What
from app.domain.runs import Reason, Trigger, TriggerType
from app.engines.fake import Script
from app.store import apps, notices, notification_targets, runs
from app.store import jobs as stored_jobs
from tests.support.fakes import commit
from tests.support.installation import Installation
from tests.support.loops import Server
from tests.support.telling import Told

A, B = commit("a"), commit("b")
IMAGE = {"type": "image", "image": "busybox"}


@pytest.fixture
def ends(place: Installation, server: Server, told: Told) -> Callable[..., None]:
    """Runs of a job that end so, one after the other, each told before the next one."""
    jobs: dict[str, Job] = {}

    def end(*codes: int, job: str = "report", **changes: object) -> None:
        if job not in jobs:
            jobs[job] = place.job(job, source=IMAGE, **changes)  # type: ignore[arg-type]
        for code in codes:
            place.engine.script("*", Script(exit_code=code, output=[b"counting\n", b"it broke\n"]))
            queue(place, jobs[job])
            server.work()
            told.tell(61)

    return end


def queue(place: Installation, job: Job) -> int:
    with place.db.write() as tx:
        return runs.enqueue(
            tx,
            name=f"{job.name}-{place.names.suffix()}",
            project_id=job.project_id,
            job_id=job.id,
            trigger=Trigger(TriggerType.MANUAL, by="ada", cause="Started manually."),
            spec=job.spec.run,
            now=place.clock.now(),
            image="sha256:" + "a" * 64,
            digest="sha256:" + "a" * 64,
        )


def test_first_failures_and_recoveries_alternate(told: Told, ends: Callable[..., None]) -> None:
    ops, every = told.target("ops", "first_failure", "recovery"), told.target("every", "failure", "end")
    ends(0, 3, 3, 0, 0, 1)
    assert told.headlines(ops) == [["report failed"], ["report works again"], ["report failed"]]
    assert told.headlines(every) == [
        ["report succeeded"],
        ["report failed"],
        ["report failed again"],
        ["report works again"],
        ["report succeeded"],
        ["report failed"],
    ]


def test_a_message_says_what_why_and_the_last_lines(told: Told, ends: Callable[..., None]) -> None:
    told.target("ops", "first_failure")
    ends(3)
    ((url, _, headers),) = told.posts
    assert url == "https://hooks.slack.com/services/T0/B0/secret"
    (body,) = told.bodies()
    said = body["text"].splitlines()
    assert said[0] == "*[reports] report failed*"
    assert said[1] == "Exited with code 3."
    assert said[2].startswith("Run report-00001, started by hand (ada), took ")
    assert said[3] == "https://ci.example.com/runs/1"
    assert said[-3:] == ["counting", "it broke", "```"]
    assert headers["Idempotency-Key"].startswith("jobyard-2026")


def test_only_the_last_attempt_is_told(told: Told, ends: Callable[..., None]) -> None:
    ops = told.target("ops", "failure")
    ends(1, retry_limit=2)
    assert told.headlines(ops) == [["report failed"]]


def test_a_target_made_while_a_job_fails_knows_it(told: Told, ends: Callable[..., None]) -> None:
    """Nothing was noticed of the runs before, so they themselves tell."""
    ends(1, 1)
    ops = told.target("ops", "first_failure", "recovery")
    ends(1, 0)
    assert told.headlines(ops) == [["report works again"]]


def test_what_happened_while_a_project_had_no_target_counts(told: Told, ends: Callable[..., None]) -> None:
    ops = told.target("ops", "first_failure")
    ends(0)
    with told.place.db.write() as tx:
        notification_targets.delete(tx, ops)
    ends(1)
    ops = told.target("ops", "first_failure", "recovery")
    ends(1, 0)
    assert told.headlines(ops) == [["report works again"]]


def test_a_cancelled_run_is_neither_failure_nor_success(
    told: Told, ends: Callable[..., None], place: Installation
) -> None:
    ops, every = told.target("ops", "first_failure", "recovery"), told.target("every", "end")
    ends(1)
    with place.db.read() as tx:
        job = stored_jobs.named(tx, "reports", "report")
    run_id = queue(place, job)
    with place.db.write() as tx:
        runs.cancel(tx, runs.with_id(tx, run_id), Reason.CANCELLED, "Cancelled by ada.", place.clock.now())
    told.tell(61)
    ends(1)
    assert told.headlines(ops) == [["report failed"]]
    assert told.headlines(every) == [["report failed"], ["report was cancelled"], ["report failed again"]]


def test_a_target_is_for_its_jobs_alone(told: Told, ends: Callable[..., None]) -> None:
    ends(0, job="other")
    ends(0)
    ops = told.target("ops", "failure", jobs=["other"])
    ends(1)
    ends(1, job="other")
    assert told.headlines(ops) == [["other failed"]]


def test_nothing_is_told_of_a_deleted_job(told: Told, ends: Callable[..., None], place: Installation) -> None:
    ops = told.target("ops", "end")
    ends(0)
    with place.db.write() as tx:
        job = stored_jobs.named(tx, "reports", "report")
    run_id = queue(place, job)
    with place.db.write() as tx:
        runs.cancel(tx, runs.with_id(tx, run_id), Reason.CANCELLED, "Its job is deleted.", place.clock.now())
        stored_jobs.delete(tx, job.id, place.clock.now())
    told.tell(61)
    assert told.headlines(ops) == [["report succeeded"]]


def test_a_failed_build_is_told_with_its_jobs(place: Installation, server: Server, told: Told) -> None:
    ops, others = told.target("ops", "build_failure"), told.target("others", "failure", "end")
    place.job(build__mode="auto")
    place.repository.files[B] = {"README": "nothing to build"}
    place.push(A, B)
    server.work()
    told.tell()
    ((item,),) = [each.items for each in told.deliveries(ops)]
    assert item.headline == "Build 1 of main failed"
    assert item.details == f"Build 1 ({B[:7]}) for report."
    assert item.sentence
    assert item.path == "/builds/1"
    assert told.headlines(others) == []


def test_images_that_move_are_told(place: Installation, server: Server, told: Told) -> None:
    ops = told.target("ops", "deployment")
    job = place.job()
    place.push(A, B)
    server.work()
    told.tell(61)
    assert told.headlines(ops) == [["report got another image"]]
    (build,) = place.builds()
    with place.db.write() as tx:
        image = image_of(build, job, place.clock.now())
        deploy_job(
            tx, place.names, job, image, latest=False, confirm_paused=False, who="ada", now=place.clock.now()
        )
    told.tell(61)
    assert told.deliveries(ops)[-1].items[0].sentence.startswith(f"Build 1 of {B[:7]} deployed by ada")


def test_an_apps_deployment_is_told_once(place: Installation, server: Server, told: Told) -> None:
    ops = told.target("ops", "deployment")
    place.app("shop", place.job("one"), place.job("two"))
    place.push(A, B)
    server.work()
    told.tell()
    assert told.headlines(ops) == [["App shop was deployed"]]


def test_a_notice_that_cannot_be_told_holds_up_no_other(
    told: Told, ends: Callable[..., None], place: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    ops = told.target("ops", "end", "deployment")
    place.app("shop", place.job("one"))
    with place.db.write() as tx:
        app = apps.named(tx, "reports", "shop")
        deployment = begin_deployment(
            tx, app, cause=Cause.API, by="ada", sentence="Deployed.", now=place.clock.now(), sha=A
        )
        tx.connection().execute(text("UPDATE deployment SET status = 'of a later version'"))
        notices.note(tx, What.DEPLOYMENT_ENDED, place.project.id, deployment.id)
    ends(0)
    assert told.headlines(ops) == [["report succeeded"]]
    assert "a notice can't be told and is left out" in caplog.text


def test_a_target_of_a_later_version_holds_up_no_other(
    told: Told, ends: Callable[..., None], place: Installation
) -> None:
    odd, ops = told.target("odd", "end"), told.target("ops", "end")
    with place.db.write() as tx:
        change = "UPDATE notification_target SET rules = '[\"moonrise\"]' WHERE id = :id"
        tx.connection().execute(text(change), {"id": odd.id})
    ends(0)
    assert told.headlines(ops) == [["report succeeded"]]
