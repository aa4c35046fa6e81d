"""The audit log: who changed what, and who was refused."""

from __future__ import annotations

from typing import Annotated

import typer

from app.cli.options import JsonOption, LimitOption, add_command
from app.cli.targets import complete_projects
from app.cli.times import instant


def add_to(cli: typer.Typer) -> None:
    add_command(
        cli,
        "audit",
        list_entries,
        "jobyard audit --who ada --since 2026-01-31",
        "jobyard audit --action job.change --project acme --json",
    )


def list_entries(
    who: Annotated[str | None, typer.Option(metavar="NAME", help="By this user or token.")] = None,
    action: Annotated[
        str | None, typer.Option(metavar="ACTION", help="Such as job.change, or job for all of that type.")
    ] = None,
    project: Annotated[
        str | None, typer.Option("--project", "-p", help="In this project.", autocompletion=complete_projects)
    ] = None,
    about: Annotated[
        str | None, typer.Option(metavar="NAME", help="About the thing of this name, such as a job or a run.")
    ] = None,
    since: Annotated[str | None, typer.Option(metavar="TIME", help="Not older than this.")] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Older than this.")] = None,
    limit: LimitOption = 50,
    json: JsonOption = False,
) -> None:
    """List who changed what and who was refused, newest first."""
    from app.cli import output
    from app.cli.client import open_api
    from app.cli.times import now, when

    with open_api() as api:
        found = api.items(
            "/audit",
            limit,
            who=who,
            action=action,
            project=project,
            about=about,
            since=instant(since, "--since"),
            until=instant(until, "--until"),
        )
    if json:
        output.print_json(found)
        return
    at = now()
    output.print_table(
        ("WHEN", "WHO", "FROM", "ACTION", "WHAT", "OUTCOME"),
        [
            (
                when(each["at"], at),
                each["who"]["name"],
                each["who"]["address"],
                each["action"],
                "/".join(filter(None, (each["about"]["project"], each["about"]["name"]))),
                each["outcome"] if each["times"] == 1 else f"{each['outcome']} {each['times']} times",
            )
            for each in found["items"]
        ],
        "No entry is of this kind.",
    )
