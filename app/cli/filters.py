"""The options by which lists are narrowed, as pages and the API narrow them.

The words are written down here, as a command that lists runs must not import what a server knows of runs; the API
refuses any other, and a test compares them with the domain's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from app.cli.times import instant

RUN_STATUSES = ("queued", "running", "succeeded", "failed", "cancelled")
RUN_TRIGGERS = (
    *("manual", "api", "schedule", "image_change", "promotion", "deploy"),
    *("pre_deploy", "post_deploy", "failed_deploy", "flow"),
)
BUILD_STATUSES = RUN_STATUSES
BUILD_TRIGGERS = ("push", "manual", "rebuild", "pull_request")
VERDICTS = (
    *("started", "built", "available", "deployed", "skipped", "queued", "replaced", "missed"),
    *("duplicate", "cancelled", "paused", "resumed", "configured", "refused"),
)
EVENTS = ("push", "build", "schedule", "manual", "deploy", "promotion", "deployment", "run", "file")


def _completing(words: Sequence[str]) -> Callable[[str], list[str]]:
    return lambda incomplete: [word for word in words if word.startswith(incomplete)]


def _option(name: str, words: Sequence[str], what: str) -> typer.models.OptionInfo:
    described = f"{what}: {', '.join(words[:-1])} or {words[-1]}."
    option: typer.models.OptionInfo = typer.Option(
        f"--{name}", metavar=name.upper(), help=described, autocompletion=_completing(words)
    )
    return option


RunStatusOption = Annotated[str | None, _option("status", RUN_STATUSES, "Only those")]
RunTriggerOption = Annotated[str | None, _option("trigger", RUN_TRIGGERS, "Only those that this started")]
BuildStatusOption = Annotated[str | None, _option("status", BUILD_STATUSES, "Only those")]
BuildTriggerOption = Annotated[str | None, _option("trigger", BUILD_TRIGGERS, "Only those that this began")]
VerdictOption = Annotated[str | None, _option("verdict", VERDICTS, "Only those")]
EventOption = Annotated[str | None, _option("event", EVENTS, "Only about this")]
BranchOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="Only what was built from this branch.")
]
SinceOption = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Only from then on, such as 2026-01-31 or '2026-01-31 12:00'."),
]
UntilOption = Annotated[str | None, typer.Option(metavar="TIME", help="Only until then.")]


def in_time(since: str | None, until: str | None) -> dict[str, object]:
    """Both as the API takes them; wrong usage if one is no time."""
    return {"since": instant(since, "--since"), "until": instant(until, "--until")}
