"""`jobyard admin token`: an API token from the shell of the server's machine, for which none is needed."""

from __future__ import annotations

from typing import Annotated

import typer

from app.cli.tokens import RoleName


def make_token(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    role: Annotated[RoleName, typer.Option(help="What it may do.")] = RoleName.ADMIN,
) -> None:
    """Make an API token for all projects, valid for a year, without having one: on the server's own machine.

    It is printed this once: the server keeps only what recognises it.
    """
    from app.cli import output
    from app.commands.tokens import LASTS, issue_token
    from app.config import read_settings
    from app.domain.audit import COMMAND_LINE, Action
    from app.domain.principals import SCOPES_OF, Role
    from app.installation import open_installation
    from app.store.audit_recorder import as_command

    with open_installation(read_settings()) as installation:
        now = installation.clock.now()
        scopes = SCOPES_OF[Role(role.value)]
        with as_command(Action.TOKEN_MAKE, COMMAND_LINE, now), installation.db.write() as tx:
            made = issue_token(tx, name=name, scopes=scopes, project=None, expires_at=now + LASTS, now=now)
    print(made.secret)
    output.say("Keep it: it is not shown again. Commands take it from JOBYARD_TOKEN.")
