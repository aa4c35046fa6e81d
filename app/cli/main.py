"""The command's root. Modules are imported when one of their commands is called, so that `--help` answers at once."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import typer
import typer.main

from app.cli.lazy import ListedGroup, Unloaded
from app.cli.options import help_of
from app.domain.errors import JobyardError

cli = typer.Typer(
    name="jobyard",
    cls=ListedGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # with it, help and usage errors would import Markdown, tracebacks and the like first
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            print(f"jobyard {version('jobyard')}")
        except PackageNotFoundError:
            print("jobyard, not installed: run from its source tree")
        raise typer.Exit


def root(
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Push, build, run, and know why: jobs on your own machine.

    Commands speak with the server at JOBYARD_URL (http://127.0.0.1:8080 if not set) and identify themselves
    with JOBYARD_TOKEN. Exit status: 0 done, 1 an error (one sentence says which), 2 wrong usage;
    `run --follow` exits as the run does.
    """


cli.callback(help=help_of(root))(root)


def commands() -> Iterator[tuple[str, Any]]:
    """Yield every command that does something, loaded, by its whole name such as `token create`."""

    def below(group: Any, prefix: str) -> Iterator[tuple[str, Any]]:
        for name, listed in group.commands.items():
            command = listed.load() if isinstance(listed, Unloaded) else listed
            if not hasattr(command, "commands") or command.invoke_without_command:
                yield f"{prefix}{name}", command
            if hasattr(command, "commands"):
                yield from below(command, f"{prefix}{name} ")

    return below(typer.main.get_command(cli), "")


def command_names() -> list[str]:
    return [name for name, _ in commands()]


def setting_names() -> list[str]:
    """Return every variable of the environment that the server or a command reads."""
    from app.config import ClientSettings, Settings

    fields = [*Settings.model_fields, *ClientSettings.model_fields]
    of_options = [param.envvar for _, command in commands() for param in command.params if param.envvar]
    return sorted({*(f"JOBYARD_{name.upper()}" for name in fields), *of_options})


def main(args: Sequence[str] | None = None) -> None:
    """Run the command; an expected error is one sentence on standard error and exit status 1."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a log may hold what this terminal's encoding has not
    try:
        cli(args, prog_name="jobyard")
    except JobyardError as error:
        print(f"jobyard: {error}", file=sys.stderr)
        sys.exit(1)
