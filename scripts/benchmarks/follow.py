"""When the first line of a run's log can be read: by the live stream of events that a browser uses."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from tests.support.server import TOKEN, JobyardServer, docker_client


def first_line(server: JobyardServer, run: Any, wanted: str, began: float) -> float:
    """Seconds since `began`; the run is followed to its end afterwards."""
    seconds = None
    for line in _events(server, run["id"]):
        if seconds is None and wanted in line:
            seconds = time.perf_counter() - began
    assert seconds is not None, f"{wanted!r} never came"
    return seconds


def wait_for_end(server: JobyardServer, run_id: int) -> None:
    for _ in _events(server, run_id):
        pass


def wait_for_removal(server: JobyardServer, run: Any) -> None:
    """Until its container is gone, as that of `docker run --rm` is: the other side must not wait for its removal."""
    label = {"label": f"jobyard.run={run['name']}"}
    with docker_client() as client:
        server.wait_for("the container is gone", lambda: not client.containers(all=True, filters=label))


def _events(server: JobyardServer, run_id: int) -> Iterator[str]:
    headers = {"Authorization": f"Bearer {TOKEN}", "Accept": "text/event-stream"}
    path = f"/api/v1/runs/{run_id}/logs"
    with server.http.stream("GET", path, headers=headers, timeout=300) as stream:
        for line in stream.iter_lines():
            if line == "event: end":
                return
            yield line


def next_run(server: JobyardServer, job: str, after: int) -> Any:
    """The first run with a greater id than `after`, as soon as there is one."""

    def probe() -> Any:
        return next((run for run in server.runs(job) if run["id"] > after), None)

    return server.wait_for("a run", probe)
