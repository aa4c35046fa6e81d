"""`jobyard mcp`: the API for assistants, by the Model Context Protocol over standard input and output."""

from __future__ import annotations

import enum
from typing import Annotated

import typer

from app.cli.options import add_command
from app.domain.errors import UserError


class Allowed(enum.StrEnum):
    """What an assistant may do beside reading."""

    RUN = "run"
    CANCEL = "cancel"
    PROMOTE = "promote"


def add_to(cli: typer.Typer) -> None:
    add_command(cli, "mcp", mcp, "jobyard mcp", "jobyard mcp --allow run --allow cancel")


def mcp(
    allow: Annotated[
        list[Allowed] | None,
        typer.Option(help="What it may do beside reading, as far as the token may; may be repeated."),
    ] = None,
) -> None:
    """Let an assistant read jobs, runs, logs and reasons by MCP, and what else is allowed.

    It is started by the assistant's program, speaks over standard input and output, and is part of the extra mcp:
    pip install 'jobyard[mcp]'.
    """
    from app.cli.client import open_api

    try:
        from app.cli.assistant_server import make_server
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "mcp":
            raise
        raise UserError("This needs the extra mcp: install it with `pip install 'jobyard[mcp]'`.") from None
    with open_api() as api:
        make_server(api, frozenset(each.value for each in allow or ())).run()
