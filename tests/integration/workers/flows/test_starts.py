"""What starts, holds, cancels and deletes a release flow."""

from __future__ import annotations

import pytest

from app.domain.errors import Conflict, NotFound
from app.domain.flows import FlowStatus, FlowTrigger, FlowTriggerType
from app.domain.runs import RunStatus
from app.store import flows, jobs
from tests.support.fakes import commit
from tests.support.flow_runs import answer, cancel, ended, log_of, states
from tests.support.installation import Installation
from tests.support.loops import Server

A, B, C = (commit(letter) for letter in "abc")
BUILD = {"name": "make", "type": "build", "job": "report"}
RUN = {"name": "try", "type": "run", "job": "report"}
APPROVAL = {"name": "ask", "type": "approval"}
MESSAGE = {"name": "tell", "type": "message", "message": "Released."}


def test_a_cancelled_flow_cancels_what_it_waits_for(place: Installation, server: Server) -> None:
    run_id = place.start(place.flow(BUILD, MESSAGE))
    server.flow_worker.step()
    cancel(place, run_id)
    server.work()
    run = place.flow_run(run_id)
    assert (run.status, states(run)) == (FlowStatus.CANCELLED, {"make": "failed", "tell": "skipped"})
    assert place.builds()[0].sentence == f"Cancelled by ada with flow run {run_id}."
    with pytest.raises(Conflict, match="over already"):
        cancel(place, run_id)


def test_a_cancelled_run_of_a_flow_is_not_tried_again(place: Installation, server: Server) -> None:
    place.push(A, B)
    server.work()
    run_id = place.start(place.flow({**RUN, "retries": 5}))
    server.flow_worker.step()
    cancel(place, run_id)
    server.work()
    assert place.flow_run(run_id).status is FlowStatus.CANCELLED
    assert [run.status for run in place.runs()] == [RunStatus.CANCELLED]


@pytest.mark.parametrize("begun", [True, False])
def test_a_flow_that_waits_is_cancelled_at_once(place: Installation, server: Server, begun: bool) -> None:
    run_id = place.start(place.flow(APPROVAL, MESSAGE))
    if begun:
        server.work()
    cancel(place, run_id)
    server.work()
    run = place.flow_run(run_id)
    assert (run.status, states(run)) == (FlowStatus.CANCELLED, {"ask": "skipped", "tell": "skipped"})


def test_queue(place: Installation, server: Server) -> None:
    flow = place.flow(APPROVAL)
    first, second, third = (place.start(flow) for _ in range(3))
    server.work()
    assert [run.status for run in place.flow_runs(flow)] == ["running", "queued", "queued"]
    cancel(place, second)
    answer(place, first)
    server.work()
    assert [run.status for run in place.flow_runs(flow)] == ["succeeded", "cancelled", "running"]
    answer(place, third)


def test_allow(place: Installation, server: Server) -> None:
    flow = place.flow(APPROVAL, concurrency="allow")
    for _ in range(2):
        place.start(flow)
    server.work()
    assert [run.status for run in place.flow_runs(flow)] == ["running", "running"]


def test_forbid(place: Installation, server: Server) -> None:
    flow = place.flow(APPROVAL, concurrency="forbid")
    first = place.start(flow)
    with pytest.raises(Conflict, match=f"Run {first} of flow release is not over"):
        place.start(flow)
    server.work()
    answer(place, first)
    server.work()
    assert place.start(flow) == first + 1


def push_verdicts(place: Installation) -> list[tuple[str | None, str, str]]:
    return [
        (each.job, str(each.verdict), each.sentence)
        for each in place.decisions()
        if each.event_type == "push"
    ]


def test_a_push_starts_a_flow_that_takes_its_build(place: Installation, server: Server) -> None:
    with place.db.read() as tx:
        report = jobs.named(tx, "reports", "report")
    flow = place.flow(BUILD, RUN, on_push=report)
    place.push(A, B)
    place.push(A, C, ref="refs/heads/other")
    server.work()
    (run,) = place.flow_runs(flow)
    (build,) = place.builds()
    assert run.status is FlowStatus.SUCCEEDED
    assert run.trigger == FlowTrigger(FlowTriggerType.PUSH, "ada", B, build.id)
    assert log_of(run, "make")[0] == f"Build {build.id} is that of the push."
    assert place.runs()[0].sha == B
    assert push_verdicts(place)[1] == (None, "started", f"Push of {B[:7]}: run {run.id} of flow release.")


def test_a_push_that_can_start_no_flow_says_so(place: Installation, server: Server) -> None:
    with place.db.read() as tx:
        report = jobs.named(tx, "reports", "report")
    flow = place.flow(APPROVAL, on_push=report, concurrency="forbid")
    place.push(A, B)
    place.push(B, C)
    server.work()
    (run,) = place.flow_runs(flow)
    assert run.trigger.sha == B
    why = f"Run {run.id} of flow release is not over and the flow's concurrency is forbid."
    sentence = f"Push of {C[:7]}: flow release did not start. {why}"
    assert push_verdicts(place)[-1] == (None, "skipped", sentence)


def test_a_build_that_a_push_began_is_not_cancelled_with_the_flow(
    place: Installation, server: Server
) -> None:
    with place.db.read() as tx:
        report = jobs.named(tx, "reports", "report")
    flow = place.flow(BUILD, MESSAGE, on_push=report)
    place.push(A, B)
    server.intake.step()
    server.flow_worker.step()
    run_id = place.flow_runs(flow)[0].id
    cancel(place, run_id)
    server.flow_worker.step()
    assert place.flow_run(run_id).status is FlowStatus.CANCELLED
    server.work()
    assert [build.status for build in place.builds()] == ["succeeded"]


def test_a_build_after_the_push_of_another_repository_is_of_its_own_branch(
    place: Installation, server: Server
) -> None:
    with place.db.read() as tx:
        report = jobs.named(tx, "reports", "report")
    elsewhere = "https://github.com/acme/elsewhere.git"
    place.job("other", source__url=elsewhere, source__repo_key="github.com/acme/elsewhere")
    beside = place.job("beside", source__branch="release")
    nodes = [{"name": name, "type": "build", "job": name} for name in ("other", beside.name)]
    flow = place.flow({"parallel": nodes}, on_push=report)
    place.push(A, B)
    server.work()
    assert place.flow_runs(flow)[0].status is FlowStatus.SUCCEEDED
    assert [build.sha for build in place.builds()] == [B, A, B]


def test_what_a_flow_started_may_be_forgotten_but_not_the_node(place: Installation, server: Server) -> None:
    place.push(A, B)
    server.work()
    run = ended(place, server, place.flow(RUN))
    with place.db.write() as tx:
        tx.connection().exec_driver_sql("DELETE FROM run")
    (node,) = place.flow_run(run.id).nodes
    assert (node.status, node.run_id) == ("succeeded", None)


def test_a_flow_is_not_deleted_while_it_runs(place: Installation, server: Server) -> None:
    flow = place.flow(APPROVAL)
    run_id = place.start(flow)
    server.work()
    with pytest.raises(Conflict, match=f"Run {run_id} of this flow is not over"), place.db.write() as tx:
        flows.delete(tx, flow.id)
    answer(place, run_id)
    server.work()
    with place.db.write() as tx:
        flows.delete(tx, flow.id)
    with pytest.raises(NotFound):
        place.flow_run(run_id)
