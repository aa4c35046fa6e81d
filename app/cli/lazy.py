"""Groups of commands: one imports a command's module only when that command is called, completed or asked about."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import typer
import typer.main
from typer.core import TyperCommand, TyperGroup, TyperOption

from app.cli.listing import COMMANDS


class Group(TyperGroup):
    """A group whose flags are False when they are not given.

    Typer's own (--help, --install-completion) are None then, and to check a None it imports pydantic: 80 ms.
    """

    def get_params(self, ctx: Any) -> Any:
        params = super().get_params(ctx)
        for param in params:
            if isinstance(param, TyperOption) and param.is_bool_flag and param.default is None:
                param.default = False
        return params


class Unloaded(TyperCommand):
    """A command of the listing: its name and summary, until `load` brings the command itself."""

    def __init__(self, name: str, module: str, summary: str) -> None:
        super().__init__(name, help=summary)
        self._module = module

    def load(self) -> Any:
        """Import the module and return the command or group that it adds under this name."""
        commands = typer.Typer(rich_markup_mode=None, add_completion=False)
        commands.callback()(_do_nothing)  # with a callback, a single command remains one of a group
        import_module(f"app.cli.{self._module}").add_to(commands)
        group = typer.main.get_command(commands)
        assert isinstance(group, TyperGroup)
        return group.commands[str(self.name)]


class ListedGroup(Group):
    """The root: it lists `COMMANDS` under their headings, and loads a command when it is resolved."""

    def __init__(self, **attrs: Any) -> None:
        super().__init__(**attrs)
        for section in COMMANDS.values():
            for name, listed in section.items():
                self.add_command(Unloaded(name, *listed))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Load a command. One of a group that does something by itself is resolved past that group.

        Nothing is given for the group then, and to check the defaults of its options Typer would import pydantic.
        """
        name, command, rest = super().resolve_command(ctx, args)
        if isinstance(command, Unloaded):
            command = command.load()
        if isinstance(command, Group) and command.invoke_without_command and rest[:1]:
            below = command.commands.get(rest[0])
            if below is not None:
                return f"{name} {rest[0]}", below, rest[1:]
        return name, command, rest

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write a section for each heading, with the summaries in one column."""
        width = max(map(len, self.list_commands(ctx)))
        for heading, section in COMMANDS.items():
            with formatter.section(heading):
                formatter.write_dl([(name.ljust(width), each.summary) for name, each in section.items()])


def _do_nothing() -> None: ...
