"""What a session of processes uses, from Linux's /proc."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from app.domain.metrics import Sample

# Of /proc/PID/stat, counted after the command's name in parentheses (proc(5)).
_SESSION, _UTIME, _CHILDREN_STIME, _RSS = 3, 11, 14, 21


@dataclass(frozen=True, slots=True)
class Usage:
    """The CPU seconds since the start, of the processes that live and those they have waited for."""

    at: datetime
    cpu_seconds: float
    memory_bytes: int
    processes: int

    def sample(self, before: Usage | None) -> Sample:
        elapsed = (self.at - before.at).total_seconds() if before else 0.0
        used = self.cpu_seconds - before.cpu_seconds if before else 0.0
        cores = max(used / elapsed, 0.0) if elapsed > 0 else 0.0
        return Sample(self.at, cores, self.memory_bytes, 0, 0, self.processes)


def read_usage(session: int, at: datetime) -> Usage | None:
    """Return what the session's processes use; None where there is no /proc, or nothing of the session runs."""
    ticks = pages = processes = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[_SESSION]) == session:
            ticks += sum(map(int, fields[_UTIME : _CHILDREN_STIME + 1]))
            pages += int(fields[_RSS])
            processes += 1
    if not processes:
        return None
    seconds = ticks / os.sysconf("SC_CLK_TCK")
    return Usage(at, seconds, pages * os.sysconf("SC_PAGE_SIZE"), processes)
