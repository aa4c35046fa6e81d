"""The line of a failed step's output that says what went wrong, as its tool put it."""

import re

MOST_CHARACTERS = (
    300  # of a line that is worth repeating; a longer one is cut nowhere, as half a secret may be in it
)
MOST_BYTES = 64 * 1024  # of an unfinished line that are kept
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_SAYS_WHY = re.compile(
    r"\berr(?:or|ors|!)?\b|\bE:|\bfatal\b|\bfail(?:ed|ure|s)?\b|exception|\bcan(?:no|')t\b"
    r"|\bcould(?: not|n't)\b|not found|no such|\bdenied\b|\bundefined\b|\bunresolved\b|\binvalid\b"
    r"|\bmissing\b|\bunable\b|\bno module\b",
    re.IGNORECASE,
)
# What tools say after the reason: where more is to be read, and that something failed at all.
_SAYS_MORE = re.compile(
    r"complete log of this run|\bnote[:\s]|\bhint:|for more information|^make(?:\[\d+\])?: \*\*\*"
    r"|\[Help \d\]|re-run Maven|-e switch|-X switch|^\[ERROR\]\s*$|^error: subprocess-exited"
    r"|^npm (?:error|ERR!)(?: \d+| code \w+)?\s*$|due to \d+ previous error",
    re.IGNORECASE,
)


class LastWords:
    """Takes the lines of a step; `said` is the last that says why, else the last at all."""

    def __init__(self) -> None:
        self._last = self._why = ""
        self._unfinished = b""

    def feed(self, chunk: bytes) -> None:
        """Take output in any pieces; a last line without its line break counts once another is fed."""
        *lines, rest = (self._unfinished + chunk).split(b"\n")
        self._unfinished = rest[-MOST_BYTES:]
        for line in lines:
            self.take(line.decode(errors="replace"))

    def take(self, line: str) -> None:
        text = " ".join(_ESCAPES.sub("", line).split())
        if not 0 < len(text) <= MOST_CHARACTERS:
            return
        self._last = text
        if _SAYS_WHY.search(text) and not _SAYS_MORE.search(text):
            self._why = text

    @property
    def said(self) -> str:
        return (self._why or self._last).rstrip(".")
