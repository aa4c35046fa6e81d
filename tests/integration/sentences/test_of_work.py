"""What is stored of pushes, builds and images, word by word; each test makes the situation that says it."""

from __future__ import annotations

from typing import Any

import pytest

from app.commands.builds import request_build
from app.commands.dry_run import DryRun
from app.commands.image_rollout import build_to_deploy, deploy_job, image_of
from app.commands.pausing import pause, resume
from app.commands.runs import start_run
from app.domain.builds import BuildReason, BuildStatus
from app.domain.errors import Conflict, GitUnavailable
from app.domain.job.effective import NOTHING, Overrides
from app.domain.job.records import Job
from app.domain.paths import Matching
from app.domain.runs import Trigger, TriggerType
from app.forges.github import GitHub
from app.store import apps, builds, jobs
from app.web.schemas.plan import PushForm
from builders.backends.base import BuildFailed
from tests.support.fakes import commit, fail
from tests.support.installation import Installation
from tests.support.loops import Server
from tests.support.sentences import A, B, C, built, said, sql

PUSH = f"Push of {B[:7]} to main"
CRON: dict[str, Any] = {"kind": "cron", "schedule": {"cron": "0 3 1 1 *", "time_zone": "UTC", "active": True}}


# pushes


@pytest.mark.parametrize(
    ("job", "push", "sentence"),
    [
        ({"paused": True}, {}, "The job is paused: resume it to build pushes again."),
        (
            {"paused": True, "ci_enabled": False},
            {},
            "The job is paused and CI is off: resume it and turn CI on to build pushes again.",
        ),
        (
            {"build__paths": ["docs/"], "build__paths_mode": "allow"},
            {"files": ()},
            f"{PUSH} changed no file, so none that the path rules (docs/) let build.",
        ),
        (
            {"build__paths": ["docs/"], "build__paths_mode": "ignore"},
            {"files": ("docs/a",)},
            f"{PUSH} changed 1 file, all ignored by the path rules (docs/).",
        ),
        (
            {"build__paths": ["docs/"], "build__paths_mode": "allow"},
            {"files": ("a", "b")},
            f"{PUSH} changed 2 files, none allowed by the path rules (docs/).",
        ),
    ],
)
def test_a_push_that_is_not_built(
    place: Installation, server: Server, job: dict[str, Any], push: dict[str, Any], sentence: str
) -> None:
    place.job(**job)
    place.push(A, B, **push)
    server.intake.step()
    assert said(place) == sentence
    assert place.builds() == []


def test_a_push_that_takes_too_long_to_match(
    place: Installation, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Matching, "asks_for_build", lambda *_: None)
    place.job(build__paths=["docs/"])
    place.push(A, B)
    server.intake.step()
    assert said(place) == (
        f"{PUSH} changed 1 file, too much to match with the path rules in time, so it builds: build 1."
    )


@pytest.mark.parametrize(
    ("job", "what", "why"),
    [
        (
            {"build__paths": ["docs/"]},
            "which files it changes",
            "one of the commits before and after the push can't be had.",
        ),
        ({}, "whether commits that aren't listed carry a flag", "github.com does not answer."),
    ],
)
def test_what_git_cannot_say_of_a_push(
    place: Installation, server: Server, job: dict[str, Any], what: str, why: str
) -> None:
    place.job(**job)
    place.push(A, B, messages=["Change"] * 2048)  # as many as a forge lists: there may be more
    place.repository.differing.clear()
    if not job:
        place.repository.faults = [GitUnavailable(why)] * 3
    server.intake.step()
    assert said(place) == f"{PUSH}: build 1. Git could not say {what}, so it builds: {why}"


def test_a_push_that_joins_a_build(place: Installation, server: Server) -> None:
    place.job("one")
    place.job("two")
    guid = place.push(A, B)
    server.intake.step()
    assert {each.sentence for each in place.decisions()} == {
        f"{PUSH}: build 1.",
        f"{PUSH}: joins build 1, which makes the same image.",
    }
    assert place.delivery(guid).sentence == "2 of 2 sources to be built, 2 jobs decided."


def test_a_delivery_that_nothing_is_there_for(place: Installation, server: Server) -> None:
    guid = place.push(A, B)
    server.intake.step()
    assert place.delivery(guid).sentence == "No job or build service has this repository."


def test_a_delivery_under_which_servers_died_after_a_fault(
    place: Installation, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.job()
    guid = place.push(A, B)

    def fault(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr("app.workers.intake.push_of", fault)
        server.intake.step()
    why = "Jobyard failed while processing this delivery; the server's log has more."
    assert place.delivery(guid).sentence == why
    sql(place, "UPDATE delivery SET deaths = 8")
    place.clock.advance(60)
    server.intake.step()
    assert place.delivery(guid).sentence == (
        "Given up: 8 times the server was killed, or failed, while it processed this, although nothing else was under"
        f" suspicion any more. An earlier try ended with: {why} Replay the delivery to try it again."
    )


# builds


def test_a_build_of_an_older_push(place: Installation, server: Server) -> None:
    place.job(source__builds_in_flight="latest")
    place.push(A, B)
    place.push(B, C)
    while server.intake.step():
        pass
    assert place.builds()[0].sentence == "Superseded by build 2 of a newer push."


def test_a_build_that_is_cancelled_while_it_builds_and_one_for_which_that_comes_too_late(
    place: Installation, server: Server
) -> None:
    def cancel(number: int) -> None:
        with place.db.write() as tx:
            builds.cancel(
                tx, builds.with_id(tx, number), BuildReason.CANCELLED, "Cancelled by ada.", place.clock.now()
            )

    def in_time(_: object) -> None:
        cancel(1)
        server.watcher.step()

    place.backend.before_end[B] = [in_time]
    place.backend.before_end[C] = [lambda _: cancel(2)]
    built(place, server)
    place.push(B, C)
    server.work()
    stopped, late = place.builds()
    assert (stopped.status, stopped.sentence) == (BuildStatus.CANCELLED, "Cancelled by ada.")
    assert "The build was stopped." in place.build_log(stopped).decode()
    assert (late.status, late.sentence) == (BuildStatus.SUCCEEDED, "")


@pytest.mark.parametrize(
    ("before", "sentence"),
    [
        (0, "The server was stopped or failed, or its database did, during this build; building again."),
        (
            2,
            (
                "The server was killed, or failed, 3 times during this build, which may be the cause: building again"
                " when the server has stayed up for 15 s."
            ),
        ),
        (
            7,
            (
                "The server was killed, or failed, 8 times during this build, although nothing else was under suspicion"
                " any more; not building again by itself. Start the build again once the cause is known."
            ),
        ),
    ],
)
def test_a_build_whose_server_is_gone(
    place: Installation, server: Server, before: int, sentence: str
) -> None:
    place.job()
    place.push(A, B)
    server.intake.step()
    with place.db.write() as tx:
        builds.claim(tx, "another", place.clock.now())
    sql(place, f"UPDATE build SET deaths = {before}")
    server.reconciler.take_over()
    assert place.builds()[0].sentence == sentence


# images


@pytest.mark.parametrize(
    ("job", "sentence"),
    [
        ({}, "CD is on and run on image change is always."),
        ({"run_on_image_change": "cd-promote"}, "CD is on and run on image change is CD & promotion."),
        ({"run_on_image_change": "never"}, "CD is on and run on image change is never, so nothing runs."),
        (
            {**CRON, "schedule": {**CRON["schedule"], "active": False}},
            "CD is on; the schedule is inactive, so nothing starts by itself.",
        ),
    ],
)
def test_a_build_that_is_deployed(
    place: Installation, server: Server, job: dict[str, Any], sentence: str
) -> None:
    built(place, server, **job)
    assert said(place) == f"Build 1 of {B[:7]} succeeded, {sentence}"


def test_a_build_that_fails_before_and_after_there_is_something_deployed(
    place: Installation, server: Server
) -> None:
    place.backend.before_end[B] = fail(BuildFailed("no such package"))
    built(place, server)
    assert said(place) == f"Build 1 of {B[:7]} failed: nothing is deployed."
    place.push(B, C)
    server.work()
    place.push(C, commit("d"))
    place.backend.before_end[commit("d")] = fail(BuildFailed("no such package"))
    server.work()
    assert said(place) == f"Build 3 of {commit('d')[:7]} failed: what is deployed stays as it is."


def test_a_deploy_to_a_paused_job(place: Installation, server: Server) -> None:
    job = built(place, server, paused=False)
    with place.db.write() as tx:
        now = place.clock.now()
        paused = pause(tx, place.names, jobs.with_id(tx, job.id), who="ada", now=now)
        image = image_of(build_to_deploy(tx, paused, None), paused, now)
        deploy_job(tx, place.names, paused, image, latest=True, confirm_paused=True, who="ada", now=now)
    assert said(place) == f"Build 1 of {B[:7]} deployed by ada; the job is paused, so nothing runs."


@pytest.mark.parametrize(
    ("job", "paused", "switched"),
    [
        (
            {},
            "pushes build nothing, builds are not deployed and no new image starts a run",
            ": CI is on, CD is off",
        ),
        (
            CRON,
            "pushes build nothing, builds are not deployed, no new image starts a run and the schedule starts nothing",
            ": CI is on, CD is off, the schedule is active",
        ),
        ({"source": {"type": "image", "image": "busybox"}}, "no new image starts a run", ""),
    ],
)
def test_a_pause_says_what_it_holds_back_and_a_resume_what_goes_on(
    place: Installation, job: dict[str, Any], paused: str, switched: str
) -> None:
    made = place.job(**job)
    with place.db.write() as tx:
        held = pause(tx, place.names, made, who="ada", now=place.clock.now())
    assert said(place) == f"Paused by ada: {paused} until it is resumed; what runs goes on."
    with place.db.write() as tx:
        going = resume(tx, place.names, held, who="ada", now=place.clock.now(), cd_enabled=False)
    next_time = " The next scheduled time is 2027-01-01 03:00 UTC"
    missed = f"{next_time}, and none that passed meanwhile is caught up." if made.schedule else ""
    assert said(place) == f"Resumed by ada{switched}.{missed}"
    with place.db.write() as tx:
        resume(tx, place.names, going, who="ada", now=place.clock.now(), cd_enabled=True)
    sentences = [each.sentence for each in place.decisions()]
    again = f"{next_time}." if made.schedule else ""
    assert f"Switched by ada{switched.replace('CD is off', 'CD is on')}.{again}" in sentences


def test_a_pause_holds_back_no_push_of_a_build_service(place: Installation) -> None:
    made = place.job()
    sql(place, "UPDATE source SET name = 'reports'")
    with place.db.write() as tx:
        pause(tx, place.names, jobs.with_id(tx, made.id), who="ada", now=place.clock.now())
    assert said(place) == (
        "Paused by ada: builds are not deployed and no new image starts a run until it is resumed; what runs goes on."
    )


def switched_on(place: Installation, job: Job) -> str:
    """What is said when CD is switched off and on again."""
    with place.db.write() as tx:
        now = place.clock.now()
        off = resume(tx, place.names, jobs.with_id(tx, job.id), who="ada", now=now, cd_enabled=False)
        resume(tx, place.names, off, who="ada", now=now, cd_enabled=True)
    return said(place)


def test_what_becomes_of_the_latest_build_when_cd_is_switched_on(place: Installation, server: Server) -> None:
    job = place.job(cd_enabled=False)
    assert switched_on(place, job) == (
        "CD switched on by ada: no build of main has succeeded yet, so nothing is deployed."
    )
    with place.db.write() as tx:
        jobs.set_cd(tx, job.id, enabled=False, now=place.clock.now())
    place.push(A, B)
    server.work()
    latest = f"CD switched on by ada: build 1 of {B[:7]}, the latest of main,"
    assert switched_on(place, job) == f"{latest} is deployed, and nothing runs because of it."
    assert switched_on(place, job) == f"{latest} is deployed already."
    sql(place, "UPDATE source SET repo_key = 'github.com/acme/other'")
    sql(place, "UPDATE job SET deployed = NULL")
    assert switched_on(place, job) == (
        f"{latest} is not deployed, since job report is built from another repository by now."
    )


def test_a_job_of_an_app_that_is_held(place: Installation, server: Server) -> None:
    job = place.job()
    app = place.app("shop", job)
    place.push(A, B)
    server.work()
    with place.db.write() as tx:
        apps.hold(tx, app.id, 1)
    held = "app shop is held at rollback 1 until released"
    assert switched_on(place, job) == f"CD switched on by ada: {held}, so nothing is deployed."
    place.push(B, C)
    server.work()
    assert said(place) == (
        f"Build 2 of {C[:7]} succeeded: {held}, so the build is only available; deploy it manually to use it."
    )


def test_a_chosen_commit_of_which_git_can_say_nothing(place: Installation, server: Server) -> None:
    job = place.job()
    place.push(A, B)
    server.work()
    with place.db.write() as tx:
        request_build(tx, job, sha=C, branch=None, who="ada", now=place.clock.now())
    server.work()
    assert said(place) == (
        f"Build 2 of {C[:7]} succeeded: Git could not say whether its commit is on main, the branch of job report, and"
        " newer than what is deployed, so the build is only available; deploy it manually to use it."
    )


# rehearsals


def test_what_a_push_would_do_to_hooks_of_an_app(place: Installation) -> None:
    place.app(
        "shop",
        place.job("migrate", deploy_trigger="pre-deploy"),
        place.job("web"),
        place.job("notice", deploy_trigger="failed-deploy"),
    )
    dry_run = DryRun(place.db, place.clock, {"github": GitHub()}, place.repository, place.box)  # type: ignore[arg-type]
    push = PushForm(repository="acme/report", ref="main", before=A, after=B).as_push()
    found = {each.job: each for each in dry_run.of_push(push, None)}
    what = f"If the build of {B[:7]} succeeds"
    moves = "Its image moves as part of a deployment of app shop, after its pre-deploy jobs."
    says = {job: each.deploy and each.deploy.sentence for job, each in found.items()}
    assert says == {
        "migrate": f"{what}; the job is the deployment's pre-deploy job. {moves}",
        "web": f"{what}, CD is on and run on image change is always. {moves}",
        "notice": f"{what}; the job is the deployment's failed-deploy job. {moves}",
    }
    assert {job: each.would_run for job, each in found.items()} == {
        "migrate": True,
        "web": True,
        "notice": False,
    }


# what has no image to run


@pytest.mark.parametrize(
    ("job", "how"),
    [
        ({}, "build it first, by a push or manually"),
        ({"ci_enabled": False}, "build it first, manually"),
        ({"cd_enabled": False}, "build it first, by a push or manually, and deploy it"),
        ({"paused": True}, "build it first, manually, and deploy it"),
        ({"source": {"type": "none"}}, "its source is none: give it one"),
    ],
)
def test_how_a_job_gets_an_image(place: Installation, job: dict[str, Any], how: str) -> None:
    made = place.job(**job)
    trigger = Trigger(TriggerType.MANUAL, by="ada")
    with place.db.write() as tx, pytest.raises(Conflict) as refused:
        start_run(tx, place.names, made, Overrides(confirm_paused=True), trigger, place.clock.now())
    assert str(refused.value) == f"Job report has no image to run: {how}."


def test_a_build_of_another_branch_is_not_waited_for(place: Installation, server: Server) -> None:
    made = place.job()
    place.push(A, B)
    server.intake.step()
    sql(place, "UPDATE build SET ref = 'refs/heads/other'")
    trigger = Trigger(TriggerType.MANUAL, by="ada")
    with place.db.write() as tx, pytest.raises(Conflict, match=r"build it first, by a push or manually\."):
        start_run(tx, place.names, made, NOTHING, trigger, place.clock.now())
