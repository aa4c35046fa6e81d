"""From a specification to a container that runs, once per key."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from app.domain.errors import EngineUnavailable
from app.engines.base import ContainerSpec, ImageUnavailable, StartRefused, StartWaits, is_same
from app.engines.kubernetes import classify, manifests
from app.engines.kubernetes.api import Api, Gone, Invalid, Taken
from app.engines.kubernetes.classify import Found, Trouble
from app.engines.kubernetes.manifests import EPOCH, LABELS, ImageFacts, Place
from app.engines.kubernetes.watch import PodWatch

_LOOK_SECONDS = 2.0  # between two looks at a Job that has no pod yet


@dataclass(frozen=True, slots=True)
class Patience:
    """How many seconds a container may take to start: altogether, within one call, while its image can't be pulled, and
    while what was asked for can't be run. A cluster that makes room takes minutes; pulls are tried again by the node.
    """

    start: float = 600.0
    call: float = 5.0
    pull: float = 120.0
    invalid: float = 30.0

    def of(self, trouble: Trouble | None) -> float:
        return (
            {Trouble.PULL: self.pull, Trouble.INVALID: self.invalid}.get(trouble, self.start)
            if trouble
            else self.start
        )


@dataclass(frozen=True)
class Starting:
    """The start of one key. `clock` is the server's; the age of a Job is told by the cluster's."""

    api: Api
    watch: PodWatch
    place: Place
    patience: Patience
    clock: Callable[[], datetime]
    troubles: dict[str, tuple[Trouble | None, float]] = field(
        default_factory=dict
    )  # of a Job, and since when

    def run(
        self, spec: ContainerSpec, key: str, image: ImageFacts, *, look_first: bool
    ) -> tuple[Found, Found]:
        """Return the Job and its pod once the container runs, or has ended. Raises as `Engine.start` does."""
        found = candidate(self.api, self.place, key, spec.labels) if look_first else None
        job = found or self._made(spec, key, image)
        if job["spec"].get("suspend"):
            job = self._resumed(spec, job)
        return job, self._started(job)

    def _made(self, spec: ContainerSpec, key: str, image: ImageFacts) -> Found:
        backstop = round(spec.time_limit_seconds + self.patience.start) if spec.time_limit_seconds else None
        body = manifests.job(spec, self.place, key, image, backstop)
        try:
            return self.api.create("jobs", body)
        except Taken:
            return self.api.get("jobs", body["metadata"]["name"])
        except Invalid as error:
            raise StartRefused(f"The cluster can't run this: {error.message}") from error

    def _resumed(self, spec: ContainerSpec, job: Found) -> Found:
        name, uid = job["metadata"]["name"], job["metadata"]["uid"]
        for secret in (
            manifests.secret(spec, self.place, name, uid),
            manifests.pull_secret(spec, self.place, name, uid),
        ):
            if secret is not None:
                self._make_secret(secret, uid)
        return self.api.patch("jobs", name, manifests.RESUMED)

    def _make_secret(self, secret: manifests.Manifest, uid: str) -> None:
        try:
            self.api.create("secrets", secret)
        except Taken:
            self._require_own_secret(secret["metadata"]["name"], uid)

    def _require_own_secret(self, name: str, uid: str) -> None:
        """A Secret of an earlier Job of that name goes soon after it. Raises EngineUnavailable until then."""
        owners = self.api.get("secrets", name)["metadata"].get("ownerReferences") or []
        if uid not in {owner["uid"] for owner in owners}:
            raise EngineUnavailable(f"The Secret {name} of an earlier Job is not removed yet.")

    def _started(self, job: Found) -> Found:
        name, asked_at = job["metadata"]["name"], time.monotonic()
        pod = self.watch.pod(name, 0)
        while not (pod and is_of(pod, job) and _has_begun(pod)):
            waiting = classify.waiting_of(pod) if pod else self._without_pod(name)
            if self._lasts(name, waiting.trouble) > self.patience.of(waiting.trouble) or self._is_late(job):
                self._give_up(name, waiting)
            if time.monotonic() - asked_at > self.patience.call:
                raise StartWaits(waiting.sentence or "The cluster has not started the container yet.")
            pod = self.watch.pod(name, min(_LOOK_SECONDS, self.patience.call), than=pod)
        self.troubles.pop(name, None)
        _require_run(pod)
        return pod

    def _lasts(self, name: str, trouble: Trouble | None) -> float:
        """Return for how many seconds this has kept a Job's container from starting, over all calls."""
        now = time.monotonic()
        known, since = self.troubles.setdefault(name, (trouble, now))
        if known is not trouble:
            since = now
            self.troubles[name] = trouble, since
        return now - since

    def _without_pod(self, name: str) -> classify.Waiting:
        job = self.api.get("jobs", name)
        if ended := classify.exit_without_pod(job):
            raise EngineUnavailable(ended.detail)
        events = self.api.listed("events", fieldSelector=f"involvedObject.name={name},reason=FailedCreate")
        return classify.waiting_without_pod(events["items"])

    def _is_late(self, job: Found) -> bool:
        made = classify.read_time(job["metadata"]["creationTimestamp"])
        return made is not None and self.clock() - made > timedelta(seconds=self.patience.start)

    def _give_up(self, name: str, waiting: classify.Waiting) -> None:
        """Raises ImageUnavailable or StartRefused; the Job is deleted, so that it can't start later."""
        self.api.delete("jobs", name, propagationPolicy="Background")
        self.watch.forget(name)
        self.troubles.pop(name, None)
        if waiting.trouble is Trouble.PULL:
            raise ImageUnavailable(waiting.sentence)
        told = waiting.sentence or "Nothing tells why."
        raise StartRefused(
            f"The container did not start within {self.patience.of(waiting.trouble):g} s. {told}"
        )


def candidate(api: Api, place: Place, key: str, labels: Mapping[str, str]) -> Found | None:
    """Return the Job that a start with this key and a specification with these labels is for."""
    found = api.listed("jobs", labelSelector=manifests.selector(place, key))["items"]
    meant = [job for job in found if is_ours(job, place) and is_same(labels_of(job), labels)]
    return min(meant, key=lambda job: str(job["metadata"]["creationTimestamp"]), default=None)


def is_ours(job: Found, place: Place) -> bool:
    labels = job["metadata"].get("labels") or {}
    return labels.get(manifests.INSTALLATION) == place.installation and labels.get(EPOCH, "") == place.epoch


def labels_of(job: Found) -> dict[str, str]:
    """Return the labels of the specification that a Job was made of."""
    told: dict[str, str] = json.loads(job["metadata"]["annotations"][LABELS])
    return told


def is_of(pod: Found, job: Found) -> bool:
    return job["metadata"]["uid"] in {owner["uid"] for owner in pod["metadata"].get("ownerReferences") or []}


def _has_begun(pod: Found) -> bool:
    return "running" in classify.main_state(pod) or classify.exit_of_pod(pod) is not None


def _require_run(pod: Found) -> None:
    """Raises StartRefused where the container's process could not be run."""
    ended = classify.main_state(pod).get("terminated") or {}
    if ended.get("reason") in classify.REFUSED:
        found = classify.exit_of_pod(pod)
        assert found is not None
        raise StartRefused(found.detail, found.exit_code)


def secret_of(api: Api, name: str) -> Found | None:
    try:
        return api.get("secrets", name)
    except Gone:
        return None
