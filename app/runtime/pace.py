"""A pace that something is kept to, however many ask for it."""

from __future__ import annotations


class Pace:
    """So many a second over any length of time, but for the first few. For one thread, such as an event loop's."""

    def __init__(self, a_second: float, at_once: int, longest: float) -> None:
        """`at_once` don't wait after a rest; nobody waits for longer than `longest` seconds."""
        self._apart, self._rest, self._longest = 1 / a_second, at_once / a_second, longest
        self._last = float("-inf")

    def wait(self, now: float) -> float:
        """Take the next turn, and return in how many seconds it is; `now` are seconds of a clock that never goes back.

        Once the longest wait is reached no turn is taken: who still comes waits as long as the one before.
        """
        turn = max(self._last, now - self._rest) + self._apart
        if turn - now > self._longest:
            return self._longest
        self._last = turn
        return max(turn - now, 0.0)
