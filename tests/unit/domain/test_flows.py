"""What a flow's run does next, over every shape and every outcome."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from app.domain.flow_nodes import ApprovalNode, MessageNode, Parallel, RunNode, groups_of, retries_of
from app.domain.flows import (
    End,
    FlowRun,
    FlowStatus,
    FlowTrigger,
    FlowTriggerType,
    Node,
    NodeStatus,
    Start,
    Wait,
    next_move,
)

AT = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
S = NodeStatus


def run_of(*groups: list[NodeStatus], cancelled: bool = False, build_id: int | None = None) -> FlowRun:
    """A run whose nodes have these statuses, named a, b, c, … in order."""
    flat = [(number, status) for number, group in enumerate(groups) for status in group]
    nodes = [
        Node(number, group, RunNode(chr(ord("a") + number), "report"), status, tries=0)
        for number, (group, status) in enumerate(flat)
    ]
    trigger = FlowTrigger(FlowTriggerType.PUSH, build_id=build_id)
    return FlowRun(
        1, 1, "release", 1, "reports", FlowStatus.RUNNING, trigger, tuple(nodes), AT,
        cancel_requested_at=AT if cancelled else None,
    )  # fmt: skip


def move(*groups: list[NodeStatus], cancelled: bool = False) -> str:
    match next_move(run_of(*groups, cancelled=cancelled), AT):
        case Wait():
            return "wait"
        case Start(node):
            return f"start {node.name}"
        case End(status):
            return f"end {status}"


def test_groups_are_gone_through_in_order_and_nodes_of_one_side_by_side() -> None:
    assert move([S.WAITING], [S.WAITING]) == "start a"
    assert move([S.RUNNING], [S.WAITING]) == "wait"
    assert move([S.SUCCEEDED], [S.WAITING, S.WAITING]) == "start b"
    assert move([S.SUCCEEDED], [S.RUNNING, S.WAITING]) == "start c"
    assert move([S.SUCCEEDED], [S.SUCCEEDED, S.RUNNING], [S.WAITING]) == "wait"
    assert move([S.SUCCEEDED], [S.SUCCEEDED]) == "end succeeded"


def test_a_failure_lets_its_group_end_and_nothing_after_it_begin() -> None:
    assert move([S.FAILED, S.WAITING], [S.WAITING]) == "start b"
    assert move([S.FAILED, S.RUNNING], [S.WAITING]) == "wait"
    assert move([S.FAILED, S.SUCCEEDED], [S.WAITING]) == "end failed"


def test_a_cancelled_run_starts_nothing_more() -> None:
    assert move([S.RUNNING, S.WAITING], [S.WAITING], cancelled=True) == "wait"
    assert move([S.SUCCEEDED, S.WAITING], [S.WAITING], cancelled=True) == "end cancelled"
    assert move([S.FAILED], cancelled=True) == "end cancelled"


def test_a_node_that_failed_waits_for_its_next_try_and_holds_up_nobody_beside_it() -> None:
    run = run_of([S.WAITING, S.WAITING], [S.WAITING])
    late, other, after = run.nodes
    late = replace(late, available_at=AT + timedelta(seconds=10))
    assert next_move(replace(run, nodes=(late, other, after)), AT) == Start(other)
    run = replace(run, nodes=(late, replace(other, status=S.FAILED), after))
    assert next_move(run, AT) == Wait()
    assert next_move(run, AT + timedelta(seconds=10)) == Start(late)
    assert next_move(replace(run, cancel_requested_at=AT), AT) == End(FlowStatus.CANCELLED)


def test_a_message_to_an_address_is_tried_three_times_more() -> None:
    message = MessageNode("tell", "Released.")
    assert retries_of(message) == 0
    assert retries_of(replace(message, url="sealed")) == 3
    assert retries_of(replace(message, url="sealed", retries=0)) == 0


def test_a_cancelled_run_waits_neither_for_answers_nor_for_the_build_of_its_push() -> None:
    run = run_of([S.RUNNING], cancelled=True, build_id=7)
    node = run.nodes[0]
    assert not run.lets_go_of(node)
    assert run.lets_go_of(replace(node, spec=ApprovalNode("ask")))
    assert run.lets_go_of(replace(node, build_id=7))
    assert not run.lets_go_of(replace(node, build_id=8))
    assert not replace(run, cancel_requested_at=None).lets_go_of(replace(node, build_id=7))


def test_a_definition_is_groups_of_nodes() -> None:
    a, b, c = ApprovalNode("a"), ApprovalNode("b"), ApprovalNode("c")
    assert groups_of([a, Parallel((b, c))]) == [(a,), (b, c)]


shapes = st.lists(st.integers(1, 3), min_size=1, max_size=4)


@given(shapes, st.data())
def test_every_history_ends_as_it_should(shape: list[int], data: st.DataObject) -> None:
    """Whatever ends in whatever order: each node starts once, in order, and the end tells the truth."""
    run = run_of(*[[S.WAITING] * size for size in shape])
    started: list[Node] = []
    while not isinstance(decided := next_move(run, AT), End):
        running = [node for node in run.nodes if node.status is S.RUNNING]
        if isinstance(decided, Start) and (not running or data.draw(st.booleans())):
            node, status = decided.node, S.RUNNING
            started.append(node)
            assert all(each.status is S.SUCCEEDED for each in run.nodes if each.group < node.group)
        else:
            assert running, "it waits for nothing"
            node = data.draw(st.sampled_from(running))
            status = data.draw(st.sampled_from([S.SUCCEEDED, S.SUCCEEDED, S.FAILED]))
        nodes = [replace(each, status=status) if each.id == node.id else each for each in run.nodes]
        run = replace(run, nodes=tuple(nodes))
    assert [node.id for node in started] == sorted({node.id for node in started})
    failed = [node.group for node in run.nodes if node.status is S.FAILED]
    assert decided.status is (FlowStatus.FAILED if failed else FlowStatus.SUCCEEDED)
    reached = min(failed, default=len(shape))
    assert all((node.status is S.WAITING) == (node.group > reached) for node in run.nodes)
