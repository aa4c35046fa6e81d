"""What came of it: counts, and the sentences that were stored."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from statistics import median

from rich.console import Console
from rich.table import Table

COUNTED = ("kills", "deliveries", "slots", "runs", "containers")
WRONG = ("lost", "doubled", "overlapping", "false_success", "untrue", "unbounded")


@dataclass
class Tally:
    """`slots` are scheduled times. The lists of what is wrong hold a line for each."""

    part: str
    kills: int = 0
    deliveries: int = 0
    slots: int = 0
    runs: int = 0
    containers: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    overlapping: list[str] = field(default_factory=list)
    false_success: list[str] = field(default_factory=list)
    untrue: list[str] = field(default_factory=list)
    unbounded: list[str] = field(default_factory=list)  # what grows although as much goes as comes
    adoptions: list[float] = field(default_factory=list)  # seconds from a start of a server
    sentences: Counter[str] = field(default_factory=Counter)
    moments: Counter[str] = field(default_factory=Counter)  # of kills
    notes: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        return not any(getattr(self, name) for name in WRONG)

    def add(self, other: Tally) -> None:
        for name in COUNTED:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in (*WRONG, "adoptions", "notes"):
            getattr(self, name).extend(getattr(other, name))
        self.sentences += other.sentences
        self.moments += other.moments

    def say(self, sentence: str) -> None:
        """Count it with those that differ in names and numbers alone."""
        plain = re.sub(r"\b[a-z]+-[b-df-hj-np-tv-z2-9acuh]{7}\b", "RUN", sentence)
        plain = re.sub(r"jy-\S+", "CONTAINER", plain)
        plain = re.sub(r"sha256:[0-9a-f]+|\b[0-9a-f]{7,64}\b", "HASH", plain)
        self.sentences[re.sub(r"/\S+/", "/…/", re.sub(r"\d+([.,]\d+)?", "N", plain))] += 1


def show(tallies: list[Tally]) -> None:
    console = Console(width=160)
    for tally in tallies:
        console.print(f"\n[bold]{tally.part}[/bold]")
        for sentence, count in tally.sentences.most_common():
            console.print(f"  {count:5}  {sentence}", markup=False, soft_wrap=True)
        if tally.moments:
            console.print("  killed when: " + ", ".join(f"{k} {n}" for k, n in tally.moments.most_common()))
        for note in tally.notes:
            console.print(f"  {note}", markup=False, soft_wrap=True)
        for name in WRONG:
            for line in getattr(tally, name):
                console.print(f"  {name.upper()}: {line}", markup=False, soft_wrap=True)
    console.print(_table(tallies))


def _table(tallies: list[Tally]) -> Table:
    shown = Table(
        "part", *COUNTED, *(name.replace("_", " ") for name in WRONG), "adopted after", title="soak"
    )
    for tally in tallies:
        counts = [str(getattr(tally, name)) for name in COUNTED]
        wrong = [str(len(getattr(tally, name))) for name in WRONG]
        shown.add_row(tally.part, *counts, *wrong, _times(tally.adoptions))
    return shown


def _times(seconds: list[float]) -> str:
    if not seconds:
        return "-"
    return f"{len(seconds)}: median {median(seconds):.1f} s, max {max(seconds):.1f} s"
