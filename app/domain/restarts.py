"""What a restart of the server, such as into a new version, would interrupt: said before somebody does it."""

from __future__ import annotations

MOST = 1000  # counts stop here


def of_restart(builds: int, runs: int) -> str:
    """What becomes of so many builds and runs that are at work."""
    if not builds and not runs:
        return "No run or build is at work: a restart interrupts nothing."
    said = []
    if runs:
        goes = "goes on, and is followed" if runs == 1 else "go on, and are followed"
        said.append(f"{_many(runs, 'run')} at work {goes} again after a restart")
    if builds:
        begins = "begins" if builds == 1 else "begin"
        said.append(f"{_many(builds, 'build')} at work {begins} anew after a restart")
    return f"{'; '.join(said)}."


def _many(number: int, what: str) -> str:
    if number == 1:
        return f"1 {what}"
    return f"{MOST:,} or more {what}s" if number >= MOST else f"{number} {what}s"
