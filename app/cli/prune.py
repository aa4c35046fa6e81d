"""What is kept and for how long."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.options import JsonOption, add_command

if TYPE_CHECKING:
    from app.cli.answers import Pruning


def add_to(cli: typer.Typer) -> None:
    add_command(
        cli, "prune", prune, "jobyard prune --dry-run", "jobyard prune", "jobyard prune --dry-run --json"
    )


def prune(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Remove nothing; show what would go, and why the rest stays.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Remove what is older, or more, than is kept: runs, builds, deliveries, decisions, and their files.

    The server does so by itself every hour. JOBYARD_RETENTION_DAYS (90) says for how many days what is over is kept,
    JOBYARD_RETENTION_RUNS (1000) how many runs of each job; 0 is no limit. What is not over, what is deployed or could
    be rolled back to, and of each job the last success and the last failure always stay. Images that were built here
    and that nothing needs go as well, but for the ten newest of each source.

    Without --dry-run it begins at once, and is done little by little beside other work. Needs a token that may do
    everything.
    """
    from app.cli import output
    from app.cli.client import open_api

    with open_api() as api:
        found = api.post("/prune", dry_run="1" if dry_run else None)
    if json:
        output.print_json(found)
        return
    _show(found)
    if not dry_run and (found["going"] or found["images"]["going"]):
        output.say("The server has begun to remove it.")


def _show(found: Pruning) -> None:
    from app.cli import output
    from app.domain.room import size

    def row(kind: str, whose: str, going: int, weight: int) -> tuple[str, str, int, str]:
        return kind.replace("_", " "), whose, going, size(weight) if weight else ""

    rows = []
    for each in found["kinds"]:
        named = [part for part in each["parts"] if part["name"]]
        rows += [row(each["kind"], f"{p['project']}/{p['name']}", p["going"], p["bytes"]) for p in named]
        others = each["going"] - sum(part["going"] for part in named)
        if others:
            weight = each["bytes"] - sum(part["bytes"] for part in named)
            rows.append(row(each["kind"], "", others, weight))
    images = found["images"]
    if images["going"]:
        rows.append(row("images", "", images["going"], images["bytes"]))
    output.print_table(("WHAT", "OF", "GOES", "FILES"), rows, "Nothing is beyond the limits.")
    if images["sentence"]:
        output.say(f"Images are not counted: {images['sentence']}")
    if not found["is_whole"]:
        output.say("More follows after this: it is too much for one pass.")
    for each in found["kinds"]:
        for staying in each["staying"]:
            kind = each["kind"].replace("_", " ")
            output.say(f"{staying['count']} {kind} beyond the limits stay: {staying['sentence']}")
