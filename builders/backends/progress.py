"""BuildKit's plain progress, read line by line: which steps ran, for how long, and what failed.

Lines look like `#7 [build 2/4] RUN make`, `#7 0.41 output`, `#7 CACHED`, `#7 DONE 1.2s`, `#7 ERROR: …`.
"""

import re
from collections.abc import Callable
from dataclasses import replace

from builders.backends.base import Step
from builders.backends.last_words import LastWords

_LINE = re.compile(r"#(\d{1,9}) (.*)")
_TOTAL = re.compile(r"\[(?:.* )?\d{1,9}/(\d{1,9})\]")
_OUTPUT = re.compile(r"\d{1,9}\.\d{1,9} (.*)")
_DONE = re.compile(r"DONE (\d{1,9}(?:\.\d{1,9})?)s")
MAX_LINE = 64 * 1024
MAX_SAID = 2000  # characters of a line in which the reason of a failure is searched for, in quadratic time


class ProgressReader:
    """Reads the build's output, given in any chunks, and calls `on_step` with each step's start and end.

    `now` returns the seconds since the build began.
    """

    def __init__(self, on_step: Callable[[Step], None], now: Callable[[], float]) -> None:
        self._on_step = on_step
        self._now = now
        self._partial = b""
        self._steps: dict[int, Step] = {}
        self._words: dict[int, LastWords] = {}
        self.failed_step: Step | None = None
        self.said = ""  # by the tool of the failed step
        self.error = ""
        self.tail: list[str] = []

    def feed(self, chunk: bytes) -> None:
        *lines, rest = (self._partial + chunk).split(b"\n")
        self._partial = rest[-MAX_LINE:]
        for line in lines:
            self._read(line.decode(errors="replace").rstrip("\r"))

    def close(self) -> None:
        """Take note of the output's end; a last line without its line break counts."""
        self.feed(b"\n")

    def _read(self, line: str) -> None:
        match = _LINE.fullmatch(line)
        if match is None:
            if line.strip():
                self.tail = [*self.tail[-19:], line.strip()[:MAX_SAID]]
            return
        self._read_step(int(match[1]), match[2])

    def _read_step(self, index: int, text: str) -> None:
        step = self._steps.get(index)
        if step is None:
            total = _TOTAL.match(text)
            step = Step(index, int(total[1]) if total else None, _plain_name(text), started=self._now())
            self._report(step)
        elif text == "CACHED":
            self._report(replace(step, duration=0.0, cached=True))
        elif done := _DONE.fullmatch(text):
            self._report(replace(step, duration=float(done[1])))
        elif text.startswith("ERROR"):
            self.error = text.partition(":")[2].strip()[:MAX_SAID]
            self.failed_step = replace(step, duration=self._now() - step.started, failed=True)
            self.said = self._words[index].said if index in self._words else ""
            self._report(self.failed_step)
        elif output := _OUTPUT.fullmatch(text):
            self._words.setdefault(index, LastWords()).take(output[1])

    def _report(self, step: Step) -> None:
        self._steps[step.index] = step
        self._on_step(step)


def _plain_name(text: str) -> str:
    """Return a step's instruction without its mounts and the exports of secrets, which say nothing to a reader."""
    text = re.sub(r"--mount=\S+\s*", "", text)
    text = re.sub(r'export \w+="\$\(cat /run/secrets/\w+\)"\s*&&\s*', "", text)
    return re.sub(r"\s+", " ", text).strip()
