"""The controllers: a Job gets its pod and its verdict, a pod its node, and what an owner owned goes with it."""

from __future__ import annotations

import base64
import threading
import uuid

import docker
import kubernetes_validate

from tests.support.kubernetes_double.nodes import Node
from tests.support.kubernetes_double.objects import Object, Objects, Problem, merge, now

SCHEMA = "1.34"


class Cluster:
    """One namespace. `quota` and `no_room` are the words with which pods are refused or find no node; of `denied`
    (verb and resource) nothing may be done.
    """

    def __init__(self) -> None:
        self.uid = str(uuid.uuid4())  # of its namespace
        self.objects = Objects()
        self.quota = self.no_room = ""
        self.denied: set[tuple[str, str]] = set()
        self.failures: list[int] = []  # statuses that the next requests are answered with
        self.requests: list[tuple[str, str]] = []
        self.client = docker.APIClient(timeout=120)
        self.node = Node("node-1", uuid.uuid4().hex, self.objects, self.client)
        self._threads: list[threading.Thread] = []

    def make_room(self) -> None:
        self.quota = self.no_room = ""
        self.objects.look_again()

    def create(self, kind: str, body: Object) -> Object:
        try:
            kubernetes_validate.validate(body, SCHEMA, strict=True)
        except kubernetes_validate.ValidationError as error:
            raise Problem(422, "Invalid", error.message) from error
        if kind == "secrets":
            body = _sealed(body)
        if kind == "jobs":
            body = {**body, "status": {}}
        made = self.objects.create(kind, body)
        if kind == "jobs":
            self._in_background(self._reconcile, made["metadata"]["name"])
        return made

    def patch(self, kind: str, name: str, body: Object) -> Object:
        changed = self.objects.change(kind, name, lambda found: merge(found, body))
        if kind == "jobs":
            self._in_background(self._reconcile, name)
        return changed

    def delete(self, kind: str, name: str, options: Object) -> Object:
        uid = (options.get("preconditions") or {}).get("uid")
        found = self.objects.get(kind, name)
        if uid and found["metadata"]["uid"] != uid:
            raise Problem(409, "Conflict", "the UID in the precondition is another")
        if kind == "pods":
            return self._delete_pod(name, options.get("gracePeriodSeconds"))
        removed = self.objects.remove(kind, name)
        self._collect(found["metadata"]["uid"])
        return removed

    def _collect(self, owner: str) -> None:
        for kind in ("secrets", "pods"):
            for each in self.objects.list(kind)["items"]:
                if owner in {reference["uid"] for reference in each["metadata"].get("ownerReferences") or ()}:
                    self.delete(kind, each["metadata"]["name"], {})

    def _delete_pod(self, name: str, grace_seconds: int | None) -> Object:
        def mark(pod: Object) -> None:
            pod["metadata"].setdefault("deletionTimestamp", now())
            pod["metadata"]["deletionGracePeriodSeconds"] = grace

        pod = self.objects.get("pods", name)
        own = pod["metadata"].get("deletionGracePeriodSeconds", pod["spec"]["terminationGracePeriodSeconds"])
        grace = own if grace_seconds is None else grace_seconds
        marked = self.objects.change("pods", name, mark)
        self._in_background(self._end, name, grace)
        return marked

    def _end(self, name: str, grace_seconds: int) -> None:
        self.node.stop(name, grace_seconds)
        try:
            if "nodeName" in self.objects.get("pods", name)["spec"]:
                self.objects.wait_for(lambda: self._is_over(name))
            self.objects.remove("pods", name)
        except Problem:
            return  # somebody else was first
        self.node.remove(name)

    def _is_over(self, name: str) -> bool:
        return self.objects.get("pods", name)["status"].get("phase") in ("Succeeded", "Failed")

    def _reconcile(self, name: str) -> None:
        """Give a Job that is not suspended its only pod, and see it through."""
        try:
            pod = self._pod_of(name)
            if pod is None:
                return
            self._schedule(pod["metadata"]["name"])
            self._in_background(self.node.run, pod)
            self._judge(name, pod["metadata"]["name"])
        except Problem:
            return  # the Job is gone

    def _pod_of(self, name: str) -> Object | None:
        if self.quota:
            self._tell_quota(name)
            self.objects.wait_for(lambda: not self.quota)
        claimed: list[bool] = []

        def claim(job: Object) -> None:
            claimed.append(not job["spec"]["suspend"] and "startTime" not in job["status"])
            if claimed[0]:
                job["status"]["startTime"] = now()

        job = self.objects.change("jobs", name, claim)
        return self.objects.create("pods", _pod(job)) if claimed[0] else None

    def _tell_quota(self, name: str) -> None:
        told = {"reason": "FailedCreate", "message": self.quota, "lastTimestamp": now()}
        metadata = {"name": f"{name}.{uuid.uuid4().hex[:8]}", "namespace": "runs"}
        self.objects.create(
            "events", {"metadata": metadata, "involvedObject": {"kind": "Job", "name": name}, **told}
        )

    def _schedule(self, name: str) -> None:
        if self.no_room:
            condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
            told = {"conditions": [{**condition, "message": self.no_room}]}
            self.objects.change("pods", name, lambda pod: pod["status"].update(told))
            self.objects.wait_for(lambda: not self.no_room)
        assigned = {"spec": {"nodeName": self.node.name}, "status": {"conditions": []}}
        self.objects.change("pods", name, lambda pod: merge(pod, assigned))

    def _judge(self, job: str, pod: str) -> None:
        seconds = self.objects.get("jobs", job)["spec"].get("activeDeadlineSeconds", 3600)
        is_in_time = self.objects.wait_for(lambda: self._is_done(pod), seconds)
        succeeded = is_in_time and self._succeeded(pod)
        reason = (
            "CompletionsReached"
            if succeeded
            else "BackoffLimitExceeded"
            if is_in_time
            else "DeadlineExceeded"
        )
        verdict = {"type": "Complete" if succeeded else "Failed", "status": "True", "reason": reason}
        self.objects.change("jobs", job, lambda found: found["status"].update(conditions=[verdict]))
        if not is_in_time:
            self._delete_pod(pod, None)

    def _is_done(self, pod: str) -> bool:
        try:
            return self._is_over(pod)
        except Problem:
            return True

    def _succeeded(self, pod: str) -> bool:
        try:
            return bool(self.objects.get("pods", pod)["status"]["phase"] == "Succeeded")
        except Problem:
            return False

    def _in_background(self, call: object, *arguments: object) -> None:
        thread = threading.Thread(target=call, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def close(self) -> None:
        self.objects.close()
        self.node.close()
        for thread in self._threads:
            thread.join(20)
        self.client.close()


def _sealed(secret: Object) -> Object:
    given = secret.pop("stringData", {})
    return {
        **secret,
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in given.items()},
    }


def _pod(job: Object) -> Object:
    template, owner = job["spec"]["template"], job["metadata"]
    tracked = {
        "batch.kubernetes.io/job-name": owner["name"],
        "batch.kubernetes.io/controller-uid": owner["uid"],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            **template["metadata"],
            "name": f"{owner['name']}-{uuid.uuid4().hex[:5]}",
            "namespace": owner["namespace"],
            "labels": {**template["metadata"]["labels"], **tracked},
            "ownerReferences": [
                {
                    "apiVersion": "batch/v1",
                    "kind": "Job",
                    "name": owner["name"],
                    "uid": owner["uid"],
                    "controller": True,
                }
            ],
        },
        "spec": dict(template["spec"]),
        "status": {"phase": "Pending"},
    }
