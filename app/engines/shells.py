"""What an engine promises of a shell that somebody opens beside the process of a container."""

from __future__ import annotations

from typing import Protocol

from app.domain.errors import UserError

NO_SHELL = "There is no /bin/sh in the image: no shell can be opened in this container."
NOT_RUNNING = "The container doesn't run on this server's engine: it has ended, or runs on another server's."
MARK = "JOBYARD_SHELL"
"""The variable that each process of a shell inherits, with the shell's id: by it they are found and ended."""
NOTHING = f"{MARK}=."  # no shell's mark
# Kills what has the first text in its environment and not the second, until there is nothing left: it may start more
# meanwhile. They come as arguments, so that the script doesn't find itself. A POSIX shell and /proc are all it needs.
END = """
turns=50
while [ $turns -gt 0 ]; do
  found=
  for process in /proc/[0-9]*; do
    while read -r variable || [ -n "$variable" ]; do
      case $variable in *"$2"*) break ;; *"$1"*) kill -KILL "${process#/proc/}" && found=1; break ;; esac
    done < "$process/environ"
  done 2>/dev/null
  [ "$found" ] || exit 0
  turns=$((turns - 1))
done
exit 1
"""


class NoShell(UserError):
    """No shell can be opened in the container; the sentence says why."""


class Shell(Protocol):
    """A shell on a terminal of its own, with the environment of its container. Any thread may call any method."""

    def read(self) -> bytes:
        """Block until there is output, and return some of it, at most 64 KiB; nothing once the shell has ended.

        Output that nobody reads waits in the container, whose processes wait with it.
        """

    def write(self, data: bytes) -> None:
        """Type these bytes. Blocks while the container takes none; typed into a shell that has ended they are lost."""

    def resize(self, columns: int, rows: int) -> None:
        """Tell the terminal its size. Does nothing to a shell that has ended."""

    def close(self) -> None:
        """End the shell and every process that was started in it, also those in the background; `read` and `write`
        return. Raises EngineUnavailable: called again, it goes on.
        """
