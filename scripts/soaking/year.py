"""A year of work in fast time, with the server's own clean-up: what grows, and that nothing does for ever."""

from __future__ import annotations

from pathlib import Path
from shutil import disk_usage
from tempfile import mkdtemp

from app.domain.retention import Limits
from app.domain.room import size
from builders import private
from scripts.soaking.tally import Tally
from tests.support.year import Growth, Year, unbounded

DAYS, MONTH, SETTLED = 365, 30, 150  # by then as much goes as comes
PUSHES, RUNS = 50, 500
MEMORY_BYTES = 2**30


def year(folder: Path, _seed: int, _minutes: float) -> Tally:
    """50 pushes and 500 runs a day with the default limits; it takes as long as it takes."""
    tally = Tally("year")
    work = Year(_quick(folder), Limits(), PUSHES, RUNS, worked_pushes=1)
    seen: dict[int, Growth] = {}
    try:
        for day in work.days(DAYS):
            if day % MONTH == 0 or day == DAYS:
                seen[day] = work.growth(day)
                print(_line(seen[day]), flush=True)
    finally:
        work.close()
    tally.notes = [_line(growth) for growth in seen.values()]
    tally.deliveries, tally.runs = PUSHES * DAYS, RUNS * DAYS
    tally.unbounded = unbounded(seen[SETTLED], seen[DAYS])
    return tally


def _quick(folder: Path) -> Path:
    """In memory where there is room: a year writes and removes half a million small files."""
    memory = private.SHARED_MEMORY
    is_good = private.is_memory(memory) and disk_usage(memory).free > MEMORY_BYTES
    return Path(mkdtemp(prefix="soak-", dir=memory)) if is_good else folder


def _line(growth: Growth) -> str:
    weights = ("log_bytes", "database_bytes", "database_log_bytes")
    shown = (
        f"{name} {size(value) if name in weights else f'{value:,}'}"
        for name, value in growth.figures.items()
        if value
    )
    return f"day {growth.day}: {', '.join(shown)}"
