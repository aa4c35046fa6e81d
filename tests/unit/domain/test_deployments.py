"""The whole logic of a deployment, driven through every mix of what can happen to it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.deployments import (
    Cause,
    Deployment,
    DeploymentStatus,
    Enter,
    Fail,
    Finish,
    Phase,
    StartHook,
    Step,
    StepKind,
    StepStatus,
    Wait,
    next_move,
)

AT = datetime(2026, 1, 31, tzinfo=UTC)
OVER = [StepStatus.SUCCEEDED, StepStatus.FAILED, StepStatus.SKIPPED]


def deployment(phase: Phase, *steps: tuple[StepKind, StepStatus], cancel: bool = False) -> Deployment:
    return Deployment(
        id=1, app_id=1, app="shop", project_id=1, project="acme", status=DeploymentStatus.RUNNING, phase=phase,
        cause=Cause.PUSH, by="", sentence="", sha=None, images={}, snapshot={}, keeps_cd=True, with_hooks=True,
        warning="", created_at=AT, cancel_requested_at=AT if cancel else None,
        steps=tuple(Step(number, kind, number, status, job=f"job-{number}", build_id=number)
                    for number, (kind, status) in enumerate(steps)),
    )  # fmt: skip


@pytest.mark.parametrize("statuses", list(product(StepStatus, repeat=2)))
@pytest.mark.parametrize("cancel", [False, True])
def test_builds(statuses: tuple[StepStatus, StepStatus], cancel: bool) -> None:
    move = next_move(
        deployment(Phase.BUILDING, *((StepKind.BUILD, status) for status in statuses), cancel=cancel)
    )
    are_over = all(status in OVER for status in statuses)
    if are_over and StepStatus.FAILED in statuses:
        assert isinstance(move, Fail)
    elif cancel:
        assert move == Finish(DeploymentStatus.CANCELLED)
    elif not are_over:
        assert move == Wait()
    elif set(statuses) == {StepStatus.SKIPPED}:
        assert move == Finish(DeploymentStatus.SUPERSEDED)
    else:
        assert move == Enter(Phase.PRE_DEPLOY)


@pytest.mark.parametrize("status", StepStatus)
@pytest.mark.parametrize("cancel", [False, True])
def test_pre_deploy_jobs(status: StepStatus, cancel: bool) -> None:
    seen = deployment(
        Phase.PRE_DEPLOY,
        (StepKind.PRE_DEPLOY, status),
        (StepKind.PRE_DEPLOY, StepStatus.WAITING),
        cancel=cancel,
    )
    match status:
        case StepStatus.RUNNING:
            assert next_move(seen) == Wait()
        case _ if cancel:  # also if the hook failed: it was cancelled with the deployment
            assert next_move(seen) == Finish(DeploymentStatus.CANCELLED)
        case StepStatus.FAILED:
            assert next_move(seen) == Fail("pre-deploy job job-0 did not succeed")
        case StepStatus.WAITING:
            assert next_move(seen) == StartHook(seen.steps[0])
        case _:
            assert next_move(seen) == StartHook(seen.steps[1])


@pytest.mark.parametrize(
    ("phase", "kind", "end"),
    [
        (Phase.POST_DEPLOY, StepKind.POST_DEPLOY, DeploymentStatus.SUCCEEDED),
        (Phase.FAILED_DEPLOY, StepKind.FAILED_DEPLOY, DeploymentStatus.FAILED),
    ],
)
@pytest.mark.parametrize("status", StepStatus)
def test_after_the_move_and_after_a_failure_nothing_stops_it(
    phase: Phase, kind: StepKind, end: DeploymentStatus, status: StepStatus
) -> None:
    move = next_move(deployment(phase, (kind, status), cancel=True))
    match status:
        case StepStatus.WAITING:
            assert isinstance(move, StartHook)
        case StepStatus.RUNNING:
            assert move == Wait()
        case _:
            assert move == Finish(end)


def test_one_that_is_done_waits() -> None:
    assert next_move(deployment(Phase.DONE)) == Wait()


kinds = st.sampled_from([StepKind.BUILD, StepKind.PRE_DEPLOY, StepKind.POST_DEPLOY, StepKind.FAILED_DEPLOY])
results = st.sampled_from(OVER)


@given(st.lists(st.tuples(kinds, results), max_size=8), st.integers(0, 20))
def test_every_deployment_comes_to_an_end(
    planned: list[tuple[StepKind, StepStatus]], cancel_after: int
) -> None:
    """Each hook starts at most once and alone, none before the builds, post-deploy and failed-deploy never both."""
    ends = dict(enumerate(status for _, status in planned))
    seen = deployment(Phase.BUILDING, *((kind, StepStatus.WAITING) for kind, _ in planned))
    started: list[StepKind] = []
    for turn in range(60):
        if turn == cancel_after:
            seen = replace(seen, cancel_requested_at=AT)
        match next_move(seen):
            case Wait():
                waiting = [step for step in seen.steps if _goes_on(step)]
                assert waiting, "it waits for nothing"
                seen = _set(seen, waiting[0], ends[waiting[0].id])
            case StartHook(step):
                assert not any(each.status is StepStatus.RUNNING for each in seen.steps)
                started.append(step.kind)
                seen = _set(seen, step, StepStatus.RUNNING)
            case Enter(phase):
                seen = replace(seen, phase=phase)
            case Fail():
                seen = replace(seen, phase=Phase.FAILED_DEPLOY)
            case Finish(status):
                break
    else:
        raise AssertionError("it never ends")
    assert status is not DeploymentStatus.SUCCEEDED or StepKind.FAILED_DEPLOY not in started
    assert not {StepKind.POST_DEPLOY, StepKind.FAILED_DEPLOY} <= set(started)
    assert all(started.count(kind) <= sum(each is kind for each, _ in planned) for kind in StepKind)
    if status is DeploymentStatus.SUCCEEDED:
        assert (StepKind.BUILD, StepStatus.FAILED) not in planned
        assert (StepKind.PRE_DEPLOY, StepStatus.FAILED) not in planned


def _goes_on(step: Step) -> bool:
    """A build goes on by itself; a hook once it was started."""
    return not step.status.is_over and (step.kind is StepKind.BUILD or step.status is StepStatus.RUNNING)


def _set(seen: Deployment, step: Step, status: StepStatus) -> Deployment:
    steps = (replace(each, status=status) if each.id == step.id else each for each in seen.steps)
    return replace(seen, steps=tuple(steps))
