"""One build as its caller sees it: output, steps, and an end that may come at any time."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from builders.backends.base import BuildCancelled, BuildTimedOut, Step, StopSignal
from builders.backends.process import run_watched


class Session:
    def __init__(
        self,
        on_output: Callable[[bytes], None],
        on_step: Callable[[Step], None],
        should_stop: StopSignal,
        time_limit_seconds: float | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._on_output = on_output
        self._on_step = on_step
        self._should_stop = should_stop
        self._limit = time_limit_seconds
        self._clock = clock
        self._began = clock()

    def write(self, output: bytes) -> None:
        self._on_output(output)

    def say(self, sentence: str) -> None:
        self._on_output(f"{sentence}\n".encode(errors="replace"))

    def elapsed(self) -> float:
        """Return the seconds since the build began."""
        return self._clock() - self._began

    def check(self) -> None:
        """Raise BuildCancelled or BuildTimedOut when the build has to end."""
        if self._should_stop.is_set():
            raise BuildCancelled("The build was cancelled.")
        left = self._left()
        if left is not None and left <= 0:
            raise self._timed_out()

    def run(
        self,
        argv: Sequence[str],
        environment: Mapping[str, str],
        directory: Path,
        on_output: Callable[[bytes], None] | None = None,
    ) -> int:
        """Run a program and return its exit status; its process group is gone on return. Raises what `check`
        raises.
        """
        self.check()
        try:
            return run_watched(
                argv,
                environment=environment,
                directory=directory,
                on_output=on_output or self._on_output,
                should_stop=self._should_stop,
                time_limit_seconds=self._left(),
            )
        except BuildTimedOut:
            raise self._timed_out() from None

    @contextmanager
    def step(self, index: int, total: int, text: str) -> Iterator[None]:
        """Report a step when it starts and when it is over; it has failed if the block raises."""
        name = f"[{index}/{total}] {text}"
        step = Step(index, total, name, started=self.elapsed())
        self.say(name)
        self._on_step(step)
        try:
            yield
        except BaseException:
            self._on_step(replace(step, duration=self.elapsed() - step.started, failed=True))
            raise
        self._on_step(replace(step, duration=self.elapsed() - step.started))

    def _left(self) -> float | None:
        return None if self._limit is None else self._limit - self.elapsed()

    def _timed_out(self) -> BuildTimedOut:
        return BuildTimedOut(f"The build took longer than its time limit of {self._limit:g} s.")
