"""The engine contract over the API of a Kubernetes cluster."""

from __future__ import annotations

import base64
import json
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from queue import Empty
from typing import Any

from httpx2.websockets import WebSocketDisconnect, WebSocketNetworkError
from lightkube import KubeConfig

from app.domain.egress import Egress
from app.domain.errors import EngineUnavailable
from app.domain.output import Seen
from app.engines.base import (
    Chunk,
    ContainerSpec,
    EngineInfo,
    Exit,
    Handle,
    ImageConfig,
    Owned,
    RegistryLogin,
    ResolvedImage,
    State,
    require_kept,
)
from app.engines.kubernetes import classify, manifests
from app.engines.kubernetes.absent import LACKS, Absent
from app.engines.kubernetes.api import Api, Gone, Refusal
from app.engines.kubernetes.classify import Found
from app.engines.kubernetes.images import Registries
from app.engines.kubernetes.logs import CLOSING, Logs
from app.engines.kubernetes.manifests import CONTAINER, KEY, ImageFacts, Place
from app.engines.kubernetes.shells import Shells
from app.engines.kubernetes.starting import (
    Patience,
    Starting,
    candidate,
    is_of,
    is_ours,
    labels_of,
    secret_of,
)
from app.engines.kubernetes.watch import PodWatch
from app.engines.shells import NOT_RUNNING, NoShell, Shell

_WAIT_SECONDS = 2.0  # how long `wait` may take to notice that it was closed, or that a Job is gone
_NODE_SECONDS = 60.0  # beyond its grace that a container may take to end, before its node counts as silent
_TIMED_OUT, _CANNOT_PROBE = 124, 125
_ERROR_CHANNEL = 3


class KubernetesEngine(Absent):
    """See `app.engines.base` for what each method promises.

    `installation` is the id of this Jobyard, `epoch` what it is in since its data was restored: objects of another one
    in the same namespace are never touched. `config` is where the cluster is and who asks; None is what a pod is told,
    or the kubeconfig.
    """

    name = "kubernetes"

    def __init__(
        self,
        *,
        namespace: str,
        installation: str,
        clock: Callable[[], datetime],
        config: KubeConfig | None = None,
        egress: Egress | None = None,
        epoch: str = "",
        patience: Patience | None = None,
    ) -> None:
        self._api = Api(namespace, config)
        self._place = Place(namespace, installation, epoch)
        self._watch = PodWatch(self._api, manifests.selector(self._place))
        self._starting = Starting(self._api, self._watch, self._place, patience or Patience(), clock)
        self._registries = Registries(egress or Egress())
        self._logs = Logs(self._api, self._has_ended, clock)
        self._shells = Shells(self._api)
        self._id = ""
        self._closed = threading.Event()

    def info(self) -> EngineInfo:
        version = self._api.ask("version")
        return EngineInfo(
            name=self.name,
            version=version["gitVersion"].removeprefix("v"),
            cpus=0,
            memory_bytes=0,
            id=self._identity(),
        )

    def _identity(self) -> str:
        """Return what tells the namespace from those of its name in other clusters; nothing where the Role lets nobody
        ask.
        """
        if not self._id:
            with suppress(Refusal):
                self._id = str(self._api.ask(f"api/v1/namespaces/{self._api.namespace}")["metadata"]["uid"])
        return self._id

    def resolve(
        self,
        reference: str,
        login: RegistryLogin | None = None,
        *,
        pull: bool = True,  # noqa: ARG002  nodes pull
    ) -> ResolvedImage:
        return self._registries.resolve(reference, login)

    def image_config(self, image: str) -> ImageConfig:
        return self._registries.config(image)

    def start(self, spec: ContainerSpec, key: str, token: int, *, is_new: bool = False) -> Handle:  # noqa: ARG002
        require_kept(spec.hardening, LACKS)
        asks_image = spec.hardening.non_root or spec.hardening.read_only
        image = self._registries.facts(spec.image) if asks_image else ImageFacts()
        job, pod = self._starting.run(spec, key, image, look_first=not is_new)
        return self._handle(job, pod)

    def _handle(self, job: Found, pod: Found | None) -> Handle:
        found = job["metadata"]
        node = str((pod or {}).get("spec", {}).get("nodeName", ""))
        return Handle(self.name, found["annotations"][KEY], found["uid"], found["name"], node)

    def environment(self, key: str, labels: Mapping[str, str]) -> Mapping[str, str] | None:
        job = candidate(self._api, self._place, key, labels)
        secret = secret_of(self._api, job["metadata"]["name"]) if job else None
        if secret is None:
            return None
        data = secret.get("data") or {}
        return {name: base64.b64decode(value).decode() for name, value in data.items()}

    def logs(self, handle: Handle, seen: Seen | None = None) -> Iterator[Chunk]:
        pod = self._begun(handle)
        if pod is not None:
            yield from self._logs.read(handle.name, pod["metadata"]["name"], seen)

    def _begun(self, handle: Handle) -> Found | None:
        """Return the pod once its container has begun; None where there is none any more."""
        pod = self._watch.pod(handle.name, 0)
        while True:
            if pod is None or not _is_of(pod, handle):
                if self._without_pod(handle):
                    return None
            elif "running" in classify.main_state(pod):
                return pod
            elif classify.exit_of_pod(pod):  # whose Job may be gone, as it goes before its pod
                return pod if self._job(handle) and "terminated" in classify.main_state(pod) else None
            pod = self._watch.pod(handle.name, _WAIT_SECONDS, than=pod)

    def _has_ended(self, job: str) -> bool:
        pod = self._watch.pod(job, 0)
        if pod is None or pod.get("gone"):
            raise Gone(404, "NotFound", "The pod is gone.")
        return classify.exit_of_pod(pod) is not None

    def wait(self, handle: Handle) -> Exit:
        pod = self._watch.pod(handle.name, 0)
        while True:
            if ended := self._exit(handle, pod):
                return ended
            if self._closed.is_set():
                raise EngineUnavailable(CLOSING)
            pod = self._watch.pod(handle.name, _WAIT_SECONDS, than=pod)

    def _exit(self, handle: Handle, pod: Found | None) -> Exit | None:
        if pod is None or not _is_of(pod, handle):
            return self._without_pod(handle)
        ended, is_gone = classify.exit_of_pod(pod), pod.get("gone")
        if ended is None and not is_gone:
            return None
        is_deleted = is_gone or "deletionTimestamp" in pod["metadata"]
        return classify.exit_of_deleted(self._job(handle), ended) if is_deleted else ended

    def _without_pod(self, handle: Handle) -> Exit | None:
        return classify.exit_without_pod(self._job(handle))

    def _job(self, handle: Handle) -> Found | None:
        try:
            job = self._api.get("jobs", handle.name)
        except Gone:
            return None
        return job if job["metadata"]["uid"] == handle.id else None

    def probe(self, handle: Handle, argv: Sequence[str], timeout_seconds: float) -> int:
        """Run a command in the container: 125 if it is not running, 126 or 127 if the command can't be run."""
        pod = self._running(handle)
        if pod is None:
            return _CANNOT_PROBE
        try:
            with self._api.execute(pod["metadata"]["name"], CONTAINER, list(argv)) as session:
                return _exit_code(session, timeout_seconds)
        except Refusal:
            return _CANNOT_PROBE

    def shell(self, handle: Handle, columns: int, rows: int) -> Shell:
        pod = self._running(handle)
        if pod is None:
            raise NoShell(NOT_RUNNING)
        return self._shells.open(pod["metadata"]["name"], columns, rows)

    def end_shells(self, handle: Handle) -> None:
        pod = self._running(handle)
        if pod is not None:
            self._shells.end_left(pod["metadata"]["name"])

    def _running(self, handle: Handle) -> Found | None:
        pod = self._watch.pod(handle.name, 0)
        if pod is None or not _is_of(pod, handle) or pod.get("gone"):
            return None
        return pod if "running" in classify.main_state(pod) else None

    def address(self, handle: Handle) -> str | None:
        pod = self._running(handle)
        return None if pod is None else pod["status"].get("podIP")

    def stop(self, handle: Handle, grace_seconds: float) -> None:
        """End the container by deleting its pod. How it ended is written at its Job, as it goes with the pod."""
        pod = self._watch.pod(handle.name, 0)
        if pod is None or not _is_of(pod, handle):
            return self._withhold(handle)
        if classify.exit_of_pod(pod) or pod.get("gone"):
            return None
        grace = max(1, math.ceil(grace_seconds))
        self._api.delete("pods", pod["metadata"]["name"], gracePeriodSeconds=grace)
        if ended := self._ended_within(handle, pod, grace + _NODE_SECONDS):
            self._keep(handle, ended)
        return None

    def _withhold(self, handle: Handle) -> None:
        """Let a Job that has no pod yet make none."""
        if self._job(handle) is not None:
            self._api.patch("jobs", handle.name, {"spec": {"suspend": True}})

    def _ended_within(self, handle: Handle, pod: Found | None, seconds: float) -> Exit | None:
        deadline = time.monotonic() + seconds
        while pod is not None and _is_of(pod, handle):
            ended = classify.exit_of_pod(pod)
            if ended or pod.get("gone"):
                return ended
            if time.monotonic() > deadline:
                node = pod["spec"].get("nodeName", "")
                raise EngineUnavailable(f"The node {node} does not say that the container has ended.")
            pod = self._watch.pod(handle.name, _WAIT_SECONDS, than=pod)
        return None

    def _keep(self, handle: Handle, ended: Exit) -> None:
        try:
            self._api.patch(
                "jobs", handle.name, {"metadata": {"annotations": classify.exit_annotation(ended)}}
            )
        except Gone:
            return

    def remove(self, handle: Handle) -> None:
        job = self._job(handle)
        if job is None or not is_ours(job, self._place):
            return
        pod = self._running(handle)
        if pod is not None:
            self._api.delete("pods", pod["metadata"]["name"], gracePeriodSeconds=1)
        self._api.delete(
            "jobs", handle.name, propagationPolicy="Background", preconditions={"uid": handle.id}
        )
        self._watch.forget(handle.name)

    def owned(self) -> Sequence[Owned]:
        return [owned for owned, is_own in self._of_all_epochs() if is_own]

    def of_other_epochs(self) -> Sequence[Owned]:
        return [owned for owned, is_own in self._of_all_epochs() if not is_own]

    def _of_all_epochs(self) -> list[tuple[Owned, bool]]:
        jobs = self._api.listed("jobs", labelSelector=manifests.selector(self._place))["items"]
        return [
            (self._owned(job), is_ours(job, self._place))
            for job in jobs
            if KEY in job["metadata"]["annotations"]
        ]

    def _owned(self, job: Found) -> Owned:
        pod = self._watch.pod(job["metadata"]["name"], 0)
        if pod is not None and not is_of(pod, job):
            pod = None
        state: State = classify.state_of(job, pod)
        made = classify.read_time(job["metadata"]["creationTimestamp"])
        return Owned(self._handle(job, pod), state, labels_of(job), made)

    def close(self) -> None:
        self._closed.set()
        self._logs.close()
        self._watch.close()
        self._api.close()


def _is_of(pod: Found, handle: Handle) -> bool:
    return handle.id in {owner["uid"] for owner in pod["metadata"].get("ownerReferences") or []}


def _exit_code(session: Any, timeout_seconds: float) -> int:
    """Return the exit code that the error channel tells at the end; output is left aside."""
    deadline = time.monotonic() + timeout_seconds
    try:
        while True:
            message = session.receive_bytes(timeout=max(deadline - time.monotonic(), 0.001))
            if message[:1] == bytes((_ERROR_CHANNEL,)):
                return classify.read_status(json.loads(message[1:]))
    except (Empty, TimeoutError):
        return _TIMED_OUT
    except (WebSocketDisconnect, WebSocketNetworkError) as error:
        raise EngineUnavailable(
            "The cluster's connection to a command in the container broke off."
        ) from error
