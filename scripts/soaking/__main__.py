"""The real server, killed and its surroundings broken again and again, and what came of it."""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp

from scripts.soaking import faults, kills
from scripts.soaking import year as years
from scripts.soaking.tally import Tally, show

FAULTS: dict[str, Callable[[Path, int, float], Tally]] = {
    "restore": faults.restore,
    "disk": faults.disk,
    "engine-restart": faults.engine_restart,
    "hung-engine": faults.hung_engine,
    "clock-back": faults.clock_back,
}
FAST: dict[str, Callable[[Path, int, float], Tally]] = {"year": years.year}  # no part of the hour
KILLS = {"kills": kills.kills, "two-servers": kills.two_servers}
SHARE = 1 / 12  # of the time, for each fault; kills have what is left


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60, help="how long in all (60)")
    parser.add_argument("--kills", type=int, default=10**6, help="no more kills than that")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of what is done, and when")
    parser.add_argument("--only", choices=[*FAULTS, *KILLS, *FAST], help="this part alone")
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    root = Path(mkdtemp(prefix="soak-"))
    tallies = []
    try:
        for part, minutes in _shares(given.only, given.minutes):
            print(f"{part} for {minutes:.0f} min …", flush=True)
            folder = root / part
            if part in FAULTS or part in FAST:
                tallies.append((FAULTS | FAST)[part](folder, given.seed, minutes))
            else:
                tallies.append(KILLS[part](folder, given.seed, minutes, given.kills))
    finally:
        shutil.rmtree(root, ignore_errors=True)
    show(tallies)
    return 0 if all(tally.is_good for tally in tallies) else 1


def _shares(only: str | None, minutes: float) -> list[tuple[str, float]]:
    """The parts, with the minutes that each has before it comes to its end."""
    if only is not None:
        return [(only, minutes)]
    left = minutes * (1 - SHARE * len(FAULTS)) / len(KILLS)
    return [*((part, minutes * SHARE) for part in FAULTS), *((part, left) for part in KILLS)]


if __name__ == "__main__":
    raise SystemExit(main())
