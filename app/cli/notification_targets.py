"""What targets of notifications can do beside being listed, applied and deleted: a test, and what was sent."""

from __future__ import annotations

from typing import Annotated

import typer

from app.cli.options import JsonOption, LimitOption, ProjectOption, add_command
from app.cli.targets import find_project

PATH = "notification-targets"
NameArgument = Annotated[str, typer.Argument(metavar="NAME")]


def add_commands(group: typer.Typer) -> None:
    add_command(group, "test", send_test, "jobyard target test ops --project acme")
    add_command(group, "deliveries", list_deliveries, "jobyard target deliveries ops --project acme")


def send_test(name: NameArgument, project: ProjectOption = None, json: JsonOption = False) -> None:
    """Send a test to a notification target: `deliveries` says what came of it."""
    from app.cli import output
    from app.cli.client import open_api, path

    with open_api() as api:
        owner = find_project(api, project)
        made = api.post(path("projects", owner, PATH, name, "test"), {})
    if json:
        output.print_json(made)
        return
    print(f"A test is on its way to {owner}/{name}: `jobyard target deliveries {name}` says what came of it.")


def list_deliveries(
    name: NameArgument, limit: LimitOption = 20, project: ProjectOption = None, json: JsonOption = False
) -> None:
    """List what was, or is to be, sent to a notification target, newest first."""
    from app.cli import output
    from app.cli.client import open_api, path
    from app.cli.times import now, when

    at = now()
    with open_api() as api:
        found = api.items(path("projects", find_project(api, project), PATH, name, "deliveries"), limit)
    if json:
        output.print_json(found)
        return
    output.print_table(
        ("ID", "MADE", "SUBJECT", "STATUS", "TRIES", "WHAT CAME OF IT"),
        [
            (
                each["id"],
                when(each["created_at"], at),
                each["subject"],
                each["status"],
                each["tries"],
                each["said"],
            )
            for each in found["items"]
        ],
        "Nothing was sent there yet.",
    )
