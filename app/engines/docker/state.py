"""What the engine's answers mean."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from app.domain.metrics import Sample
from app.engines.base import Exit, ExitKind, State
from app.engines.docker.api_objects import ApiObject, ContainerState
from app.engines.docker.frames import parse_time

_NEVER = "0001-01-01T00:00:00Z"
_ALIVE = {"running", "paused", "restarting"}
_SIGKILLED = 137
# The engine notes the start once it hears of it: a process of a few milliseconds can "end" before that
# (measured).
_LATE_START = timedelta(seconds=10)


def read_state(status: str) -> State:
    """Map the engine's state: `paused` and `restarting` hold a process; `dead` and `removing` are at their end."""
    if status == "created":
        return State.CREATED
    return State.RUNNING if status in _ALIVE else State.EXITED


def read_time(text: str | None) -> datetime | None:
    return None if not text or text == _NEVER else parse_time(text)


def read_exit(state: ContainerState, *, was_seen: bool = False) -> Exit:
    """The `State` of an inspected container that is not running.

    An exit code alone proves nothing: a container that was only created reports 0, and so did, in some
    releases, one lost in a crash of the machine (moby 45800). The times have to be there, and in order; the latter not
    where the engine itself `was_seen` to see the end, as then the clock was set back meanwhile.
    """
    started_at, finished_at = read_time(state.get("StartedAt")), read_time(state.get("FinishedAt"))
    if state.get("Status") == "created" or started_at is None:
        return Exit(ExitKind.ENGINE_FAILED, detail="The container was never started.")
    exit_code, oom = int(state.get("ExitCode", -1)), bool(state.get("OOMKilled"))
    in_order = was_seen or is_in_order(started_at, finished_at)
    if state.get("Status") != "exited" or finished_at is None or not in_order or exit_code < 0:
        detail = f"The engine can't say how the container ended (its state is {state.get('Status')!r})."
        return Exit(ExitKind.ENGINE_FAILED, None, oom, started_at, finished_at, detail)
    started_at = min(started_at, finished_at)
    killed_for_memory = oom and exit_code == _SIGKILLED
    detail = state.get("Error") or ""
    if killed_for_memory:
        detail = "The container used more memory than its plan allows and was killed."
    elif oom:
        detail = "A process in the container was killed because the memory of its plan was used up."
    return Exit(ExitKind.EXITED, exit_code, killed_for_memory, started_at, finished_at, detail)


def is_in_order(started_at: datetime | None, finished_at: datetime | None) -> bool:
    return started_at is not None and finished_at is not None and finished_at >= started_at - _LATE_START


@dataclass(frozen=True, slots=True)
class CpuReading:
    """The CPU time used since the start, in seconds, at a moment."""

    at: datetime
    seconds: float


def read_sample(stats: ApiObject, since: CpuReading | None) -> tuple[Sample, CpuReading] | None:
    """Read a one-shot reading; None if the container is not running.

    Memory leaves out the page cache that can be given back, as `docker stats` does.
    """
    memory = stats.get("memory_stats") or {}
    read_at = read_time(stats.get("read"))
    if "usage" not in memory or read_at is None:
        return None
    details = memory.get("stats") or {}
    cache = details.get("total_inactive_file", details.get("inactive_file", 0))
    now = CpuReading(read_at, stats["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9)
    elapsed = (now.at - since.at).total_seconds() if since else 0.0
    cores = (now.seconds - since.seconds) / elapsed if since and elapsed > 0 else 0.0
    networks = (stats.get("networks") or {}).values()
    sample = Sample(
        at=now.at,
        cpu_cores=max(cores, 0.0),
        memory_bytes=max(memory["usage"] - cache, 0),
        network_rx_bytes=sum(network["rx_bytes"] for network in networks),
        network_tx_bytes=sum(network["tx_bytes"] for network in networks),
        processes=(stats.get("pids_stats") or {}).get("current", 0),
    )
    return sample, now
