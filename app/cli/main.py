"""The command's root. Each command's own imports wait until it is called, so that `--help` answers at once."""

from __future__ import annotations

import sys

import typer

from app.cli import demo, server
from app.domain.errors import JobyardError

cli = typer.Typer(
    name="jobyard",
    help="Push, build, run, and know why: jobs on your own machine.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
server.add_to(cli)
demo.add_to(cli)


def main() -> None:
    """Run the command; an expected error is one sentence on standard error and exit status 1."""
    try:
        cli()
    except JobyardError as error:
        print(f"jobyard: {error}", file=sys.stderr)
        sys.exit(1)
