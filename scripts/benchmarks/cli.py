"""`cli`: the processor time in which a command answers `--help`, over that of an interpreter that does nothing.

On an idle machine the interpreter takes some 25 ms, and a command is allowed 150.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from typing import Any

from scripts.benchmarks.pairs import Pairs, result

ROUNDS = 20
GOAL = "<= 5"
JOBYARD = Path(sys.executable).with_name("jobyard")
COMMANDS = ("--help", "jobs --help", "run --help", "flow run --help", "serve --help", "deploy --help")


def run() -> dict[str, Any]:
    """Milliseconds of processor time, user and system, of each of `COMMANDS`."""
    return result("cli", *map(_compare, COMMANDS))


def _compare(command: str) -> Pairs:
    pairs = Pairs(f"jobyard {command}", "ms", GOAL)
    return pairs.take(lambda: _spent(JOBYARD, *command.split()), lambda: _spent("-c", "pass"), ROUNDS)


def _spent(*args: Path | str) -> float:
    """Run `python ARGS` and return the milliseconds that it has spent."""
    before = getrusage(RUSAGE_CHILDREN)
    subprocess.run((sys.executable, *args), stdout=subprocess.DEVNULL, check=True)
    after = getrusage(RUSAGE_CHILDREN)
    return 1000 * (after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
