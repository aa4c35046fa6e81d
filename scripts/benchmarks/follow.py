"""When the first line of a run's log can be read: by the live stream of events that a browser uses."""

from __future__ import annotations

import time
from typing import Any

from tests.support.server import TOKEN, JobyardServer


def first_line(server: JobyardServer, run: Any, wanted: str, began: float) -> float:
    """Seconds since `began`; the run is followed to its end afterwards."""
    headers = {"Authorization": f"Bearer {TOKEN}", "Accept": "text/event-stream"}
    seconds = None
    with server.http.stream("GET", f"/api/v1/runs/{run['id']}/logs", headers=headers, timeout=120) as stream:
        for line in stream.iter_lines():
            if seconds is None and wanted in line:
                seconds = time.perf_counter() - began
            if line == "event: end":
                break
    assert seconds is not None, f"{wanted!r} never came"
    return seconds


def next_run(server: JobyardServer, job: str, after: int) -> Any:
    """The first run with a greater id than `after`, as soon as there is one."""

    def probe() -> Any:
        return next((run for run in server.runs(job) if run["id"] > after), None)

    return server.wait_for("a run", probe)
