"""Tells whether the engine itself saw a container end, and whether anybody ended it.

An engine without live-restore stops the containers when it shuts down, and kills what it finds at its next start. A
job that handles SIGTERM exits 0 then, so that its exit code says nothing. What gives it away is the engine's memory
of its last 256 events, which goes with its process: a signal sent to the container is in it, and an end that is not
in it was seen by an engine that is no more.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from app.engines.base import Exit, ExitKind
from app.engines.docker.api_objects import ApiObject
from app.engines.docker.calls import Calls, Refusal

MEMORY_EVENTS = 256  # moby daemon/events: eventsLimit
_FATAL = {"9", "15"}
_CODES_OF_SIGNALS = {128 + int(signal) for signal in _FATAL}
_UNSEEN = "nothing tells whether the container had ended before"
# From the end of a process to the engine's note of it, on a busy machine; also what the clocks may differ by.
_LATE_NOTE = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class EventHistory:
    """What the engine's events say about an end.

    `signals` were sent to the container before its end. `saw_end` is whether the end is among the events. If it is
    not: `was_restarted` is whether the engine must have been started since (an engine that has the container's
    start among its events was not; it may have forgotten the end, or not noted it yet), `keeps_running` whether it
    leaves containers alone at its own end (live-restore), and `same_boot` whether the machine went on.
    """

    saw_end: bool
    signals: frozenset[str] = frozenset()
    was_restarted: bool = False
    keeps_running: bool = False
    same_boot: bool = True


def verify_exit(end: Exit, history: EventHistory) -> Exit:
    """Return the end, as ENGINE_FAILED where the engine's events don't confirm it. The exit code stays, for people."""
    if end.kind is not ExitKind.EXITED:
        return end
    if history.signals & _FATAL:
        why = "The container was stopped by the engine as it shut down or started, or by somebody beside this server"
    elif history.saw_end or not history.was_restarted:
        return end
    elif not history.same_boot:
        why = f"The machine was restarted, and {_UNSEEN}"
    elif history.keeps_running:
        return end
    else:
        why = f"The container engine was restarted, which stops its containers, and {_UNSEEN}"
    detail = f"{why}: its exit code {end.exit_code} says nothing about the job."
    return replace(end, kind=ExitKind.ENGINE_FAILED, detail=detail)


def read_history(
    calls: Calls, container_id: str, end: Exit, now: datetime, *, same_boot: bool
) -> EventHistory:
    """Read the engine's events about a container's end. Raises EngineUnavailable.

    An engine that refuses to tell its events is believed: the end counts as seen. It notes a signal after it has sent
    it, and so sometimes after the end: that of a signal is looked past, for as long as a note may be late.
    """
    until = max(now, end.finished_at or now) + _LATE_NOTE
    signals: set[str] = set()
    saw_start, saw_end, oldest, count = False, False, None, 0
    is_by_signal = end.exit_code in _CODES_OF_SIGNALS and not end.oom_killed
    try:
        # Up to a moment that is still to come: whatever else happens meanwhile, a full memory is told of as one.
        for event in _events(calls, until):
            oldest, count = oldest or _time(event), count + 1
            if event["Type"] != "container" or event["Actor"]["ID"] != container_id:
                continue
            match event["Action"]:
                case "die" if signals or not is_by_signal:
                    return EventHistory(True, frozenset(signals))
                case "die":
                    saw_end = True
                case "start":
                    saw_start = True
                case "kill":
                    signals.add(event["Actor"]["Attributes"].get("signal", ""))
                    if saw_end:
                        break
        if saw_end:
            return EventHistory(True, frozenset(signals))
        if saw_start:
            return EventHistory(False, frozenset(signals))
        with calls.api() as client:
            keeps_running = bool(client.info().get("LiveRestoreEnabled"))
    except Refusal:
        return EventHistory(True)
    reaches_back = oldest is not None and end.finished_at is not None and oldest <= end.finished_at
    was_restarted = count < MEMORY_EVENTS or reaches_back
    return EventHistory(False, frozenset(signals), was_restarted, keeps_running, same_boot)


def _events(calls: Calls, until: datetime) -> Iterator[ApiObject]:
    """Yield what the engine remembers, the oldest first; from then on what happens until `until`."""
    connection = calls.stream("GET", "/events", since=1, until=f"{until.timestamp():.6f}")
    rest = b""
    try:
        with calls.typed():  # it may go away meanwhile
            for chunk in connection.chunks(calls.timeout_seconds):
                *lines, rest = (rest + chunk).split(b"\n")
                yield from (json.loads(line) for line in lines if line.strip())
        if rest.strip():
            yield json.loads(rest)
    finally:
        connection.close()


def _time(event: ApiObject) -> datetime:
    return datetime.fromtimestamp(event["timeNano"] / 1e9, UTC)
