"""Projects."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from app.cli.options import JsonOption, LimitOption, add_command, make_group
from app.cli.targets import complete_projects
from app.domain.errors import UserError


def add_to(cli: typer.Typer) -> None:
    project = make_group("Projects: make, list, limit, publish.")
    add_command(
        project,
        "create",
        create_project,
        "jobyard project create acme",
        "openssl rand -hex 32 | tee webhook-secret | jobyard project create acme --webhook-secret -",
    )
    add_command(project, "list", list_projects, "jobyard project list --json")
    add_command(
        project,
        "limits",
        show_limits,
        "jobyard project limits acme",
        "jobyard project limits acme --set runs_at_once=4 --set cpus=2.5",
        "jobyard project limits acme --set runs_at_once=default",
    )
    add_command(
        project, "public", make_public, "jobyard project public acme", "jobyard project public acme --off"
    )
    cli.add_typer(project, name="project")


def create_project(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    webhook_secret: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Verifies pushes of all its repositories; - reads standard input."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Create a project: a namespace for jobs, credentials and tokens."""
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


def show_limits(
    name: Annotated[str, typer.Argument(metavar="NAME", autocompletion=complete_projects)],
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="LIMIT=NUMBER",
            help="0 is no limit, default takes the server's; may be repeated.",
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Show what a project uses of its limits; with --set, change them first."""
    from app.cli import output
    from app.cli.client import open_api, path

    changes = dict(_limit(text) for text in set_ or ())
    with open_api() as api:
        if changes:
            api.patch(path("projects", name), {"limits": changes})
        found = api.get(path("projects", name, "usage"))
    if json:
        output.print_json(found)
        return
    output.print_table(
        ("LIMIT", "USED", "MOST", "SET BY", "OF"),
        [
            (
                each["limit"],
                f"{each['used']:g}",
                f"{each['most']:g}" if each["most"] else "any",
                "project" if each["is_own"] else "server",
                each["of"],
            )
            for each in found["items"]
        ],
        "",
    )


def make_public(
    name: Annotated[str, typer.Argument(metavar="NAME", autocompletion=complete_projects)],
    off: Annotated[bool, typer.Option("--off", help="Make it private again.")] = False,
    json: JsonOption = False,
) -> None:
    """Let anybody see badges of a project's jobs, and a page of their outcomes and times."""
    from app.cli import output
    from app.cli.client import open_api, path

    with open_api() as api:
        changed = api.patch(path("projects", name), {"public": not off})
    if json:
        output.print_json(changed)
    else:
        print(f"{name} is private." if off else f"{name} is public: its page is /public/{name}.")


def _limit(text: str) -> tuple[str, float | None]:
    """A limit and its number of `NAME=NUMBER`. Raises UserError."""
    name, _, number = text.partition("=")
    if number == "default":
        return name, None
    try:
        value = float(number)
    except ValueError:
        raise UserError(f"--set takes LIMIT=NUMBER such as runs_at_once=4, not {text!r}.") from None
    return name, int(value) if value.is_integer() else value
