"""What a cluster's answers mean.

What counts is the state of the container that runs the job, not the phase of its pod: a pod may have sidecars that a
cluster puts into it.
"""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.engines.base import LOST, Exit, ExitKind, State
from app.engines.kubernetes.manifests import CONTAINER, EXIT

Found = Mapping[str, Any]  # an object as the API server answers it

OUT_OF_MEMORY = "The container used more memory than its plan allows and was killed."
NEVER_STARTED = "The container was never started."
REFUSED = {"StartError", "ContainerCannotRun"}
_OVERDUE = "DeadlineExceeded"
_NOT_FOUND = re.compile(r"no such file|not found in \$PATH|executable file not found")


class Trouble(enum.StrEnum):
    """What keeps a container from starting. All but INVALID may pass by themselves."""

    PULL = "pull"  # the image can't be had, or not yet
    INVALID = "invalid"  # what is asked for can't be run
    UNSCHEDULABLE = "unschedulable"  # no node has room for it, or is allowed to take it
    QUOTA = "quota"  # the namespace may not have more


@dataclass(frozen=True, slots=True)
class Waiting:
    """A container that has not started yet, and why if anything is amiss; `sentence` is for people."""

    trouble: Trouble | None = None
    sentence: str = ""


_WAITING = {
    "ErrImagePull": (Trouble.PULL, "The image can't be pulled"),
    "ImagePullBackOff": (Trouble.PULL, "The image can't be pulled"),
    "RegistryUnavailable": (Trouble.PULL, "The registry of the image does not answer"),
    "InvalidImageName": (Trouble.INVALID, "The name of the image is invalid"),
    "ErrImageNeverPull": (Trouble.INVALID, "The image is not on the node"),
    "CreateContainerConfigError": (Trouble.INVALID, "The container can't be set up"),
    "CreateContainerError": (Trouble.INVALID, "The container can't be created"),
    "RunContainerError": (Trouble.INVALID, "The container can't be run"),
}


def read_time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def main_state(pod: Found) -> Found:
    """Return the `state` of the job's container; nothing before a node has it."""
    statuses = pod.get("status", {}).get("containerStatuses") or []
    return next((each.get("state") or {} for each in statuses if each["name"] == CONTAINER), {})


def condition(found: Found, *types: str) -> Found | None:
    """Return the first condition of one of these types that is so."""
    conditions = found.get("status", {}).get("conditions") or []
    return next((each for each in conditions if each["type"] in types and each["status"] == "True"), None)


def state_of(job: Found, pod: Found | None) -> State:
    if EXIT in job["metadata"].get("annotations", {}) or condition(
        job, "Complete", "Failed", "FailureTarget", "SuccessCriteriaMet"
    ):
        return State.EXITED
    if pod is not None and exit_of_pod(pod):
        return State.EXITED
    return State.CREATED if job["spec"].get("suspend") else State.RUNNING


def waiting_of(pod: Found) -> Waiting:
    """Return what a container that has neither started nor ended waits for."""
    unscheduled = next(
        (
            each
            for each in pod.get("status", {}).get("conditions") or []
            if each["type"] == "PodScheduled" and each["status"] == "False"
        ),
        None,
    )
    if unscheduled:
        return Waiting(
            Trouble.UNSCHEDULABLE, _told("No node can take the container", unscheduled.get("message"))
        )
    waiting = main_state(pod).get("waiting") or {}
    if waiting.get("reason") not in _WAITING:
        return Waiting()
    trouble, words = _WAITING[waiting["reason"]]
    return Waiting(trouble, _told(words, waiting.get("message")))


def waiting_without_pod(events: Sequence[Found]) -> Waiting:
    """Return why a Job has no pod, by the newest of the events that tell of its failed attempts to make one."""
    if not events:
        return Waiting()
    newest = max(events, key=lambda event: event.get("lastTimestamp") or event.get("eventTime") or "")
    return Waiting(Trouble.QUOTA, _told("The cluster makes no pod", newest.get("message")))


def exit_of_pod(pod: Found) -> Exit | None:
    """Return how the job's container ended, or None where it goes on, or has not begun."""
    ended = main_state(pod).get("terminated")
    if ended is not None:
        return _exit_of_container(pod, ended)
    if pod.get("status", {}).get("phase") in ("Failed", "Succeeded"):
        return Exit(ExitKind.ENGINE_FAILED, detail=_disruption(pod) or NEVER_STARTED)
    return None


def exit_without_pod(job: Found | None) -> Exit | None:
    """Return how a Job ended that has no pod any more, or None where one is still to come."""
    if job is None:
        return Exit(ExitKind.LOST, detail=LOST)
    if kept := job["metadata"].get("annotations", {}).get(EXIT):
        return _kept(json.loads(kept))
    if failed := condition(job, "Failed", "FailureTarget"):
        return Exit(ExitKind.ENGINE_FAILED, detail=_failure(failed))
    if condition(job, "Complete"):
        return Exit(
            ExitKind.ENGINE_FAILED, detail="The pod is gone, so the container's exit code is not known."
        )
    return Exit(ExitKind.ENGINE_FAILED, detail=NEVER_STARTED) if job["spec"].get("suspend") else None


def exit_of_deleted(job: Found | None, ended: Exit | None) -> Exit | None:
    """Return how a container ended whose pod is being deleted, where the pod says that it has `ended` so. A Job that
    is gone or overdue says more.
    """
    by_job = exit_without_pod(job)
    if job is None or ended is None:
        return by_job
    failed = condition(job, "Failed", "FailureTarget")
    return by_job if failed and failed.get("reason") == _OVERDUE else ended


def exit_annotation(ended: Exit) -> Mapping[str, str]:
    """Return what is written at a Job whose pod goes with its end."""
    times = {
        name: at.isoformat()
        for name, at in (("started_at", ended.started_at), ("finished_at", ended.finished_at))
        if at
    }
    kept = {
        "kind": ended.kind,
        "exit_code": ended.exit_code,
        "oom_killed": ended.oom_killed,
        "detail": ended.detail,
    }
    return {EXIT: json.dumps({**kept, **times})}


def _kept(told: Found) -> Exit:
    return Exit(
        ExitKind(told["kind"]),
        told["exit_code"],
        told["oom_killed"],
        read_time(told.get("started_at")),
        read_time(told.get("finished_at")),
        told["detail"],
    )


def _exit_of_container(pod: Found, ended: Found) -> Exit:
    code, reason = int(ended["exitCode"]), ended.get("reason", "")
    began, over = read_time(ended.get("startedAt")), read_time(ended.get("finishedAt"))
    if reason == "ContainerStatusUnknown":  # what a kubelet says of a container that it can't find any more
        detail = _disruption(pod) or "The node can't say how the container ended."
        return Exit(ExitKind.ENGINE_FAILED, None, False, began, over, detail)
    if disruption := _disruption(pod):
        return Exit(ExitKind.ENGINE_FAILED, None, False, began, over, disruption)
    if reason in REFUSED:
        detail = _told("The container could not be started", ended.get("message"))
        return Exit(ExitKind.EXITED, shell_code(ended.get("message", "")), False, over, over, detail)
    is_out_of_memory = reason == "OOMKilled"
    detail = OUT_OF_MEMORY if is_out_of_memory else ""
    return Exit(ExitKind.EXITED, code, is_out_of_memory, began, over, detail)


def shell_code(message: str) -> int:
    """Return what a shell would give for a command that could not be run."""
    return 127 if _NOT_FOUND.search(message) else 126


def read_status(status: Found) -> int:
    """Return the exit code of a command that was executed, of what the cluster said at its end."""
    if status.get("status") == "Success":
        return 0
    causes = (status.get("details") or {}).get("causes") or []
    codes = [int(each["message"]) for each in causes if each.get("reason") == "ExitCode"]
    return codes[0] if codes else shell_code(str(status.get("message", "")))


_DISRUPTIONS = {
    "PreemptionByScheduler": "The pod had to make room for one of a higher priority",
    "DeletionByTaintManager": "The pod was removed because its node did not answer or was being emptied",
    "EvictionByEvictionAPI": "The pod was evicted, as when its node is drained",
    "DeletionByPodGC": "The pod's node is gone",
    "TerminationByKubelet": "The pod's node ended it to have enough memory or disk",
}


def _disruption(pod: Found) -> str:
    """Return a sentence about what the cluster did to the pod; nothing where it let it be."""
    status = pod.get("status", {})
    if target := condition(pod, "DisruptionTarget"):
        words = _DISRUPTIONS.get(target.get("reason", ""), "The cluster ended the pod")
        return _told(words, target.get("message"))
    if status.get("reason") == "Evicted":
        return _told(_DISRUPTIONS["TerminationByKubelet"], status.get("message"))
    if status.get("reason") == "NodeLost":
        return _told("The pod's node is lost", status.get("message"))
    return ""


def _failure(failed: Found) -> str:
    if failed.get("reason") == _OVERDUE:
        return "The cluster ended the container, as no server of Jobyard had ended it by its time limit."
    return "The pod is gone and no exit code of it is known: it was deleted, or its node is."


def _told(words: str, message: str | None) -> str:
    told = " ".join((message or "").split()).rstrip(".")
    return f"{words}: {told}." if told else f"{words}."
