"""What a cluster's answers mean."""

from __future__ import annotations

from typing import Any

import pytest

from app.engines.base import Exit, ExitKind, State
from app.engines.kubernetes import classify
from app.engines.kubernetes.classify import Trouble, Waiting

BEGAN, OVER = "2026-11-30T10:00:00Z", "2026-11-30T10:00:05Z"
FAILED = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}


def pod(*conditions: dict[str, str], phase: str = "Running", **state: Any) -> dict[str, Any]:
    """A pod whose container is in that state, beside a sidecar that goes on."""
    sidecar = {"name": "proxy", "state": {"running": {"startedAt": BEGAN}}}
    statuses = [sidecar, {"name": "main", "state": state}] if state else []
    return {"status": {"phase": phase, "containerStatuses": statuses, "conditions": list(conditions)}}


def ended(code: int, reason: str, **more: str) -> dict[str, Any]:
    return {"exitCode": code, "reason": reason, "startedAt": BEGAN, "finishedAt": OVER, **more}


def job(*conditions: dict[str, str], suspend: bool = False, **annotations: str) -> dict[str, Any]:
    return {
        "metadata": {"annotations": annotations},
        "spec": {"suspend": suspend},
        "status": {"conditions": list(conditions)},
    }


def of_pod(found: dict[str, Any]) -> Exit:
    exit_ = classify.exit_of_pod(found)
    assert exit_ is not None
    return exit_


class TestExit:
    @pytest.mark.parametrize(
        ("code", "reason"), [(0, "Completed"), (7, "Error"), (143, "Error"), (137, "Error")]
    )
    def test_is_the_containers_own(self, code: int, reason: str) -> None:
        found = of_pod(pod(terminated=ended(code, reason)))
        assert (found.kind, found.exit_code, found.oom_killed, found.detail) == (
            ExitKind.EXITED,
            code,
            False,
            "",
        )
        assert (found.started_at, found.finished_at) == (classify.read_time(BEGAN), classify.read_time(OVER))

    def test_out_of_memory(self) -> None:
        found = of_pod(pod(terminated=ended(137, "OOMKilled")))
        assert (found.exit_code, found.oom_killed) == (137, True)
        assert found.detail == "The container used more memory than its plan allows and was killed."

    @pytest.mark.parametrize(
        ("message", "code"),
        [
            ('exec: "nothing": executable file not found in $PATH', 127),
            ("exec /there: no such file or directory", 127),
            ("exec /there: permission denied", 126),
        ],
    )
    def test_of_a_command_that_could_not_be_run(self, message: str, code: int) -> None:
        found = of_pod(pod(terminated=ended(128, "StartError", message=message)))
        assert (found.kind, found.exit_code) == (ExitKind.EXITED, code)
        assert found.detail == f"The container could not be started: {message}."

    @pytest.mark.parametrize(
        ("reason", "words"),
        [
            ("PreemptionByScheduler", "The pod had to make room for one of a higher priority."),
            (
                "DeletionByTaintManager",
                "The pod was removed because its node did not answer or was being emptied.",
            ),
            ("EvictionByEvictionAPI", "The pod was evicted, as when its node is drained."),
            ("DeletionByPodGC", "The pod's node is gone."),
            ("TerminationByKubelet", "The pod's node ended it to have enough memory or disk."),
            ("Unheard", "The cluster ended the pod."),
        ],
    )
    def test_that_the_cluster_made_is_no_doing_of_the_job(self, reason: str, words: str) -> None:
        disrupted = {"type": "DisruptionTarget", "status": "True", "reason": reason}
        found = of_pod(pod(disrupted, phase="Failed", terminated=ended(0, "Completed")))
        assert (found.kind, found.exit_code, found.detail) == (ExitKind.ENGINE_FAILED, None, words)

    def test_of_an_evicted_pod_says_why(self) -> None:
        found = pod(phase="Failed")
        found["status"] |= {"reason": "Evicted", "message": "The node was low on resource: memory. "}
        told = "The pod's node ended it to have enough memory or disk: The node was low on resource: memory."
        assert of_pod(found) == Exit(ExitKind.ENGINE_FAILED, detail=told)

    def test_of_a_lost_node(self) -> None:
        found = pod(phase="Failed")
        found["status"]["reason"] = "NodeLost"
        assert of_pod(found).detail == "The pod's node is lost."

    def test_that_the_node_does_not_know(self) -> None:
        found = of_pod(pod(terminated={"exitCode": 137, "reason": "ContainerStatusUnknown"}))
        assert (found.kind, found.exit_code) == (ExitKind.ENGINE_FAILED, None)
        assert found.detail == "The node can't say how the container ended."

    def test_of_a_pod_that_ended_before_its_container_began(self) -> None:
        assert of_pod(pod(phase="Failed")) == Exit(
            ExitKind.ENGINE_FAILED, detail="The container was never started."
        )

    @pytest.mark.parametrize("state", [{}, {"waiting": {}}, {"running": {"startedAt": BEGAN}}])
    def test_is_none_before_the_end(self, state: dict[str, Any]) -> None:
        assert classify.exit_of_pod(pod(**state)) is None

    def test_kept_at_the_job_comes_back(self) -> None:
        for kept in (
            of_pod(pod(terminated=ended(143, "Error"))),
            Exit(ExitKind.ENGINE_FAILED, detail="Gone."),
        ):
            stopped = job(FAILED, **classify.exit_annotation(kept))
            assert classify.exit_without_pod(stopped) == kept
            assert classify.state_of(stopped, None) is State.EXITED


@pytest.mark.parametrize(
    ("found", "kind", "sentence"),
    [
        (None, ExitKind.LOST, "The container is not in the engine any more, so how it ended is not known"),
        (job(suspend=True), ExitKind.ENGINE_FAILED, "The container was never started."),
        (job(FAILED), ExitKind.ENGINE_FAILED, "The pod is gone and no exit code of it is known"),
        (
            job({**FAILED, "reason": "DeadlineExceeded"}),
            ExitKind.ENGINE_FAILED,
            "The cluster ended the container, as no server of Jobyard had ended it by its time limit.",
        ),
        (
            job({**FAILED, "type": "Complete"}),
            ExitKind.ENGINE_FAILED,
            "The pod is gone, so the container's exit code is not known.",
        ),
    ],
)
def test_exit_without_a_pod(found: dict[str, Any] | None, kind: ExitKind, sentence: str) -> None:
    exit_ = classify.exit_without_pod(found)
    assert exit_ is not None
    assert exit_.kind is kind
    assert exit_.detail.startswith(sentence)


def test_a_job_whose_pod_is_still_to_come_has_not_ended() -> None:
    assert classify.exit_without_pod(job()) is None


@pytest.mark.parametrize(
    ("found", "its_pod", "state"),
    [
        (job(suspend=True), None, State.CREATED),
        (job(), None, State.RUNNING),
        (job(), pod(running={"startedAt": BEGAN}), State.RUNNING),
        (job(), pod(terminated=ended(0, "Completed")), State.EXITED),
        (job(FAILED), None, State.EXITED),
        (job({**FAILED, "type": "FailureTarget"}), None, State.EXITED),
    ],
)
def test_state(found: dict[str, Any], its_pod: dict[str, Any] | None, state: State) -> None:
    assert classify.state_of(found, its_pod) is state


class TestWaiting:
    def test_for_nothing_amiss(self) -> None:
        assert classify.waiting_of(pod(waiting={"reason": "ContainerCreating"})) == Waiting()
        assert classify.waiting_without_pod([]) == Waiting()

    @pytest.mark.parametrize(
        ("reason", "trouble", "words"),
        [
            ("ErrImagePull", Trouble.PULL, "The image can't be pulled"),
            ("ImagePullBackOff", Trouble.PULL, "The image can't be pulled"),
            ("RegistryUnavailable", Trouble.PULL, "The registry of the image does not answer"),
            ("InvalidImageName", Trouble.INVALID, "The name of the image is invalid"),
            ("ErrImageNeverPull", Trouble.INVALID, "The image is not on the node"),
            ("CreateContainerConfigError", Trouble.INVALID, "The container can't be set up"),
            ("CreateContainerError", Trouble.INVALID, "The container can't be created"),
            ("RunContainerError", Trouble.INVALID, "The container can't be run"),
        ],
    )
    def test_says_what_the_node_says(self, reason: str, trouble: Trouble, words: str) -> None:
        found = classify.waiting_of(pod(waiting={"reason": reason, "message": "as\n told."}))
        assert found == Waiting(trouble, f"{words}: as told.")

    def test_for_a_node(self) -> None:
        condition = {
            "type": "PodScheduled",
            "status": "False",
            "message": "0/2 nodes: 2 Insufficient memory.",
        }
        told = "No node can take the container: 0/2 nodes: 2 Insufficient memory."
        assert classify.waiting_of(pod(condition)) == Waiting(Trouble.UNSCHEDULABLE, told)

    def test_for_a_quota_says_the_newest_refusal(self) -> None:
        events = [
            {"message": "exceeded quota: new", "lastTimestamp": "2026-11-30T10:00:01Z"},
            {"message": "exceeded quota: old", "lastTimestamp": "2026-11-30T10:00:00Z"},
        ]
        told = "The cluster makes no pod: exceeded quota: new."
        assert classify.waiting_without_pod(events) == Waiting(Trouble.QUOTA, told)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ({"status": "Success"}, 0),
        ({"status": "Failure", "details": {"causes": [{"reason": "ExitCode", "message": "3"}]}}, 3),
        ({"status": "Failure", "message": "executable file not found in $PATH"}, 127),
        ({"status": "Failure", "message": "permission denied"}, 126),
    ],
)
def test_end_of_a_command(status: dict[str, Any], code: int) -> None:
    assert classify.read_status(status) == code
