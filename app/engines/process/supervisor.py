"""Owns one process: starts it once, keeps its output with times, passes signals on, notes how it ended.

Run by path as `python -I -S supervisor.py DIRECTORY`, with the standard library only: it starts in
milliseconds and shares nothing with the server. It prints nothing and exits 0 once the process runs; what a
caller needs to know is in the directory. A second supervisor for the same directory finds `started` there and
leaves.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import select
import selectors
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

FRAME = struct.Struct(">QBI")  # nanoseconds since 1970, 1 stdout or 2 stderr, length of what follows
NOT_EXECUTABLE, NOT_FOUND = 126, 127
_DRAIN_SECONDS = 1.0  # for output of processes that left the group and keep the pipe open
_READ_BYTES = 1 << 16
_RETRY_SECONDS = 0.2
_WAITED_FOR = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)


def main(directory: Path) -> None:
    """Return when the process runs (or never will); a forked copy of this one goes on until it has ended."""
    report, running = os.pipe()
    if os.fork():
        os.close(running)
        os.read(report, 1)  # ends when the copy closes its end, or dies
        return
    os.close(report)
    os.setsid()
    quiet = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(quiet, number)
    lock = _lock(directory)
    if lock is not None:
        _supervise(directory, running)
    os._exit(0)  # the lock goes with us, after exit.json is in place


def _lock(directory: Path) -> int | None:
    """Take the lock; None if another supervisor came first. Whoever looks whether we live holds it for a moment
    only.
    """
    lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if (directory / "started").exists():
                return None
            time.sleep(0.001)
            continue
        try:
            os.close(os.open(directory / "started", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            return None
        return lock


def _supervise(directory: Path, running: int) -> None:
    wakeup_read, wakeup_write = os.pipe()
    os.set_blocking(wakeup_write, False)
    signal.set_wakeup_fd(wakeup_write)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    control = os.open(directory / "control", os.O_RDWR | os.O_NONBLOCK)
    spec = json.loads((directory / "spec.json").read_text())
    started_at = time.time_ns()
    try:
        process = subprocess.Popen(
            spec["argv"],
            env=spec["env"],
            cwd=spec["cwd"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        code = NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE
        why = f"{spec['argv'][0]}: {getattr(error, 'strerror', error)}"
        _finish(directory, {"refused": why, "code": code})
        return
    _write(directory / "pid", str(process.pid))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: process.send_signal(signal.SIGTERM))
    os.close(running)
    output = os.open(directory / "output", os.O_WRONLY | os.O_APPEND)
    _follow(process, control, wakeup_read, output)
    code = process.returncode if process.returncode >= 0 else 128 - process.returncode
    _finish(directory, {"code": code, "started_at": started_at, "finished_at": time.time_ns()})


def _follow(process: subprocess.Popen[bytes], control: int, wakeup: int, output: int) -> None:
    selector = selectors.DefaultSelector()
    assert process.stdout
    assert process.stderr
    streams = {process.stdout.fileno(): 1, process.stderr.fileno(): 2}
    for descriptor in (control, wakeup, *streams):
        selector.register(descriptor, selectors.EVENT_READ)
    drain_until: float | None = None
    while drain_until is None or (streams and time.monotonic() < drain_until):
        for key, _ in selector.select(None if drain_until is None else 0.05):
            data = os.read(key.fd, _READ_BYTES)
            if key.fd in streams:
                if data:
                    frame = FRAME.pack(time.time_ns(), streams[key.fd], len(data))
                    _write_all(output, frame + data, process, control)
                else:
                    selector.unregister(key.fd)
                    del streams[key.fd]
            elif key.fd == control:
                _signal(process, data)
        if drain_until is None and process.poll() is not None:
            _kill_group(process.pid)
            drain_until = time.monotonic() + _DRAIN_SECONDS


def _write_all(output: int, data: bytes, process: subprocess.Popen[bytes], control: int) -> None:
    """Write it all. On a full disk the process waits, once the pipe is full too; it can be stopped meanwhile."""
    while data:
        try:
            data = data[os.write(output, data) :]
        except OSError as error:
            if error.errno not in _WAITED_FOR:
                raise
            if select.select([control], [], [], _RETRY_SECONDS)[0]:
                _signal(process, os.read(control, _READ_BYTES))


def _signal(process: subprocess.Popen[bytes], request: bytes) -> None:
    if b"K" in request:
        _kill_group(process.pid)
    elif b"T" in request:
        process.send_signal(signal.SIGTERM)


def _kill_group(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def _finish(directory: Path, how: dict[str, object]) -> None:
    _write(directory / "exit.json", json.dumps(how))


def _write(path: Path, text: str) -> None:
    """Write the file whole or not at all; on a full disk, when there is room."""
    draft = path.with_name(f".{path.name}")
    while True:
        try:
            draft.write_text(text)
            draft.replace(path)
        except OSError as error:
            if error.errno not in _WAITED_FOR:
                raise
            time.sleep(_RETRY_SECONDS)
        else:
            return


if __name__ == "__main__":
    main(Path(sys.argv[1]))
