"""What is stored of deployments, promotions and flows, word by word; each test makes the situation that says it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.commands import deployment_requests, flow_runs, image_rollout
from app.commands.builds import request_build
from app.commands.deployments import begin_deployment, cancel_deployment
from app.commands.promotions import plan_promotion, promote
from app.commands.runs import cancel_run
from app.domain.deployments import Cause
from app.domain.errors import Conflict, InvalidValue, NotFound
from app.domain.job.records import Deployed
from app.domain.pipelines import Component, Stage, route
from app.engines.fake import Script
from app.store import apps, deployments, flows, jobs, pipelines, runs
from app.store.apps import App
from builders.backends.base import BuildFailed
from tests.support.fakes import commit, fail, image_of
from tests.support.installation import Installation
from tests.support.loops import Server
from tests.support.sentences import A, B, C, built, said, sql

D = commit("d")
BUILD = {"name": "make", "type": "build", "job": "report"}
RUN = {"name": "try", "type": "run", "job": "report"}
APPROVAL = {"name": "ask", "type": "approval"}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Installation]:
    made = Installation(tmp_path / "place")
    made.repository.history = [A, B, C, D]
    yield made
    made.close()


def sentences(place: Installation, job: str, *, event: str = "deployment") -> list[str]:
    """Of the decisions about a job, oldest first."""
    return [each.sentence for each in place.decisions() if (each.job, each.event_type) == (job, event)]


def explicit(place: Installation, app: App, sha: str) -> int:
    """A deployment that somebody asks for, of one image to all jobs of an app."""
    image = Deployed(image_of(sha), image_of(sha), None, sha, "", place.clock.now())
    with place.db.write() as tx:
        return begin_deployment(
            tx,
            apps.with_id(tx, app.id),
            cause=Cause.API,
            by="ada",
            sentence="Deploy by ada.",
            now=place.clock.now(),
            images={member.job_id: image for member in app.members},
        ).id


# deployments


def test_jobs_of_an_app_and_its_hooks(place: Installation, server: Server) -> None:
    place.app(
        "shop",
        place.job("migrate", deploy_trigger="pre-deploy"),
        place.job("web"),
        place.job("idle", deploy_trigger="post-deploy", paused=True),
        place.job("notice", deploy_trigger="failed-deploy"),
    )
    place.push(A, B)
    server.work()
    of = f"Deployment 1 has {B[:7]} for job"
    always = "CD is on and run on image change is always"
    assert sentences(place, "web") == [f"{of} web, {always}."]
    assert sentences(place, "migrate") == [
        "Pre-deploy job of deployment 1 of app shop.",
        f"{of} migrate, {always}, but the job runs as a hook of the deployment instead.",
    ]
    assert sentences(place, "idle")[-1] == "Post-deploy job of deployment 1 of app shop: the job is paused."
    notice = place.deployments()[0].steps[-1]
    assert notice.sentence == "Not needed: the deployment did not fail."


def test_a_job_that_keeps_its_image_when_its_app_is_deployed(place: Installation, server: Server) -> None:
    """The others get theirs: what is said of this one must not say that it got its own."""
    web, worker = place.job("web"), place.job("worker")
    place.app("shop", web, worker)
    place.push(A, B)
    server.intake.step()
    with place.db.write() as tx:
        jobs.set_cd(tx, worker.id, enabled=False, now=place.clock.now())
    server.work()
    (said_,) = sentences(place, "worker")
    assert said_ == (
        f"Deployment 1 has {B[:7]} for job worker: CD is off, so the build is only available; deploy it manually to use"
        " it."
    )


def test_a_deployment_that_may_move_nothing_any_more_says_why_of_each_job(
    place: Installation, server: Server
) -> None:
    web, worker = place.job("web"), place.job("worker")
    place.app("shop", web, worker)
    place.push(A, B)
    server.intake.step()
    with place.db.write() as tx:
        jobs.set_cd(tx, web.id, enabled=False, now=place.clock.now())
        jobs.set_switches(tx, worker.id, place.clock.now(), paused=True)
    server.work()
    available = "so the build is only available; deploy it manually to use it."
    assert place.deployments()[0].warning == (
        f"Nothing moved. Deployment 1 has {B[:7]} for job web: CD is off, {available}"
        f" Deployment 1 has {B[:7]} for job worker: the job is paused, {available}"
    )


def test_builds_that_fail_and_a_hook_without_an_image(place: Installation, server: Server) -> None:
    other = {"MODE": {"value": "other", "scope": "build"}}
    place.app(
        "shop",
        place.job("web"),
        place.job("api", env=other),
        place.job("notice", deploy_trigger="failed-deploy"),
        place.job("smoke", deploy_trigger="post-deploy"),
    )
    place.backend.before_end[B] = fail(BuildFailed("no"), BuildFailed("no"))
    place.push(A, B)
    server.work()
    (deployment,) = place.deployments()
    assert deployment.warning == "Deployment 1 failed: builds 1 and 2 did not succeed; nothing moved."
    assert [step.sentence for step in deployment.steps[2:]] == [
        "Not reached: the deployment failed before.",
        "Not reached: the deployment failed before.",
        "Failed-deploy job of deployment 1 of app shop: it has no image yet, so it can't run.",
    ]


def test_a_hook_that_somebody_cancels_did_not_fail(place: Installation, server: Server) -> None:
    place.app(
        "shop",
        place.job("migrate", deploy_trigger="pre-deploy"),
        place.job("web"),
    )
    place.push(A, B)
    while not place.runs():
        server.intake.step()
        server.builder.step()
        server.deployment_worker.step()
    with place.db.write() as tx:
        cancel_run(tx, runs.with_id(tx, place.runs()[0].id), "ada", place.clock.now())
    server.work()
    assert place.deployments()[0].warning == (
        "Deployment 1 failed: pre-deploy job migrate did not succeed; nothing moved."
    )


def test_deployments_that_wait_for_one_another(place: Installation, server: Server) -> None:
    app = place.app("shop", place.job("web"))
    place.push(A, B)
    server.intake.step()
    explicit(place, app, D)
    place.push(B, C)
    server.intake.step()
    push = place.deployments()[2]
    assert push.warning == (
        "No push takes the place of deployment 2, which somebody asked for and which waits."
    )
    assert push.steps[0].sentence == "Not reached: the deployment ended as superseded before."
    assert said(place) == (
        f"Push of {C[:7]} by ada: no push takes the place of deployment 2, which somebody asked for and which waits."
    )
    with place.db.write() as tx:
        cancel_deployment(tx, deployments.with_id(tx, 2), "ada", place.clock.now())
    assert place.deployments()[1].warning == "Cancelled by ada before it began."
    server.work()
    with place.db.write() as tx, pytest.raises(Conflict, match=r"Deployment 1 is over already: succeeded\."):
        cancel_deployment(tx, deployments.with_id(tx, 1), "ada", place.clock.now())


def test_a_deployment_whose_images_have_moved_is_not_cancelled(place: Installation, server: Server) -> None:
    place.app("shop", place.job("web"), place.job("smoke", deploy_trigger="post-deploy"))
    place.push(A, B)
    for _ in range(9):
        server.intake.step()
        server.builder.step()
        server.deployment_worker.step()
    refusal = "Deployment 1 can't be cancelled any more: it is in its phase post_deploy."
    with place.db.write() as tx, pytest.raises(Conflict, match=refusal):
        cancel_deployment(tx, deployments.with_id(tx, 1), "ada", place.clock.now())


@pytest.mark.parametrize("is_build_of_another", [True, False])
def test_builds_that_can_not_be_deployed(
    place: Installation, server: Server, is_build_of_another: bool
) -> None:
    place.backend.before_end[B] = fail(BuildFailed("no"))
    web, other = built(place, server), place.job("other")
    app = place.app("shop", other if is_build_of_another else web)
    refusal = (
        "builds must be made for jobs of app shop, which build 1 is not."
        if is_build_of_another
        else "builds must be such as succeeded or are not over; build 1 is failed."
    )
    with place.db.write() as tx, pytest.raises(InvalidValue, match=refusal):
        deployment_requests.deploy_builds(tx, app, [1], "ada", place.clock.now())
    with place.db.write() as tx, pytest.raises(Conflict) as none:
        deployment_requests.deploy_latest(tx, app, "ada", place.clock.now())
    assert str(none.value) == "No job of app shop has a build of its branch that succeeded yet."


def test_builds_that_somebody_deploys_to_an_app(place: Installation, server: Server) -> None:
    web = built(place, server)
    app = place.app("shop", web)
    with place.db.write() as tx:
        deployment_requests.deploy_builds(tx, app, [1], "ada", place.clock.now())
    assert place.deployments()[-1].sentence == "Deploy of build 1 by ada."


def test_a_commit_of_several_repositories(place: Installation) -> None:
    elsewhere = {"source__url": "https://github.com/acme/x.git", "source__repo_key": "github.com/acme/x"}
    app = place.app("shop", place.job("web"), place.job("other", **elsewhere))
    refusal = "sha can't be one commit: the jobs of app shop are of several repositories, so give builds."
    with place.db.write() as tx, pytest.raises(InvalidValue, match=refusal):
        deployment_requests.deploy_commit(tx, place.box, app, B, "ada", place.clock.now())


def test_a_rollback_for_an_app_of_other_jobs(place: Installation, server: Server) -> None:
    app = place.app("shop", place.job("web"))
    place.push(A, B)
    server.work()
    new = place.job("new")
    with place.db.write() as tx:
        apps.set_members(tx, app.id, {new.id: None})
        with pytest.raises(Conflict) as refused:
            deployment_requests.images_to_roll_back_to(tx, deployments.with_id(tx, 1))
    assert str(refused.value) == "Deployment 1 left no image for any job that app shop has now."


# a job by itself


def test_a_build_of_a_branch_that_has_none(place: Installation, server: Server) -> None:
    job = place.job()
    with place.db.write() as tx:
        request_build(tx, job, sha=None, branch="feat", who="ada", now=place.clock.now())
    server.work()
    with place.db.read() as tx, pytest.raises(Conflict) as refused:
        image_rollout.build_to_deploy(tx, place.job_now(job), None)
    assert str(refused.value) == "Job report has no build of main that succeeded yet."
    image = place.job("image", source={"type": "image", "image": "busybox"})
    with place.db.read() as tx, pytest.raises(Conflict) as refused:
        image_rollout.build_to_deploy(tx, image, None)
    assert str(refused.value) == "Job image is not built by Jobyard, so it has no builds to deploy."


def test_a_job_that_is_built_from_another_repository_by_the_builds_end(
    place: Installation, server: Server
) -> None:
    place.job()
    place.push(A, B)
    server.intake.step()
    sql(place, "UPDATE source SET repo_key = 'github.com/acme/other'")
    server.builder.step()
    assert said(place) == (
        f"Build 1 of {B[:7]} succeeded: job report is built from another repository by now, so the build is only"
        " available; deploy it manually to use it."
    )


# promotions


def promoted(place: Installation, *, confirm_paused: bool = False) -> str:
    with place.db.write() as tx:
        pipeline = pipelines.named(tx, "reports", "main")
        way = route(pipeline, "report", to=None, to_stage=None, may_skip_stages=False)
        planned = plan_promotion(tx, way, who="ada", confirm_paused=confirm_paused)
        promote(tx, place.names, pipeline, planned, who="ada", now=place.clock.now())
    return said(place)


def test_a_promotion_and_what_is_in_its_way(place: Installation, server: Server) -> None:
    live = place.job("live", source={"type": "none"}, paused=True)
    source = place.job(run_on_image_change="never")
    place.pipeline("main", [source], [live])
    with pytest.raises(Conflict) as refused:
        promoted(place, confirm_paused=True)
    assert str(refused.value) == "Nothing is deployed to report, so there is nothing to promote."
    with pytest.raises(Conflict) as refused:
        promoted(place)
    assert str(refused.value) == (
        "Job live is paused: confirm with confirm_paused to promote to it all the same."
    )
    place.push(A, B)
    server.work()
    assert promoted(place, confirm_paused=True) == (
        f"{B[:7]} promoted from report (one) to live (two) by ada; the job is paused, so nothing runs."
    )


def test_apps_whose_jobs_do_not_match(place: Installation) -> None:
    source = place.app("source", place.job("a"), place.job("b"))
    members = [place.job(name, paused=True) for name in "cd"]
    target = place.app("target", members[0])
    with place.db.write() as tx:
        pipeline = pipelines.create(tx, place.project.id, "apps", place.clock.now())
        components = [Component("app", each.id, each.name) for each in (source, target)]
        stages = [Stage(name, (each,)) for name, each in zip("xy", components, strict=True)]
        pipelines.set_stages(tx, pipeline, stages)
        way = route(
            pipelines.named(tx, "reports", "apps"), "source", to=None, to_stage=None, may_skip_stages=False
        )
        with pytest.raises(Conflict) as refused:
            plan_promotion(tx, way, who="ada", confirm_paused=True)
    assert str(refused.value) == (
        "App source has 2 jobs and app target has 1: their jobs are matched in order, so they must be as many."
    )
    with place.db.write() as tx:
        apps.set_members(tx, target.id, {each.id: None for each in members})
        with pytest.raises(Conflict) as refused:
            plan_promotion(tx, way, who="ada", confirm_paused=False)
    assert str(refused.value) == (
        "Jobs c, d are paused: confirm with confirm_paused to promote to them all the same."
    )


# flows


def log_of(place: Installation, run_id: int, name: str) -> list[str]:
    """What the node said, without the times."""
    node = next(node for node in place.flow_run(run_id).nodes if node.name == name)
    return [line.split(" ", 1)[1] for line in node.log]


def answer(place: Installation, run_id: int, node: str) -> None:
    with place.db.write() as tx:
        run = flows.run_with_id(tx, run_id)
        flow_runs.answer_approval(tx, run, node, approved=True, who="ada", now=place.clock.now())


def test_a_node_says_what_it_asked_for_and_not_that_it_began(place: Installation, server: Server) -> None:
    place.app("shop", built(place, server))
    deploy = {"name": "put", "type": "deploy", "app": "shop"}
    run_id = place.start(place.flow({"parallel": [BUILD, RUN, deploy]}))
    for _ in range(4):
        server.flow_worker.step()
    assert log_of(place, run_id, "make") == ["Build 2 asked for."]
    assert log_of(place, run_id, "try") == [f"Run {place.runs()[-1].name} asked for."]
    assert log_of(place, run_id, "put") == ["Deployment 1 asked for."]


def test_a_node_that_was_tried_was_reached(place: Installation, server: Server) -> None:
    built(place, server)
    place.engine.script("*", Script(exit_code=1))
    run_id = place.start(place.flow({"parallel": [{**RUN, "retries": 5}, APPROVAL]}, BUILD))
    for _ in range(4):
        server.flow_worker.step()
        server.runner.step()
    with place.db.write() as tx:
        flow_runs.cancel_flow_run(tx, place.names, flows.run_with_id(tx, run_id), "ada", place.clock.now())
    with pytest.raises(
        Conflict, match=f"Flow run {run_id} is being cancelled, so node ask waits for no answer."
    ):
        answer(place, run_id, "ask")
    server.flow_worker.step()
    assert log_of(place, run_id, "try")[-1] == "Not tried again: the flow was cancelled."
    assert log_of(place, run_id, "ask")[-1] == "The flow was cancelled."
    assert log_of(place, run_id, "make") == ["Not reached."]


def test_answers_that_nobody_waits_for(place: Installation, server: Server) -> None:
    built(place, server)
    run_id = place.start(place.flow(APPROVAL, RUN))
    server.flow_worker.step()
    with pytest.raises(NotFound, match=f"Flow run {run_id} has no node named gone."):
        answer(place, run_id, "gone")
    with pytest.raises(
        Conflict, match=r"Node try is of type run: only an approval can be approved or declined\."
    ):
        answer(place, run_id, "try")
    answer(place, run_id, "ask")
    with pytest.raises(Conflict, match=r"Node ask does not wait for an approval: its status is succeeded\."):
        answer(place, run_id, "ask")


def test_a_message_that_meets_a_fault_of_ours(
    place: Installation, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(type(place.box), "open", fault)
    message = {"name": "tell", "type": "message", "message": "Done.", "url": "sealed", "retries": 0}
    run_id = place.start(place.flow(message))
    server.flow_worker.step()
    server.notification_worker.step()
    assert log_of(place, run_id, "tell")[-1] == (
        "Jobyard failed while sending the message; the server's log has more."
    )
