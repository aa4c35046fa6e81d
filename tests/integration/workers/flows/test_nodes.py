"""Release flows from start to end: real store and rules, engine in memory, loops stepped by hand."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest

from app.commands import flow_runs
from app.domain.errors import Conflict, NotFound
from app.domain.flows import FlowStatus
from app.domain.runs import RunStatus, TriggerType
from app.domain.sealing import of_message
from app.engines.fake import Script
from app.http_notifier import NotDelivered
from app.store import flows, jobs
from builders.backends.base import BuildFailed
from tests.support.databases import somebody_waits
from tests.support.fakes import commit, fail, image_of
from tests.support.flow_runs import answer, cancel, ended, log_of, states
from tests.support.installation import Installation
from tests.support.loops import Server

A, B, C = (commit(letter) for letter in "abc")
BUILD = {"name": "make", "type": "build", "job": "report"}
RUN = {"name": "try", "type": "run", "job": "report"}
PROMOTE = {"name": "up", "type": "promote", "pipeline": "main", "from": "report"}
APPROVAL = {"name": "ask", "type": "approval"}
MESSAGE = {"name": "tell", "type": "message", "message": "Released."}
CHANNEL = "https://chat.example.com/hooks/T0/secret"


def test_from_a_build_to_production(place: Installation, server: Server) -> None:
    run_id = place.start(place.flow(BUILD, RUN, PROMOTE, APPROVAL, MESSAGE), sha=B)
    server.work()
    run = place.flow_run(run_id)
    assert run.status is FlowStatus.RUNNING
    waiting = {
        "make": "succeeded",
        "try": "succeeded",
        "up": "succeeded",
        "ask": "running",
        "tell": "waiting",
    }
    assert states(run) == waiting
    (build,), (tried,) = place.builds(), place.runs()
    assert (build.sha, tried.image, tried.trigger.type) == (B, image_of(B), TriggerType.FLOW)
    assert tried.trigger.cause == "Started by flow release."
    with place.db.read() as tx:
        deployed = jobs.named(tx, "reports", "live").deployed
    assert deployed is not None
    assert deployed.digest == image_of(B)
    assert log_of(run, "make")[0] == f"Build {build.id} asked for."
    assert log_of(run, "try")[1].startswith(f"Run {tried.name} succeeded")
    assert log_of(run, "up") == [f"{B[:7]} promoted from report (one) to live (two) by flow release."]
    assert log_of(run, "ask") == ["Waits for somebody's approval."]
    answer(place, run_id)
    server.work()
    run = place.flow_run(run_id)
    assert run.status is FlowStatus.SUCCEEDED
    assert (log_of(run, "ask")[1], log_of(run, "tell")) == ("Approved by ada.", ["Released."])
    assert all(node.started_at and node.finished_at for node in run.nodes)
    assert run.started_at is not None
    assert run.finished_at is not None
    assert run.created_at < run.started_at < run.finished_at


def test_a_declined_approval_ends_the_flow(place: Installation, server: Server) -> None:
    run_id = place.start(place.flow(APPROVAL, MESSAGE))
    server.work()
    answer(place, run_id, approved=False)
    server.work()
    run = place.flow_run(run_id)
    assert (run.status, states(run)) == (FlowStatus.FAILED, {"ask": "failed", "tell": "skipped"})
    assert log_of(run, "ask")[1] == "Declined by ada."
    assert log_of(run, "tell") == ["Not reached."]


def test_only_an_approval_that_waits_is_answered(place: Installation, server: Server) -> None:
    run_id = place.start(place.flow(MESSAGE, APPROVAL))
    with pytest.raises(Conflict, match="its status is waiting"):
        answer(place, run_id)
    server.work()
    with pytest.raises(Conflict, match="of type message"):
        answer(place, run_id, node="tell")
    with pytest.raises(NotFound, match="no node named other"):
        answer(place, run_id, node="other")
    answer(place, run_id)
    with pytest.raises(Conflict, match="its status is succeeded"):
        answer(place, run_id)


def test_of_two_answers_at_once_the_first_counts(place: Installation, server: Server) -> None:
    run_id = place.start(place.flow(APPROVAL))
    server.work()
    refused: list[Conflict] = []

    def decline() -> None:
        try:
            answer(place, run_id, approved=False)
        except Conflict as conflict:
            refused.append(conflict)

    other = threading.Thread(target=decline)
    with place.db.write() as tx:
        run = flows.run_with_id(tx, run_id)
        flow_runs.answer_approval(tx, run, "ask", approved=True, who="ada", now=place.clock.now())
        other.start()
        while other.is_alive() and not somebody_waits(place.db):
            pass
    other.join()
    assert "its status is succeeded" in str(refused[0])
    assert log_of(place.flow_run(run_id), "ask")[1:] == ["Approved by ada."]


def test_nodes_of_a_group_run_side_by_side(place: Installation, server: Server) -> None:
    place.push(A, B)
    server.work()
    twins = [{**RUN, "name": name, "overrides": {"env": {"WHO": name}}} for name in ("left", "right")]
    run_id = place.start(place.flow({"parallel": twins}, MESSAGE))
    while server.flow_worker.step():
        pass
    assert states(place.flow_run(run_id)) == {"left": "running", "right": "running", "tell": "waiting"}
    assert [run.status for run in place.runs()] == [RunStatus.QUEUED, RunStatus.QUEUED]
    server.work()
    assert place.flow_run(run_id).status is FlowStatus.SUCCEEDED
    assert [run.spec.env["WHO"].value for run in place.runs()] == ["left", "right"]


def test_a_failed_node_lets_its_group_end_and_skips_the_rest(place: Installation, server: Server) -> None:
    place.push(A, B)
    server.work()
    lost = {"name": "lost", "type": "run", "job": "live"}
    run = ended(place, server, place.flow({"parallel": [lost, RUN]}, MESSAGE))
    assert run.status is FlowStatus.FAILED
    assert states(run) == {"lost": "failed", "try": "succeeded", "tell": "skipped"}
    assert log_of(run, "lost") == ["Job live has no image to run: its source is none: give it one."]


def test_a_run_that_is_not_waited_for(place: Installation, server: Server) -> None:
    place.push(A, B)
    server.work()
    place.engine.script("*", Script(exit_code=1))
    run = ended(place, server, place.flow({**RUN, "wait": False}, MESSAGE))
    assert (run.status, states(run)) == (FlowStatus.SUCCEEDED, {"try": "succeeded", "tell": "succeeded"})
    assert [each.status for each in place.runs()] == [RunStatus.FAILED]


def test_a_node_is_tried_again(place: Installation, server: Server) -> None:
    place.backend.before_end[A] += fail(
        BuildFailed("pip install failed", 1), BuildFailed("pip install failed", 1)
    )
    run = ended(place, server, place.flow({**BUILD, "retries": 2}))
    assert (run.status, run.nodes[0].tries, len(place.builds())) == (FlowStatus.SUCCEEDED, 3, 3)
    said = log_of(run, "make")
    assert said[1].startswith("Build 1 failed: ")
    assert said[1].endswith(" Trying again in 10 s (1 of 2).")
    assert said[3].endswith(" Trying again in 20 s (2 of 2).")
    assert run.nodes[0].build_id == 3
    first, second, third = (build.created_at for build in place.builds())
    assert second - first >= timedelta(seconds=10)
    assert third - second >= timedelta(seconds=20)


def test_a_node_that_waits_for_its_next_try_is_cancelled_at_once(place: Installation, server: Server) -> None:
    run_id = place.start(place.flow({"name": "lost", "type": "run", "job": "live", "retries": 9}))
    while server.turn():
        pass
    (node,) = place.flow_run(run_id).nodes
    assert (str(node.status), node.tries, len(node.log)) == ("waiting", 1, 1)
    cancel(place, run_id)
    while server.turn():
        pass
    assert place.flow_run(run_id).status is FlowStatus.CANCELLED


def test_retries_end(place: Installation, server: Server) -> None:
    place.push(A, B)
    server.work()
    place.engine.script("*", Script(exit_code=3))
    run = ended(place, server, place.flow({**RUN, "retries": 1}, MESSAGE))
    assert (run.status, run.nodes[0].tries, len(place.runs())) == (FlowStatus.FAILED, 2, 2)
    assert log_of(run, "try")[-1].startswith(f"Run {place.runs()[1].name} failed: Exited with code 3")


def outgoing(place: Installation, **changes: Any) -> dict[str, Any]:
    return {**MESSAGE, "url": place.box.seal(CHANNEL, of_message(place.project.id, 1, "tell")), **changes}


def test_a_message_is_posted_to_its_address(place: Installation, server: Server) -> None:
    run = ended(place, server, place.flow(outgoing(place), {**MESSAGE, "name": "after"}))
    assert (run.status, run.nodes[0].tries) == (FlowStatus.SUCCEEDED, 1)
    assert log_of(run, "tell") == ["Released.", "The address took it with status 200."]
    ((url, text, key),) = place.outbox.posted
    assert (url, text) == (CHANNEL, "Released.")
    assert key.endswith(f"-{run.id}-{run.nodes[0].id}")


def test_a_message_that_is_not_taken_is_posted_again_later(place: Installation, server: Server) -> None:
    place.outbox.errors += [NotDelivered("No answer."), NotDelivered("No answer.")]
    run = ended(place, server, place.flow(outgoing(place)))
    assert (run.status, run.nodes[0].tries) == (FlowStatus.SUCCEEDED, 3)
    said = log_of(run, "tell")
    assert said[1] == "No answer. Trying again in 10 s (1 of 3)."
    assert said[3] == "No answer. Trying again in 20 s (2 of 3)."
    assert len({key for _, _, key in place.outbox.posted}) == 1


@pytest.mark.parametrize(
    ("errors", "retries", "posts"),
    [([NotDelivered("No answer.")] * 4, 3, 4), ([Conflict("Refused.")], 3, 1), ([NotDelivered("No.")], 0, 1)],
)
def test_a_message_that_nobody_takes_fails_its_node(
    place: Installation, server: Server, errors: list[Exception], retries: int, posts: int
) -> None:
    place.outbox.errors += errors
    run = ended(place, server, place.flow(outgoing(place, retries=retries), APPROVAL))
    assert (run.status, states(run)) == (FlowStatus.FAILED, {"tell": "failed", "ask": "skipped"})
    assert len(place.outbox.posted) == posts


def test_a_message_whose_address_can_not_be_opened_fails_its_node(
    place: Installation, server: Server
) -> None:
    elsewhere = of_message(place.project.id, 1, "ask")
    run = ended(place, server, place.flow(outgoing(place, url=place.box.seal(CHANNEL, elsewhere))))
    assert (run.status, place.outbox.posted) == (FlowStatus.FAILED, [])
    assert (
        log_of(run, "tell")[1]
        == "The stored secret for message tell was sealed for something else; set it again."
    )


def test_a_message_is_sent_by_one_server_at_a_time(place: Installation, server: Server) -> None:
    run_id = place.start(place.flow(outgoing(place)))
    while server.flow_worker.step():
        pass
    (node,) = place.flow_run(run_id).nodes
    now = place.clock.now()
    with place.db.write() as tx:
        assert flows.claim_message(tx, node.id, now, now + timedelta(seconds=30))
        assert not flows.claim_message(tx, node.id, now, now + timedelta(seconds=30))
    assert not server.notification_worker.step()
    place.clock.advance(31)
    assert server.notification_worker.step()


def test_a_job_that_is_gone_fails_the_node(place: Installation, server: Server) -> None:
    flow = place.flow(RUN)
    with place.db.write() as tx:
        jobs.delete(tx, jobs.named(tx, "reports", "report").id, place.clock.now())
    assert log_of(ended(place, server, flow), "try") == ["There is no job named report in project reports."]


def test_a_deploy_of_a_job_and_of_an_app(place: Installation, server: Server) -> None:
    place.push(A, B)
    server.work()
    migrate = place.job("migrate", run_on_image_change="never", deploy_trigger="pre-deploy")
    other = place.job("other", run_on_image_change="never")
    place.app("shop", migrate, other, hooks=[migrate])
    builds_ = [{"name": f"make-{each}", "type": "build", "job": each} for each in ("migrate", "other")]
    of_job = {"name": "job", "type": "deploy", "job": "report", "build": 1}
    of_app = {"name": "app", "type": "deploy", "app": "shop"}
    run = ended(place, server, place.flow({"parallel": builds_}, of_job, of_app, MESSAGE))
    assert run.status is FlowStatus.SUCCEEDED, [node.log for node in run.nodes]
    assert log_of(run, "job") == ["Build 1 deployed to report."]
    deployment = place.deployments()[-1]
    assert log_of(run, "app")[-1] == f"Deployment {deployment.id} succeeded."
    assert place.job_now(other).deployed is not None


def test_a_promotion_makes_sense_when_it_is_reached(place: Installation, server: Server) -> None:
    run = ended(place, server, place.flow(PROMOTE))
    assert log_of(run, "up") == ["Nothing is deployed to report, so there is nothing to promote."]
