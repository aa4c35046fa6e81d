"""Projects."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from app.cli.options import JsonOption, LimitOption, add_command, make_group


def add_to(cli: typer.Typer) -> None:
    project = make_group("Projects: make, list.")
    add_command(
        project,
        "create",
        create_project,
        "jobyard project create acme",
        "openssl rand -hex 32 | tee webhook-secret | jobyard project create acme --webhook-secret -",
    )
    add_command(project, "list", list_projects, "jobyard project list --json")
    cli.add_typer(project, name="project")


def create_project(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    webhook_secret: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Verifies pushes of all its repositories; - reads standard input."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Make a project: a namespace for jobs, credentials and tokens."""
    from app.cli import output
    from app.cli.client import open_api

    secret = sys.stdin.readline().strip() if webhook_secret == "-" else webhook_secret  # noqa: S105  standard input
    body = {"name": name} | ({} if secret is None else {"webhook_secret": secret})
    with open_api() as api:
        made = api.post("/projects", body)
    if json:
        output.print_json(made)
    else:
        print(f"Project {name} is there now; `jobyard apply --project {name} FILE` makes jobs in it.")


def list_projects(limit: LimitOption = 100, json: JsonOption = False) -> None:
    """List projects."""
    from app.cli import output
    from app.cli.client import open_api
    from app.cli.times import now, when

    with open_api() as api:
        found = api.items("/projects", limit)
    if json:
        output.print_json(found)
        return
    at = now()
    output.print_table(
        ("PROJECT", "WEBHOOK SECRET", "MADE"),
        [
            (each["name"], "set" if each["has_webhook_secret"] else "not set", when(each["created_at"], at))
            for each in found["items"]
        ],
        "There are no projects yet: make one with `jobyard project create NAME`.",
    )
