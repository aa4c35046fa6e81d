"""Projects."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Annotated, Any

import typer

from app.cli.options import JsonOption, LimitOption, add_command, make_group
from app.cli.targets import complete_projects
from app.domain.errors import UserError


def add_to(cli: typer.Typer) -> None:
    project = make_group("Projects: make, list, limit, publish, webhook.")
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
    add_command(
        project,
        "webhook",
        set_webhook,
        "jobyard project webhook acme --ref /push/ref --sha /push/sha --repository /repo/url",
        "jobyard project webhook acme --proof token --header X-Token --repository https://git.example.com/acme/report",
        "jobyard project webhook acme --off",
    )
    add_command(
        project,
        "hooks",
        show_hooks,
        "jobyard project hooks acme",
        "jobyard project hooks acme --register",
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


def show_hooks(
    name: Annotated[str, typer.Argument(metavar="NAME", autocompletion=complete_projects)],
    register: Annotated[
        bool,
        typer.Option("--register", help="Make the webhooks at the forges, or set those there right, first."),
    ] = False,
    look: Annotated[bool, typer.Option("--look", help="Ask the forges first.")] = False,
    json: JsonOption = False,
) -> None:
    """Show the webhooks of a project's repositories at their forges; with --register, make them first."""
    from app.cli import output
    from app.cli.client import open_api, path
    from app.cli.times import now, when

    place = path("projects", name, "hooks")
    with open_api() as api:
        found = api.post(place, {"register": register}) if register or look else api.get(place)
    if json:
        output.print_json(found)
        return
    at = now()
    output.print_table(
        ("REPOSITORY", "LAST PUSH", "LAST PING", "WEBHOOK"),
        [
            (
                each["repository"],
                when(each["last_push_at"], at),
                when(each["last_ping_at"], at),
                _standing(each, at),
            )
            for each in found["items"]
        ],
        "The project has no repository on a host.",
    )


def _standing(hook: Any, at: datetime) -> str:
    """How a repository's webhook is, and whether calls about it were refused."""
    from app.cli.times import when

    found = hook["problem"] or ("leads here" if hook["address"] else "never looked at")
    if not hook["refused_calls"]:
        return found
    last_at = when(hook["refused_last_at"], at)
    return f"{found}; calls with a wrong signature: {hook['refused_calls']}, the last {last_at}"


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


def set_webhook(
    name: Annotated[str, typer.Argument(metavar="NAME", autocompletion=complete_projects)],
    ref: Annotated[str | None, typer.Option(metavar="POINTER", help="To the ref or branch; /ref.")] = None,
    sha: Annotated[str | None, typer.Option(metavar="POINTER", help="To the pushed commit; /after.")] = None,
    before: Annotated[str | None, typer.Option(metavar="POINTER", help="To the commit before.")] = None,
    repository: Annotated[
        str | None, typer.Option(metavar="POINTER|URL", help="To the repository's address, or that itself.")
    ] = None,
    proof: Annotated[
        str | None, typer.Option(metavar="hmac|token", help="What the header has; an HMAC if left out.")
    ] = None,
    header: Annotated[str | None, typer.Option(metavar="NAME", help="The header; X-Signature.")] = None,
    off: Annotated[bool, typer.Option("--off", help="Remove it.")] = False,
    json: JsonOption = False,
) -> None:
    """Have a webhook for whatever sends JSON, told where in it is said what was pushed (JSON Pointers)."""
    from app.cli import output
    from app.cli.client import open_api, path

    asked = {
        "ref": ref,
        "sha": sha,
        "before": before,
        "repository": repository,
        "proof": proof,
        "header": header,
    }
    given = {each: value for each, value in asked.items() if value is not None}
    with open_api() as api:
        changed = api.patch(path("projects", name), {"generic_webhook": None if off else given})
    webhook = changed["generic_webhook"]
    if json:
        output.print_json(webhook)
    elif webhook is None:
        print(f"Project {name} has no generic webhook.")
    else:
        print(f"Let it call {api.settings.url}/webhooks/generic/{webhook['id']}.")
