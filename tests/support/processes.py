"""Processes as /proc shows them."""

from __future__ import annotations

import os
import select
import signal
from contextlib import suppress
from pathlib import Path


def processes_of(root: Path) -> list[int]:
    """Living processes started for the checkouts below `root`, by the ceiling put in their environment."""
    mark = f"GIT_CEILING_DIRECTORIES={root.parent}"
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [pid for pid in pids if mark in proc(pid, "environ")]


def proc(pid: int, file: str) -> list[str]:
    try:
        return Path(f"/proc/{pid}/{file}").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []


def kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def ends(pid: int, seconds: float = 10) -> bool:
    """Whether it has ended or does so in time: after SIGKILL a process lives until the kernel gets to it."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], seconds)[0])
    finally:
        os.close(handle)
