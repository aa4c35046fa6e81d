"""Which chapters the guide has, in which order, and where their text is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

HELP = Path(__file__).parent.parent / "help"


@dataclass(frozen=True)
class Chapter:
    """A file of `app/web/help`, by its name without `.md`; its first line is the title."""

    name: str
    part: str

    @property
    def path(self) -> str:
        return f"/help/{self.name}"

    @property
    def text(self) -> str:
        return _text(self.name)

    @property
    def title(self) -> str:
        return self.text.partition("\n")[0].removeprefix("# ")


@cache
def _text(name: str) -> str:
    return (HELP / f"{name}.md").read_text(encoding="utf-8")


PARTS = {
    "Start": ("first-steps", "github", "github-app", "forges"),
    "Work": (
        "jobs",
        "schedules",
        "rules",
        "builds",
        "runs",
        "apps",
        "pipelines",
        "flows",
        "notifications",
        "configuration",
    ),
    "Access": ("secrets", "people"),
    "Operation": (
        "install",
        "swarm",
        "kubernetes",
        "servers",
        "limits",
        "network",
        "clean-up",
        "backup",
        "outages",
        "metrics",
        "traces",
        "security",
    ),
    "Reference": ("sentences", "settings", "commands", "api", "programs", "keyboard"),
}
CHAPTERS = tuple(Chapter(name, part) for part, names in PARTS.items() for name in names)
