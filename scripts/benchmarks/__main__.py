"""Runs benchmarks by name and prints what they found: medians of both sides, the ratio, the goal."""

from __future__ import annotations

import argparse
import importlib
import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
SUPPORT = {
    "viewed_log",
    "__main__",
    "bare_receiver",
    "fake_server",
    "follow",
    "million",
    "pairs",
    "raw_push",
    "strangers",
}


def names() -> list[str]:
    return sorted(path.stem for path in HERE.glob("*.py") if path.stem not in SUPPORT)


def rows(result: dict[str, Any]) -> list[dict[str, Any]]:
    """A benchmark gives `rows`, or is one row itself."""
    found: list[dict[str, Any]] = result.get("rows") or [{"what": result["benchmark"], **result}]
    return found


def table(results: list[dict[str, Any]]) -> Table:
    shown = Table("benchmark", "n", "Jobyard", "the other side", "ratio", "goal", "met")
    for row in (row for result in results for row in rows(result)):
        goal = row["goal"] if isinstance(row["goal"], str) else f"<= {row['goal']}"
        word, limit = goal.split()
        is_met = row["ratio"] <= float(limit) if word == "<=" else row["ratio"] >= float(limit)
        figures = [str(row.get(side, "")) for side in ("n", "ours", "theirs")]
        shown.add_row(row["what"], *figures, f"{row['ratio']:.2f}", goal, "yes" if is_met else "no")
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(names())}; all if none is given")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured there")
    given = parser.parse_args()
    unknown = set(given.names) - set(names())
    if unknown:
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(names())}")
    results = []
    for name in given.names or names():
        print(f"{name} …", flush=True)
        results.append(importlib.import_module(f"scripts.benchmarks.{name}").run())
    Console().print(table(results))
    if given.json:
        given.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
