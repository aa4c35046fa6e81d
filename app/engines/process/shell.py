"""A shell of the process engine: on a pseudo-terminal, with the container's environment, in its directory."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
import uuid
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from app.engines.process.container import Container
from app.engines.shells import MARK, NO_SHELL, NOT_RUNNING, NoShell

SHELLS = (Path("/bin/bash"), Path("/bin/sh"))
# Opened by the leader of a session that has none, a terminal becomes the one that controls it.
TAKE_TERMINAL = (
    "import os, sys; os.close(os.open(os.ttyname(0), os.O_RDWR)); os.execv(sys.argv[1], sys.argv[1:])"
)
_LOOK_SECONDS = 0.2  # how late a shell notices that its container has ended
_BEGIN_SECONDS, _BEGIN_LOOK_SECONDS = 5.0, 0.002


class Shells:
    """Opens shells, and ends what other processes of the server left of theirs."""

    def __init__(self) -> None:
        self._open: set[bytes] = set()  # marks

    def open(self, container: Container | None, columns: int, rows: int) -> ProcessShell:
        """Raises NoShell."""
        if container is None or not container.is_alive():
            raise NoShell(NOT_RUNNING)
        program = next((each for each in SHELLS if os.access(each, os.X_OK)), None)
        if program is None:
            raise NoShell(NO_SHELL)
        mark = f"{_mark_of(container)}{uuid.uuid4().hex}"
        self._open.add(mark.encode())
        return ProcessShell(container, program, mark, (columns, rows), self._open.discard)

    def end_left(self, container: Container) -> None:
        """End the shells of the container that are none of this process's."""
        prefix, ours = _mark_of(container).encode(), frozenset(self._open)
        _kill_all(lambda variable: variable.startswith(prefix) and variable not in ours)


def _mark_of(container: Container) -> str:
    return f"{MARK}={container.handle.id}."


class ProcessShell:
    """See `app.engines.shells.Shell`."""

    def __init__(
        self,
        container: Container,
        program: Path,
        mark: str,
        size: tuple[int, int],
        on_end: Callable[[bytes], None],
    ) -> None:
        self._container, self._mark, self._on_end = container, mark, on_end
        self._lock = threading.Lock()
        self._is_closed = False
        self._terminal, other_end = os.openpty()
        self._wakeup, self._wake = os.pipe()
        # Not closed while a thread may still look at them: their numbers would soon be those of other files.
        weakref.finalize(self, _close, self._terminal, self._wakeup, self._wake)
        os.set_blocking(self._terminal, False)
        self.resize(*size)
        name, _, value = mark.partition("=")
        env = {**container.spec["env"], "TERM": "xterm-256color", "SHELL": str(program), name: value}
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", TAKE_TERMINAL, str(program)],
                stdin=other_end,
                stdout=other_end,
                stderr=other_end,
                env=env,
                cwd=container.spec["cwd"],
                start_new_session=True,
            )
        finally:
            os.close(other_end)
        self._wait_until_begun(program.resolve())

    def _wait_until_begun(self, program: Path) -> None:
        """Between two programs a process shows no environment: whoever ends shells by their mark would not find it."""
        process, mark = Path(f"/proc/{self._process.pid}"), self._mark.encode()
        gives_up_at = time.monotonic() + _BEGIN_SECONDS
        while self._process.poll() is None and time.monotonic() < gives_up_at:
            with suppress(OSError):  # it has just ended
                if (process / "exe").resolve() == program and mark in _variables_of(process):
                    return
            time.sleep(_BEGIN_LOOK_SECONDS)

    def read(self) -> bytes:
        while not self._is_closed and self._container.is_alive():
            ready, _, _ = select.select([self._terminal, self._wakeup], [], [], _LOOK_SECONDS)
            if self._terminal in ready:
                with suppress(BlockingIOError):
                    return self._output()
        return b""

    def _output(self) -> bytes:
        try:
            return os.read(self._terminal, 1 << 16)
        except BlockingIOError:
            raise
        except OSError:  # nobody has the other end open any more
            return b""

    def write(self, data: bytes) -> None:
        while data and not self._is_closed and self._container.is_alive():
            _, ready, _ = select.select([self._wakeup], [self._terminal], [], _LOOK_SECONDS)
            if ready:
                try:
                    data = data[os.write(self._terminal, data) :]
                except BlockingIOError:
                    continue
                except OSError:
                    return

    def resize(self, columns: int, rows: int) -> None:
        with self._lock, suppress(OSError):
            if not self._is_closed:
                fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def close(self) -> None:
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            os.write(self._wake, b".")
            # By its number as well: it may be between two programs again.
            self._process.kill()
            self._process.wait()
            mark = self._mark.encode()
            _kill_all(lambda variable: variable == mark)
            self._on_end(mark)


def _kill_all(is_marked: Callable[[bytes], bool]) -> None:
    """Kill each process with a marked variable in its environment, until there is none."""
    found = True
    while found:
        found = False
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it has ended, or is another user's
                if any(map(is_marked, _variables_of(process))):
                    os.kill(int(process.name), signal.SIGKILL)
                    found = True


def _variables_of(process: Path) -> list[bytes]:
    """Return `NAME=value` of a process as it began."""
    return (process / "environ").read_bytes().split(b"\0")


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
