"""One child process with all its descendants: its output as it comes, and an end that is certain."""

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from builders.backends.base import BuildCancelled, BuildTimedOut, StopSignal

POLL_SECONDS = 0.05
GRACE_SECONDS = 3.0
CHUNK_BYTES = 64 * 1024


def run_watched(
    argv: Sequence[str],
    *,
    environment: Mapping[str, str],
    directory: Path,
    on_output: Callable[[bytes], None],
    should_stop: StopSignal,
    time_limit_seconds: float | None,
) -> int:
    """Run `argv`, pass its two output streams to `on_output` as one, and return its exit status.

    Raises BuildCancelled or BuildTimedOut; whatever happens, its whole process group is gone on return.
    """
    deadline = None if time_limit_seconds is None else time.monotonic() + time_limit_seconds
    reading, writing = os.pipe()
    with open(reading, "rb", buffering=0), selectors.DefaultSelector() as selector:  # noqa: PTH123
        selector.register(reading, selectors.EVENT_READ)
        with open(writing, "wb"):  # noqa: PTH123
            child = subprocess.Popen(
                argv,
                env=dict(environment),
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=writing,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            while child.poll() is None:
                if should_stop.is_set():
                    raise BuildCancelled("The build was cancelled.")
                if deadline is not None and time.monotonic() >= deadline:
                    raise BuildTimedOut(
                        f"The build took longer than its time limit of {time_limit_seconds:g} s."
                    )
                _pass_on(selector, reading, on_output, POLL_SECONDS)
        finally:
            _end_group(child)
        # A descendant may have kept the pipe open for a moment; what it held has been written by now.
        while _pass_on(selector, reading, on_output, 0):
            pass
        return child.returncode


def _pass_on(
    selector: selectors.BaseSelector, reading: int, on_output: Callable[[bytes], None], wait_seconds: float
) -> bool:
    """Wait for output and pass it on; return False if none came."""
    if not selector.get_map() or not selector.select(wait_seconds):
        return False
    chunk = os.read(reading, CHUNK_BYTES)
    if not chunk:
        selector.unregister(reading)  # closed: from now on only the end of the process counts
        return False
    on_output(chunk)
    return True


def _end_group(child: subprocess.Popen[bytes]) -> None:
    """Send the group SIGTERM and, a moment later, SIGKILL; do nothing where it has ended by itself."""
    with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
        os.killpg(child.pid, signal.SIGTERM)
        child.wait(GRACE_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
