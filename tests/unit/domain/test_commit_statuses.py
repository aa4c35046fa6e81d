"""What is said of a commit at its forge."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.builds import BuildReason, BuildStatus
from app.domain.commit_statuses import (
    DESCRIPTION,
    BuildFacts,
    DeploymentFacts,
    Part,
    RunFacts,
    StatusState,
    Told,
    context_of,
    of_part,
    shortened,
)
from app.domain.deployments import DeploymentStatus
from app.domain.runs import Reason, RunStatus

PENDING, SUCCESS, FAILURE, ERROR = StatusState


def test_only_pending_is_not_final() -> None:
    assert [state for state in StatusState if not state.is_final] == [StatusState.PENDING]


def test_a_sentence_is_cut_between_words() -> None:
    assert shortened("Build 7 is queued.") == "Build 7 is queued."
    assert shortened("Nothing to build: all of it is ignored.", 20) == "Nothing to build…"
    assert shortened("two\nlines ") == "two lines"
    assert shortened("a" * 30, 20) == "a" * 19 + "…"


@given(st.text(), st.integers(2, DESCRIPTION))
def test_it_is_never_longer_and_begins_as_it_did(sentence: str, most: int) -> None:
    cut = shortened(sentence, most)
    assert len(cut) <= most
    assert " ".join(sentence.split()).startswith(cut.removesuffix("…"))


def build(status: BuildStatus, reason: BuildReason | None = None, sentence: str = "") -> BuildFacts:
    return BuildFacts(7, status, reason, sentence)


@pytest.mark.parametrize(
    ("facts", "state", "sentence"),
    [
        (build(BuildStatus.QUEUED), PENDING, "Build 7 is queued."),
        (build(BuildStatus.QUEUED, sentence="No answer."), PENDING, "Build 7 waits: No answer."),
        (build(BuildStatus.RUNNING), PENDING, "Build 7 is running."),
        (build(BuildStatus.SUCCEEDED), SUCCESS, "Build 7 succeeded."),
        (build(BuildStatus.FAILED, BuildReason.BUILD_FAILED, "exit 1"), FAILURE, "Build 7 failed: exit 1"),
        (build(BuildStatus.FAILED, BuildReason.NOT_RECOGNISED, "x"), FAILURE, "Build 7 failed: x"),
        (build(BuildStatus.FAILED, BuildReason.TIME_LIMIT, "x"), FAILURE, "Build 7 failed: x"),
        (build(BuildStatus.FAILED, BuildReason.ENGINE_FAILED, "x"), ERROR, "Build 7 failed: x"),
        (build(BuildStatus.CANCELLED, BuildReason.CANCELLED, "x"), ERROR, "Build 7 was cancelled: x"),
    ],
)
def test_a_build_is_told(facts: BuildFacts, state: StatusState, sentence: str) -> None:
    assert facts.told == Told(state, sentence, "/builds/7")


@pytest.mark.parametrize(
    ("status", "reason", "state", "sentence"),
    [
        (RunStatus.QUEUED, None, PENDING, "Run once-1 is queued."),
        (RunStatus.RUNNING, None, PENDING, "Run once-1 is running."),
        (RunStatus.SUCCEEDED, None, SUCCESS, "Run once-1 succeeded."),
        (RunStatus.FAILED, Reason.EXIT_NONZERO, FAILURE, "Run once-1 failed: "),
        (RunStatus.FAILED, Reason.OUT_OF_MEMORY, FAILURE, "Run once-1 failed: "),
        (RunStatus.FAILED, Reason.ENGINE_FAILED, ERROR, "Run once-1 failed: "),
        (RunStatus.CANCELLED, Reason.REPLACED, ERROR, "Run once-1 was cancelled: "),
    ],
)
def test_a_run_is_told(status: RunStatus, reason: Reason | None, state: StatusState, sentence: str) -> None:
    assert RunFacts(3, "once-1", status, reason, "").told == Told(state, sentence, "/runs/3")


def test_a_run_that_waits_says_why() -> None:
    waits = RunFacts(3, "once-1", RunStatus.QUEUED, None, "Attempt 1 failed; the next is in 10 s.")
    assert waits.told.sentence == "Run once-1 waits: Attempt 1 failed; the next is in 10 s."


@pytest.mark.parametrize(
    ("status", "warning", "decision", "state", "sentence"),
    [
        (DeploymentStatus.PENDING, "", "", PENDING, "Deployment 2 waits for the one before it."),
        (DeploymentStatus.RUNNING, "", "", PENDING, "Deployment 2 is under way."),
        (DeploymentStatus.SUCCEEDED, "", "", SUCCESS, "Deployment 2 succeeded."),
        (DeploymentStatus.SUCCEEDED, "", "Deployed.", SUCCESS, "Deployed."),
        (DeploymentStatus.SUCCEEDED, "The hook failed.", "Deployed.", SUCCESS, "The hook failed."),
        (DeploymentStatus.SUPERSEDED, "", "Skipped.", SUCCESS, "Skipped."),
        (DeploymentStatus.FAILED, "It failed.", "Skipped.", FAILURE, "It failed."),
        (DeploymentStatus.CANCELLED, "", "Skipped.", ERROR, "Deployment 2 was cancelled: By ada."),
    ],
)
def test_a_deployment_is_told(
    status: DeploymentStatus, warning: str, decision: str, state: StatusState, sentence: str
) -> None:
    facts = DeploymentFacts(2, status, "By ada.", warning, decision)
    assert facts.told == Told(state, sentence, "/deployments/2")


def test_what_each_part_is_told_of() -> None:
    after = Told(PENDING, "Run once-1 is running.", "/runs/3")
    queued, done = build(BuildStatus.QUEUED), build(BuildStatus.SUCCEEDED)
    failed = build(BuildStatus.FAILED, BuildReason.BUILD_FAILED, "exit 1")
    assert of_part(Part.WHOLE, queued, None) == queued.told
    assert of_part(Part.WHOLE, done, after) == after
    assert of_part(Part.WHOLE, done, None) == done.told
    assert of_part(Part.BUILD, done, after) == done.told
    assert of_part(Part.RUN, queued, None).sentence == "The run waits for build 7."
    assert of_part(Part.RUN, failed, None) == Told(
        FAILURE, "Nothing runs. Build 7 failed: exit 1", "/builds/7"
    )


def test_contexts() -> None:
    assert context_of("report", Part.WHOLE) == context_of("report", Part.BUILD) == "jobyard/report"
    assert context_of("report", Part.RUN) == "jobyard/report/run"
    assert context_of("report", Part.WHOLE, "staging") == "jobyard/staging/report"
