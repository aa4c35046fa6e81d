"""Which builds continuous delivery takes to a job: of chosen commits, and after it was switched on again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.commands.apps import release_hold
from app.commands.builds import request_build
from app.commands.image_rollout import build_to_deploy, deploy_job, image_of
from app.commands.pausing import pause, resume
from app.commands.runs import start_run
from app.domain.decisions import Decision
from app.domain.errors import Conflict, GitUnavailable
from app.domain.job.effective import NOTHING
from app.domain.job.records import Job
from app.domain.runs import Trigger, TriggerType
from app.store import apps, jobs
from tests.support.fakes import commit
from tests.support.installation import Installation
from tests.support.loops import Server

ONE, TWO, THREE, FOUR, FEATURE = (commit(name) for name in (1, 2, 3, 4, "feature"))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Installation]:
    place = Installation(tmp_path / "place")
    place.repository.history = [ONE, TWO, THREE, FOUR]
    yield place
    place.close()


def build(
    place: Installation, server: Server, job: Job, sha: str | None = None, ref: str | None = None
) -> int:
    """A build by hand, to its end and to that of what it leads to."""
    with place.db.write() as tx:
        build_id = request_build(
            tx, jobs.with_id(tx, job.id), sha=sha, branch=ref, who="ada", now=place.clock.now()
        )
    server.work()
    return build_id


def deployed(place: Installation, job: Job) -> str | None:
    now_has = place.job_now(job).deployed
    return None if now_has is None else now_has.sha


def last(place: Installation) -> Decision:
    return place.decisions()[-1]


def switch(place: Installation, job: Job, **switches: Any) -> Job:
    with place.db.write() as tx:
        return resume(tx, place.names, jobs.with_id(tx, job.id), who="ada", now=place.clock.now(), **switches)


@pytest.mark.parametrize("is_pushed", [True, False])
def test_an_older_commit_that_is_chosen_is_only_available(
    place: Installation, server: Server, is_pushed: bool
) -> None:
    job = place.job()
    if is_pushed:
        place.push(ONE, TWO)
        place.push(TWO, THREE)
        server.work()
    else:
        build(place, server, job, THREE)
    runs = len(place.runs())
    build_id = build(place, server, job, TWO if is_pushed else ONE)
    assert (deployed(place, job), len(place.runs())) == (THREE, runs)
    assert (last(place).verdict, last(place).rule) == ("available", "older_build")
    assert f"the newer commit {THREE[:7]} is deployed already" in last(place).sentence
    assert last(place).build_id == build_id
    assert "deploy it manually" in last(place).sentence
    assert place.job_now(job).cd_enabled


def test_a_newer_commit_of_the_branch_that_is_chosen_is_deployed_and_run(
    place: Installation, server: Server
) -> None:
    job = place.job()
    place.push(ONE, TWO)
    server.work()
    build(place, server, job, THREE)
    assert deployed(place, job) == THREE
    assert [run.sha for run in place.runs()] == [TWO, THREE]
    build(place, server, job, THREE)  # once more
    assert [run.sha for run in place.runs()] == [TWO, THREE, THREE]


def test_a_commit_that_is_not_on_the_branch_is_only_available(place: Installation, server: Server) -> None:
    job = place.job()
    place.push(ONE, TWO)
    server.work()
    place.repository.elsewhere = {FEATURE}
    build_id = build(place, server, job, FEATURE)
    assert deployed(place, job) == TWO
    assert (last(place).verdict, last(place).rule) == ("available", "other_branch")
    assert "its commit is not on main, the branch of job report" in last(place).sentence
    with place.db.read() as tx:
        assert build_to_deploy(tx, place.job_now(job), None).sha == TWO  # which is the latest of the branch
        assert build_to_deploy(tx, place.job_now(job), build_id).sha == FEATURE


def test_the_head_of_another_branch_is_said_to_be_that(place: Installation, server: Server) -> None:
    job = place.job()
    build(place, server, job, ref="feat")
    assert deployed(place, job) is None
    assert (last(place).verdict, last(place).rule) == ("available", "other_branch")
    assert "it is of feat, not of main, the branch of job report" in last(place).sentence


def test_where_git_cant_say_the_build_is_only_available(place: Installation, server: Server) -> None:
    job = place.job()
    place.push(ONE, TWO)
    server.work()
    with place.db.write() as tx:
        request_build(tx, job, sha=THREE, branch=None, who="ada", now=place.clock.now())
    ends: list[Any] = place.backend.before_end[THREE]
    ends.append(lambda _: place.repository.faults.append(GitUnavailable("github.com does not answer.")))
    server.work()
    assert deployed(place, job) == TWO
    assert (last(place).verdict, last(place).rule) == ("available", "unknown_commit")
    assert "Git could not say whether its commit is on main" in last(place).sentence


def test_a_chosen_older_commit_is_not_the_latest_to_deploy(place: Installation, server: Server) -> None:
    job = place.job(cd_enabled=False)
    build(place, server, job, THREE)
    build(place, server, job, TWO)
    build(place, server, job, ONE)
    with place.db.read() as tx:
        assert build_to_deploy(tx, place.job_now(job), None).sha == THREE


def test_cd_switched_on_deploys_the_latest_build_and_starts_nothing(
    place: Installation, server: Server
) -> None:
    job = place.job()
    place.push(ONE, TWO)
    server.work()
    with place.db.write() as tx:
        jobs.set_cd(tx, job.id, enabled=False, now=place.clock.now())
    place.push(TWO, THREE)
    server.work()
    assert (deployed(place, job), last(place).verdict, last(place).rule) == (TWO, "available", "cd_off")
    switch(place, job, cd_enabled=True)
    server.work()
    assert deployed(place, job) == THREE
    assert [run.sha for run in place.runs()] == [TWO]
    assert (last(place).verdict, last(place).rule) == ("deployed", "cd_on")
    assert last(place).sentence.startswith(
        f"CD switched on by ada: build 2 of {THREE[:7]}, the latest of main,"
    )
    place.push(THREE, FOUR)
    server.work()
    assert deployed(place, job) == FOUR


def test_a_resume_deploys_what_was_built_meanwhile(place: Installation, server: Server) -> None:
    job = place.job()
    place.push(ONE, TWO)
    server.intake.step()
    with place.db.write() as tx:
        pause(tx, place.names, job, who="ada", now=place.clock.now())
    server.work()
    assert (deployed(place, job), last(place).rule) == (None, "paused")
    switch(place, job)
    server.work()
    assert (deployed(place, job), place.runs()) == (TWO, [])
    assert last(place).sentence.startswith("Resumed by ada: build 1 of")


def test_a_resume_with_cd_off_deploys_nothing(place: Installation, server: Server) -> None:
    job = place.job(paused=True)
    build(place, server, job, ref="main")
    switch(place, job, cd_enabled=False)
    assert (deployed(place, job), last(place).verdict) == (None, "resumed")


def test_what_is_deployed_already_is_said(place: Installation, server: Server) -> None:
    job = place.job()
    switch(place, place.job("other", cd_enabled=False), cd_enabled=True)
    assert last(place).sentence == (
        "CD switched on by ada: no build of main has succeeded yet, so nothing is deployed."
    )
    place.push(ONE, TWO)
    server.work()
    with place.db.write() as tx:
        pause(tx, place.names, jobs.with_id(tx, job.id), who="ada", now=place.clock.now())
    switch(place, job)
    assert (last(place).verdict, last(place).rule) == ("skipped", "cd_on")
    assert "is deployed already" in last(place).sentence


def test_cd_switched_on_goes_back_from_what_was_deployed_by_hand(place: Installation, server: Server) -> None:
    job = place.job()
    place.push(ONE, TWO)
    place.push(TWO, THREE)
    server.work()
    with place.db.write() as tx:
        older = image_of(build_to_deploy(tx, job, 1), job, place.clock.now())
        deploy_job(
            tx, place.names, job, older, latest=False, confirm_paused=False, who="ada", now=place.clock.now()
        )
    assert deployed(place, job) == TWO
    switch(place, job, cd_enabled=True)
    assert deployed(place, job) == THREE


def test_a_released_hold_deploys_the_latest_builds(place: Installation, server: Server) -> None:
    job = place.job()
    app = place.app("shop", job)
    place.push(ONE, TWO)
    server.work()
    with place.db.write() as tx:
        apps.hold(tx, app.id, place.deployments()[0].id)
    place.push(TWO, THREE)
    server.work()
    assert (deployed(place, job), last(place).rule) == (TWO, "rollback_hold")
    switch(place, job)  # changes nothing: it was neither paused nor off
    runs = len(place.runs())
    with place.db.write() as tx:
        release_hold(tx, place.names, apps.with_id(tx, app.id), who="ada", now=place.clock.now())
    server.work()
    assert (deployed(place, job), len(place.runs())) == (THREE, runs)
    assert last(place).sentence.startswith("Hold of app shop released by ada: build 2 of")


def test_a_member_of_an_app_gets_no_chosen_older_commit(place: Installation, server: Server) -> None:
    job = place.job()
    place.app("shop", job)
    place.push(ONE, THREE)
    server.work()
    made = len(place.deployments())
    build(place, server, job, TWO)
    assert (deployed(place, job), len(place.deployments())) == (THREE, made)
    assert (last(place).verdict, last(place).rule) == ("available", "older_build")


def test_a_run_without_an_image_says_what_is_there(place: Installation, server: Server) -> None:
    job = place.job(cd_enabled=False)
    trigger = Trigger(TriggerType.API, by="ada")

    def refused() -> str:
        with place.db.write() as tx, pytest.raises(Conflict) as error:
            start_run(tx, place.names, place.job_now(job), NOTHING, trigger, place.clock.now())
        return str(error.value)

    assert (
        refused() == "Job report has no image to run: build it first, by a push or manually, and deploy it."
    )
    place.push(ONE, TWO)
    server.intake.step()
    assert refused() == "Job report has no image to run: build 1 is not over yet: wait for it, and deploy it."
    server.work()
    assert refused() == (
        f"Job report has no image to run: build 1 of {TWO[:7]} is available, so deploy it first."
    )
