"""API tokens."""

from __future__ import annotations

import enum
from typing import Annotated

import typer

from app.cli.options import JsonOption, LimitOption, add_command, make_group
from app.cli.targets import complete_projects
from app.domain.errors import InvalidValue, NotFound, UserError


class RoleName(enum.StrEnum):
    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


class ScopeName(enum.StrEnum):
    READ = "read"
    RUN = "run"
    DEPLOY = "deploy"
    ADMIN = "admin"


def add_to(cli: typer.Typer) -> None:
    token = make_group("API tokens: make, list, revoke.")
    add_command(
        token,
        "create",
        create_token,
        "jobyard token create ci --scope read --scope run --project acme",
        "jobyard token create laptop --role admin --expires 2027-01-31",
    )
    add_command(token, "list", list_tokens, "jobyard token list")
    add_command(token, "revoke", revoke_token, "jobyard token revoke ci")
    cli.add_typer(token, name="token")


def create_token(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    role: Annotated[
        RoleName | None, typer.Option(help="What it may do; viewer unless scopes are given.")
    ] = None,
    scope: Annotated[
        list[ScopeName] | None, typer.Option(help="What it may do, instead of a role; may be repeated.")
    ] = None,
    project: Annotated[
        str | None,
        typer.Option("--project", "-p", help="Only for this project.", autocompletion=complete_projects),
    ] = None,
    expires: Annotated[
        str | None, typer.Option(metavar="TIME|never", help="Valid until then; a year if left out.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Make an API token. It is printed this once: the server keeps only what recognises it."""
    from app.cli import output
    from app.cli.client import open_api
    from app.cli.times import read_time, rfc3339

    body: dict[str, object] = {"name": name, "project": project}
    if role is not None:
        body["role"] = role.value
    if scope:
        body["scopes"] = [each.value for each in scope]
    if expires == "never":
        body["expires_at"] = None
    elif expires is not None:
        try:
            body["expires_at"] = rfc3339(read_time(expires, "--expires"))
        except InvalidValue as error:
            raise typer.BadParameter(str(error), param_hint="--expires") from None
    with open_api() as api:
        made = api.post("/tokens", body)
    if json:
        output.print_json(made)
        return
    print(made["token"])
    output.say("Keep it: it is not shown again. Commands take it from JOBYARD_TOKEN.")


def list_tokens(limit: LimitOption = 100, json: JsonOption = False) -> None:
    """List API tokens, without the tokens themselves."""
    from app.cli import output
    from app.cli.client import open_api
    from app.cli.times import now, when

    with open_api() as api:
        found = api.items("/tokens", limit)
    if json:
        output.print_json(found)
        return
    at = now()
    output.print_table(
        ("ID", "NAME", "MAY", "PROJECT", "EXPIRES", "LAST USED"),
        [
            (
                each["id"],
                each["name"],
                each["role"] or ", ".join(each["scopes"]),
                each["project"] or "all",
                when(each["expires_at"], at) or "never",
                when(each["last_used_at"], at) or "never",
            )
            for each in found["items"]
        ],
        "There are no tokens yet: make one with `jobyard token create NAME`.",
    )


def revoke_token(token: Annotated[str, typer.Argument(metavar="NAME|ID")], json: JsonOption = False) -> None:
    """Revoke an API token: from now on it opens nothing."""
    from app.cli import output
    from app.cli.client import open_api, path

    with open_api() as api:
        tokens = api.each("/tokens")
        found = [each for each in tokens if each["name"] == token] or [
            each for each in tokens if str(each["id"]) == token
        ]
        if not found:
            raise NotFound(f"There is no token {token}: `jobyard token list` shows what there is.")
        if len(found) > 1:
            ids = ", ".join(str(each["id"]) for each in found)
            raise UserError(f"There are several tokens named {token}: give the id of one ({ids}).")
        (only,) = found
        api.delete(path("tokens", only["id"]), confirm=only["name"])
    if json:
        output.print_json(only)
    else:
        print(f"Token {only['name']} is revoked.")
