"""A shell in memory: it answers each line with itself, and ends with the line `exit`."""

from __future__ import annotations

import threading


class FakeShell:
    """See `app.engines.shells.Shell`. `typed` is all that was typed, `size` what the terminal was last told,
    `unread` the output that nobody has read."""

    def __init__(self, changed: threading.Condition, size: tuple[int, int], opened_by: int) -> None:
        self.typed = b""
        self.size = size
        self.opened_by = opened_by
        self.is_open = True
        self._changed = changed
        self.unread = b""

    def read(self) -> bytes:
        with self._changed:
            while self.is_open and not self.unread:
                self._changed.wait()
            data, self.unread = self.unread[: 1 << 16], self.unread[1 << 16 :]
            return data

    def write(self, data: bytes) -> None:
        with self._changed:
            self.typed += data
            self.say(data)
            if self.typed.endswith(b"exit\n"):
                self.close()

    def say(self, data: bytes) -> None:
        """Have output, as a process in the shell would."""
        with self._changed:
            if self.is_open:
                self.unread += data
                self._changed.notify_all()

    def resize(self, columns: int, rows: int) -> None:
        with self._changed:
            self.size = (columns, rows)

    def close(self) -> None:
        with self._changed:
            self.is_open = False
            self._changed.notify_all()
