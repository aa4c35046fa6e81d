"""What an API server keeps: objects with versions, and what changed of them, which watches follow."""

from __future__ import annotations

import copy
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

Object = dict[str, Any]
KINDS = {"jobs": "Job", "pods": "Pod", "secrets": "Secret", "events": "Event"}
VERSIONS = {"jobs": "batch/v1", "pods": "v1", "secrets": "v1", "events": "v1"}


class Problem(Exception):
    """An answer with an error, as a `Status` tells it."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.status: Object = {
            "apiVersion": "v1",
            "kind": "Status",
            "status": "Failure",
            "code": code,
            "reason": reason,
            "message": message,
        }


def now() -> str:
    """The API's times are of whole seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def matches(found: Object, label_selector: str, field_selector: str = "") -> bool:
    labels = found["metadata"].get("labels") or {}
    wanted = dict(each.split("=", 1) for each in filter(None, label_selector.split(",")))
    fields = dict(each.split("=", 1) for each in filter(None, field_selector.split(",")))
    return all(labels.get(name) == value for name, value in wanted.items()) and all(
        _field(found, name) == value for name, value in fields.items()
    )


def _field(found: Any, path: str) -> Any:
    for name in path.split("."):
        found = found.get(name, {})
    return found


def merge(into: Object, patch: Object) -> None:
    for name, value in patch.items():
        if value is None:
            into.pop(name, None)
        elif isinstance(value, dict) and isinstance(into.get(name), dict):
            merge(into[name], value)
        else:
            into[name] = value


class Objects:
    """Every method is atomic; what is handed out is a copy."""

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.RLock())
        self._version = 1
        self._all: dict[tuple[str, str], Object] = {}
        self._events: list[tuple[int, str, str, Object]] = []  # version, kind, type, object
        self._oldest = 0
        self.is_closed = False

    def get(self, kind: str, name: str) -> Object:
        with self._changed:
            if (kind, name) not in self._all:
                problem = Problem(404, "NotFound", f'{kind} "{name}" not found')
                problem.status["details"] = {"name": name, "kind": kind}
                raise problem
            return copy.deepcopy(self._all[kind, name])

    def list(self, kind: str, label_selector: str = "", field_selector: str = "") -> Object:
        with self._changed:
            found = [each for (of, _), each in self._all.items() if of == kind]
            items = [copy.deepcopy(each) for each in found if matches(each, label_selector, field_selector)]
            return {
                "apiVersion": VERSIONS[kind],
                "kind": f"{KINDS[kind]}List",
                "metadata": {"resourceVersion": str(self._version)},
                "items": items,
            }

    def create(self, kind: str, body: Object) -> Object:
        with self._changed:
            name = body["metadata"]["name"]
            if (kind, name) in self._all:
                raise Problem(409, "AlreadyExists", f'{kind} "{name}" already exists')
            made = copy.deepcopy(body)
            made["metadata"] |= {"uid": str(uuid.uuid4()), "creationTimestamp": now(), "generation": 1}
            self._all[kind, name] = made
            return self._tell(kind, "ADDED", made)

    def change(self, kind: str, name: str, by: Callable[[Object], None]) -> Object:
        with self._changed:
            found = self.get(kind, name)
            by(found)
            self._all[kind, name] = found
            return self._tell(kind, "MODIFIED", found)

    def remove(self, kind: str, name: str) -> Object:
        with self._changed:
            found = self.get(kind, name)
            del self._all[kind, name]
            return self._tell(kind, "DELETED", found)

    def _tell(self, kind: str, type_: str, found: Object) -> Object:
        self._version += 1
        found["metadata"]["resourceVersion"] = str(self._version)
        self._events.append((self._version, kind, type_, copy.deepcopy(found)))
        self._changed.notify_all()
        return copy.deepcopy(found)

    def forget_changes(self) -> None:
        """What changed until now is too old to watch from, and watches that go on hear so (410)."""
        with self._changed:
            self._version += 1
            self._oldest = self._version
            self._events.clear()
            self._changed.notify_all()

    def watch(self, kind: str, selector: str, version: int, seconds: float) -> Iterator[bytes]:
        """Lines of events after a version, with a bookmark each second, until the time is over."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self.is_closed:
            with self._changed:
                if version < self._oldest:
                    yield _line("ERROR", Problem(410, "Expired", "too old resource version").status)
                    return
                news = [each for each in self._events if each[0] > version]
                if not news and not self._changed.wait(1.0):
                    mark = {"metadata": {"resourceVersion": str(self._version)}}
                    yield _line("BOOKMARK", {"apiVersion": VERSIONS[kind], "kind": KINDS[kind], **mark})
            for version, of, type_, found in news:  # noqa: B007  the last one counts
                if of == kind and matches(found, selector):
                    yield _line(type_, found)

    def look_again(self) -> None:
        """Something else changed that somebody waits for."""
        with self._changed:
            self._changed.notify_all()

    def wait_for(self, condition: Callable[[], bool], seconds: float = 60.0) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self.is_closed or condition(), seconds)

    def close(self) -> None:
        with self._changed:
            self.is_closed = True
            self._changed.notify_all()


def _line(type_: str, found: Object) -> bytes:
    return json.dumps({"type": type_, "object": found}).encode() + b"\n"
