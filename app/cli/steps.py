"""A followed build as its steps: one line each when it is over, the current one with a spinner on a terminal."""

from __future__ import annotations

import re
import time
from collections import deque
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.status import Status
from rich.text import Text

from app.cli.output import plain
from builders.backends.base import Step
from builders.backends.progress import ProgressReader

_OF_A_STEP = re.compile(r"#\d+ ")
KEPT_LINES = 40


class StepPrinter:
    """Prints a build's steps as its log comes in, in any pieces. Lines that belong to no step are printed as they
    are.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        began = time.monotonic()
        self._reader = ProgressReader(self._on_step, lambda: time.monotonic() - began)
        self._partial = ""
        self._kept: deque[str] = deque(maxlen=KEPT_LINES)
        self._status: Status | None = None

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._status = self._console.status("waiting for a builder")
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._read(self._partial)
        if self._status is not None:
            self._status.stop()

    def feed(self, text: str) -> None:
        *lines, self._partial = (self._partial + text).split("\n")
        for line in lines:
            self._read(line)

    def print_output(self) -> None:
        """The last lines that steps said."""
        for line in self._kept:
            self._console.print(Text(line, style="dim"))

    def _read(self, line: str) -> None:
        if not line.strip():
            return
        if _OF_A_STEP.match(line):
            self._kept.append(plain(line))
            self._reader.feed(f"{line}\n".encode())
        else:
            self._console.print(Text(plain(line)))

    def _on_step(self, step: Step) -> None:
        name = plain(step.name)
        if step.failed:
            self._console.print(Text.assemble(("✗", "red"), f" {name}"))
        elif step.cached:
            self._console.print(Text.assemble(("✓", "green"), f" {name}", ("  cached", "dim")))
        elif step.duration is not None:
            self._console.print(
                Text.assemble(("✓", "green"), f" {name}", (f"  {step.duration:.1f} s", "dim"))
            )
        elif self._status is not None:
            self._status.update(Text(name))
