"""One list and watch of an installation's pods, which all who wait share.

A watch is never trusted for long: it is ended by the server every few minutes and begun anew with a list, as it is
after any gap, any error and what is too old (410). What is told is how things stand, so that hearing it twice changes
nothing.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Mapping
from typing import Any

from app.domain.errors import EngineUnavailable
from app.engines.kubernetes.api import ANSWER_SECONDS, Api, TooOld, refusal
from app.engines.kubernetes.classify import Found

log = logging.getLogger(__name__)
WATCH_SECONDS = 270
_IDLE_SECONDS = 60.0 + WATCH_SECONDS
_AGAIN_SECONDS = 1.0
JOB_LABEL = "batch.kubernetes.io/job-name"


class PodWatch:
    """Knows the newest state of the pod of each Job by the Job's name. Its thread begins with the first question."""

    def __init__(self, api: Api, selector: str) -> None:
        self._api = api
        self._selector = selector
        self._changed = threading.Condition()
        self._pods: dict[str, Found] = {}
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self._trouble: EngineUnavailable | None = None
        self._listed = 0

    def pod(self, job: str, timeout_seconds: float, than: Found | None = None) -> Found | None:
        """Return the Job's pod as soon as there is another state of it `than` this one, or after the time as it is
        then. Raises EngineUnavailable where the cluster can't be watched now.
        """
        self._begin()
        with self._changed:
            self._changed.wait_for(lambda: self._listed or self._trouble, ANSWER_SECONDS)
            self._changed.wait_for(lambda: self._is_news(job, than), timeout_seconds)
            if self._trouble is not None:
                raise EngineUnavailable(str(self._trouble))
            return self._pods.get(job)

    def forget(self, job: str) -> None:
        with self._changed:
            self._pods.pop(job, None)

    def close(self) -> None:
        self._closed.set()
        with self._changed:
            self._trouble = EngineUnavailable(
                "Jobyard is closing its connection to the cluster; pods are left alone."
            )
            self._changed.notify_all()

    def _is_news(self, job: str, than: Found | None) -> bool:
        known = self._pods.get(job)
        return self._trouble is not None or known != than

    def _begin(self) -> None:
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._follow, name="kubernetes-watch", daemon=True)
                self._thread.start()

    def _follow(self) -> None:
        while not self._closed.is_set():
            try:
                self._watch(self._list())
            except TooOld:
                continue
            except EngineUnavailable as error:
                if self._listed and not self._closed.is_set():
                    log.info("watching pods broke off: %s", error)
                self._tell_trouble(error)
                self._closed.wait(_AGAIN_SECONDS)

    def _tell_trouble(self, error: EngineUnavailable) -> None:
        with self._changed:
            if not self._closed.is_set():
                self._trouble = error
            self._changed.notify_all()

    def _list(self) -> str:
        answer = self._api.listed("pods", labelSelector=self._selector)
        with self._changed:
            self._pods = {job_of(each): each for each in answer["items"]}
            self._listed += 1
            if not self._closed.is_set():
                self._trouble = None
            self._changed.notify_all()
        return str(answer["metadata"]["resourceVersion"])

    def _watch(self, version: str) -> None:
        params: Mapping[str, Any] = {
            "watch": "true",
            "labelSelector": self._selector,
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": WATCH_SECONDS,
        }
        with self._api.stream(self._api.watch_path("pods"), _IDLE_SECONDS, **params) as answer:
            for line in answer.iter_lines():
                if self._closed.is_set():
                    return
                self._take(json.loads(line))

    def _take(self, event: Mapping[str, Any]) -> None:
        if event["type"] == "ERROR":
            raise refusal(int(event["object"].get("code", 500)), json.dumps(event["object"]).encode())
        if event["type"] == "BOOKMARK":
            return
        pod = event["object"]
        with self._changed:
            self._pods[job_of(pod)] = {**pod, "gone": True} if event["type"] == "DELETED" else pod
            self._changed.notify_all()


def job_of(pod: Found) -> str:
    return str(pod["metadata"]["labels"].get(JOB_LABEL, ""))
