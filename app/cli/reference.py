"""The commands' reference in the guide: what `--help` says of each, in words and tables."""

from __future__ import annotations

from typing import Any

import typer.main

from app.cli.lazy import Unloaded
from app.cli.listing import COMMANDS
from app.cli.options import EXAMPLES
from app.web.guide import Reference, table


def command_reference() -> Reference:
    return Reference(_write, _outline)


def _write() -> str:
    from app.cli.main import cli  # it imports this module's callers

    listed: Any = typer.main.get_command(cli)
    parts = []
    for heading, section in COMMANDS.items():
        commands = [_command(f"jobyard {name}", listed.commands[name]) for name in section]
        parts.append(f"## {heading}\n\n" + "\n\n".join(commands))
    return "\n\n".join(parts)


def _outline() -> str:
    entries = [(name, each.summary) for section in COMMANDS.values() for name, each in section.items()]
    return "\n\n".join(f"### jobyard {name}\n\n{summary}" for name, summary in entries)


def _command(name: str, command: Any) -> str:
    """A command with what it takes, and those below it."""
    loaded = command.load() if isinstance(command, Unloaded) else command
    parts = [f"### {name}", str(loaded.help or "")]
    if rows := [
        _parameter(each) for each in loaded.params if each.envvar or not getattr(each, "hidden", False)
    ]:
        parts.append(table(("argument", "what it is"), rows))
    if loaded.epilog:
        lines = str(loaded.epilog).partition(EXAMPLES)[2].strip("\n").splitlines()
        parts.append("\n".join(f"    {line.strip()}" for line in lines))
    below = getattr(loaded, "commands", {})
    return "\n\n".join([*parts, *(_command(f"{name} {each}", below[each]) for each in below)])


def _parameter(each: Any) -> tuple[str, str]:
    if getattr(each, "hidden", False):
        return f"`{each.envvar}`", f"The variable of the environment for its {each.name}."
    names = ", ".join(f"`{name}`" for name in (*each.opts, *each.secondary_opts))
    shown = names if each.param_type_name == "option" else f"`{each.metavar or each.name.upper()}`"
    variable = f" Or from `{each.envvar}`." if each.envvar else ""
    return shown, f"{each.help or ''}{variable}"
