"""From a recorded delivery to what it builds and runs: real store, engine in memory, loops stepped by hand."""

from __future__ import annotations

import pytest

from app.domain import paths
from app.domain.builds import BuildStatus
from app.domain.runs import RunStatus
from app.domain.sealing import Owner
from app.engines.fake import Script
from app.store import projects
from tests.support.background import InBackground
from tests.support.fakes import commit, image_of
from tests.support.installation import Installation
from tests.support.loops import Server

A, B, C, D = (commit(letter) for letter in "abcd")


def test_a_push_is_built_deployed_and_run(place: Installation, server: Server) -> None:
    job = place.job(env={"GREETING": "hello", "TOKEN": {"value": "built", "scope": "build"}})
    place.engine.script("*", Script(output=[b"hello\n"]))
    guid = place.push(A, B)
    server.work()
    assert place.delivery(guid).sentence == "1 of 1 source to be built, 1 job decided."
    (build,), (run,) = place.builds(), place.runs()
    assert (build.sha, build.status, build.digest) == (B, BuildStatus.SUCCEEDED, image_of(B))
    assert (run.sha, run.image, run.build_id, run.status) == (B, image_of(B), build.id, RunStatus.SUCCEEDED)
    deployed = place.job_now(job).deployed
    assert deployed is not None
    assert (deployed.sha, deployed.build_id) == (B, build.id)
    built, started = place.decisions()
    assert built.sentence == f"Push of {B[:7]} to main: build {build.id}."
    assert (built.build_id, started.run_id) == (build.id, run.id)
    assert started.sentence == run.trigger.cause
    assert place.attempt_log(run, 1) == b"hello\n"
    assert place.backend.requests[0].build_args == {
        "TOKEN": "built",
        "JOBYARD_GIT_SHA": B,
        "JOBYARD_GIT_BRANCH": "main",
    }


def test_the_container_is_told_who_it_is(place: Installation, server: Server) -> None:
    place.job(env={"GREETING": "hello", "TOKEN": {"value": "built", "scope": "build"}}, instances=2)
    place.engine.script("*", Script(exit_code=None))
    place.push(A, B)
    server.intake.step()
    server.builder.step()
    run = InBackground(server.runner.step)
    server.until_running(2)
    env = place.engine.spec("run-1-1-1").env
    for key in place.engine.running():
        place.engine.finish(key)
    run.join()
    assert env == {
        "GREETING": "hello",
        "JOBYARD_PROJECT": "reports",
        "JOBYARD_JOB": "report",
        "JOBYARD_RUN": place.runs()[0].name,
        "JOBYARD_ATTEMPT": "1",
        "JOBYARD_INSTANCE_INDEX": "1",
        "JOBYARD_INSTANCES": "2",
        "JOBYARD_GIT_SHA": B,
        "JOBYARD_GIT_BRANCH": "main",
    }


@pytest.mark.parametrize(
    ("job", "push", "rule"),
    [
        ({"ci_enabled": False}, {}, "ci_off"),
        ({"paused": True}, {}, "paused"),
        ({}, {"ref": "refs/heads/feature"}, "other_branch"),
        ({}, {"ref": "refs/tags/v1"}, "tag"),
        ({}, {"after": None}, "deleted_ref"),
        ({}, {"messages": ("Work [skip ci]", "More work")}, "commit_flag"),
        ({"build__paths": ["docs/"]}, {"files": ("docs/a.md",)}, "paths"),
        ({"build__paths": ["src/"], "build__paths_mode": "allow"}, {"files": ("docs/a.md",)}, "paths"),
    ],
)
def test_a_push_that_is_not_built_says_why_and_does_nothing_else(
    place: Installation, server: Server, job: dict[str, object], push: dict[str, object], rule: str
) -> None:
    place.job(**job)
    guid = place.push(**{"before": A, "after": B, **push})  # type: ignore[arg-type]
    server.work()
    assert place.verdicts() == [("push", "report", "skipped", rule)]
    assert place.decisions()[0].event_id == guid
    assert place.delivery(guid).status == "processed"
    assert place.builds() == []
    assert place.runs() == []


def test_files_of_a_forced_push_are_asked_of_git(place: Installation, server: Server) -> None:
    place.job(build__paths=["docs/"])
    place.repository.differing[A, B] = frozenset({"docs/a.md"})
    place.push(A, B, forced=True)
    place.push(B, C, forced=True)  # of which Git can't say what differs: it builds
    server.intake.step()
    server.intake.step()
    assert [rule for _, _, _, rule in place.verdicts()] == ["paths", "push"]


@pytest.mark.parametrize(
    ("rules", "file"),
    [
        (["*a*a*a*a*a*ab"], "a" * 200),
        (["*_*_*_*_test.go"], "_" * 255),
        (["**/a/" * 8 + "x"], "a/" * 40 + "a"),
    ],
)
def test_path_rules_that_a_backtracking_matcher_never_ends_with(
    place: Installation, server: Server, rules: list[str], file: str
) -> None:
    place.job(build__paths=rules, build__paths_mode="allow")
    place.push(A, B, files=(file,))
    server.intake.step()
    assert [rule for _, _, _, rule in place.verdicts()] == ["paths"]


def test_path_rules_that_take_too_long_let_the_push_build_and_say_so(
    place: Installation, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "WORK", 100_000)
    place.job(build__paths=["*a*a*a*b"])
    place.push(A, B, files=("a" * 2_000, "c"))
    server.intake.step()
    (decision,) = place.decisions()
    assert (decision.verdict, decision.rule) == ("built", "paths_unmatched")
    assert "changed 2 files, too much to match with the path rules in time, so it builds" in decision.sentence


def test_a_repository_that_no_job_has_is_ignored(place: Installation, server: Server) -> None:
    place.job()
    guid = place.push(A, B, url="https://github.com/acme/other.git")
    foreign = place.push(B, C, scopes=["project:99"])
    server.work()
    assert place.delivery(guid).status == place.delivery(foreign).status == "ignored"
    assert place.decisions() == []


def test_a_payload_that_cannot_be_read_fails_with_a_sentence(place: Installation, server: Server) -> None:
    place.job()
    guid = place.push(A, B, ref="main")
    server.work()
    delivery = place.delivery(guid)
    assert (delivery.status, delivery.sentence) == (
        "failed",
        "The payload's ref must be a full ref name such as refs/heads/main.",
    )


def test_the_same_delivery_twice_is_one(place: Installation, server: Server) -> None:
    place.job()
    for _ in range(2):
        place.push(A, B, guid="same")
        server.work()
    assert len(place.builds()) == len(place.runs()) == 1
    assert len(place.decisions()) == 2


@pytest.mark.parametrize("between", [[], [(B, C)], [(B, C), (C, D)]])
def test_the_same_push_by_another_hook_is_a_duplicate(
    place: Installation, server: Server, between: list[tuple[str, str]]
) -> None:
    place.job(run_on_image_change="never")
    place.push(A, B, guid="hook-1")
    for before, after in between:
        place.push(before, after)
    again = place.push(A, B, guid="hook-2")
    server.work()
    assert len(place.builds()) == 1 + len(between)
    (decided,) = [each for each in place.decisions() if each.event_id == again]
    assert (decided.verdict, decided.rule) == ("duplicate", "same_push")


def test_jobs_with_equal_sources_share_one_build(place: Installation, server: Server) -> None:
    place.job("report")
    place.job("by-ssh", source__url="git@github.com:acme/report.git")
    place.push(A, B)
    server.work()
    assert place.backend.built[B] == 1
    assert [(run.job, run.status) for run in place.runs()] == [
        ("report", RunStatus.SUCCEEDED),
        ("by-ssh", RunStatus.SUCCEEDED),
    ]
    assert [each.verdict for each in place.decisions()] == ["built", "built", "started", "started"]


def test_jobs_with_equal_secrets_in_the_build_share_one_build(place: Installation, server: Server) -> None:
    """Although no two sealed texts are equal."""

    def token(value: str) -> dict[str, object]:
        sealed = place.box.seal(value, Owner.group(place.project.id, 1).variable("TOKEN"))
        return {"TOKEN": {"value": sealed, "secret": True, "scope": "build"}}

    place.job("report", env=token("the same"))
    place.job("again", env=token("the same"))
    place.job("other", env=token("another"))
    place.push(A, B)
    server.work()
    assert sorted(run.job for run in place.runs()) == ["again", "other", "report"]
    by_job = {run.job: run.build_id for run in place.runs()}
    assert by_job["report"] == by_job["again"] != by_job["other"]
    assert place.backend.built[B] == 2


def test_a_secret_that_cannot_be_opened_does_not_hold_up_a_push(place: Installation, server: Server) -> None:
    place.job("spoilt", env={"TOKEN": {"value": "v1.no.thing", "secret": True, "scope": "build"}})
    place.job("report")
    place.push(A, B)
    server.work()
    spoilt, sound = sorted(place.builds(), key=lambda build: build.status)
    assert (spoilt.sha, spoilt.status, sound.sha, sound.status) == (B, "failed", B, "succeeded")
    assert "JOBYARD_SECRET_KEY" in spoilt.sentence


def test_a_bug_in_intake_is_tried_again_and_then_said(
    place: Installation, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def buggy(*_: object, **__: object) -> object:
        raise RuntimeError("a bug")

    place.job()
    guid = place.push(A, B)
    monkeypatch.setattr("app.commands.pushes.should_build", buggy)
    server.work()
    assert place.delivery(guid).status == "failed"
    assert place.decisions() == []


def test_projects_do_not_mix(place: Installation, server: Server) -> None:
    with place.db.write() as tx:
        other = projects.create(tx, "other", None, place.clock.now())
    place.job()
    place.job(project_id=other.id)
    place.push(A, B)
    server.work()
    assert [(each.project, each.job) for each in place.runs()] == [("reports", "report")]
