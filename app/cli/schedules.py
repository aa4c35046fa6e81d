"""A command that needs no server: when a schedule is due."""

from __future__ import annotations

import json as jsonlib
import sys
from typing import Annotated

import typer

from app.cli.options import JsonOption, add_command
from app.domain.errors import InvalidValue


def add_to(cli: typer.Typer) -> None:
    add_command(
        cli,
        "schedule",
        schedule,
        "jobyard schedule '*/5 * * * *'",
        "jobyard schedule '30 2 * * *' --tz Europe/Berlin --from 2026-10-24 --count 3",
        "jobyard schedule @weekly --json",
    )


def schedule(
    cron: Annotated[str, typer.Argument(metavar="CRON", help="Five fields, or @daily and the like; quoted.")],
    tz: Annotated[str, typer.Option(metavar="ZONE", help="An IANA time zone.")] = "UTC",
    from_: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="Fires after this; now if left out.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, max=10_000, help="How many.")] = 5,
    json: JsonOption = False,
) -> None:
    """Print when a schedule is due, one time a line. What clock changes do to it is said on standard error.

    Exit status 2, with the reason, for an expression that is refused.
    """
    from zoneinfo import ZoneInfo

    from app.cli.times import now, read_time, rfc3339
    from app.domain.schedule import Schedule

    try:
        parsed = Schedule.parse(cron, tz)
        after = now() if from_ is None else read_time(from_, "--from", ZoneInfo(tz))
        fires = parsed.upcoming(after, count)
    except InvalidValue as error:
        print(f"jobyard: {error}", file=sys.stderr)
        raise typer.Exit(2) from None
    if json:
        items = [
            {"at": rfc3339(fire.at), "local": fire.local.isoformat(), "note": fire.note} for fire in fires
        ]
        print(jsonlib.dumps({"description": parsed.describe(), "fires": items}, indent=2, ensure_ascii=False))
        return
    for fire in fires:
        print(fire.local.isoformat())
        if fire.note:
            print(f"{fire.local:%Y-%m-%d}: {fire.note}", file=sys.stderr)
