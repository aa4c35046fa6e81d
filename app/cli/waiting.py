"""Why a run waits, said beside its log, which tells nothing until an attempt writes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from app.cli import output
from app.cli.client import ApiError, Unreachable

if TYPE_CHECKING:
    from app.cli.answers import Run
    from app.cli.client import Api

LOOK_SECONDS = 2.0


def why_it_waits(run: Run) -> str | None:
    """Return the run's sentence while it is queued; None if it says nothing, or the run has begun or is over."""
    return run["sentence"] or None if run["status"] == "queued" else None


@contextmanager
def saying_why_it_waits(api: Api, run: str) -> Iterator[None]:
    """Print each new sentence of the waiting run at the path `run`, and each new attempt, while the block runs."""
    over = threading.Event()
    first = api.get(run)
    watch = threading.Thread(target=_watch, args=(api, run, first, over), daemon=True)
    watch.start()
    try:
        yield
    finally:
        over.set()
        watch.join()


def _watch(api: Api, path: str, first: Run, over: threading.Event) -> None:
    said, attempts = None, first["attempts"]
    run = first
    while True:
        if run["attempts"] > attempts:
            said, attempts = None, run["attempts"]
            output.say(f"Attempt {attempts} began.")
        waits = why_it_waits(run)
        if waits is not None and waits != said:
            said = waits
            output.say(waits)
        if over.wait(LOOK_SECONDS):
            return
        try:
            run = api.get(path)
        except (ApiError, Unreachable):  # following the log says so, and goes on or ends
            continue
