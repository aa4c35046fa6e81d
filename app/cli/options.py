"""Arguments and options that several commands have in common, and how their help shows examples."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, TypeVar

import typer

from app.cli.lazy import Group
from app.cli.targets import complete_jobs, complete_projects, complete_runs

JobArgument = Annotated[
    str, typer.Argument(metavar="JOB", help="NAME or PROJECT/NAME.", autocompletion=complete_jobs)
]
OptionalJobArgument = Annotated[
    str | None,
    typer.Argument(metavar="[JOB]", help="All jobs if left out.", autocompletion=complete_jobs),
]
RunArgument = Annotated[
    str, typer.Argument(metavar="RUN", help="A run's name or id.", autocompletion=complete_runs)
]
ProjectOption = Annotated[
    str | None,
    typer.Option(
        "--project", "-p", help="The project; JOBYARD_PROJECT if not given.", autocompletion=complete_projects
    ),
]
LimitOption = Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="How many, newest first.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the API's own answer, for programs.")]

EXAMPLES = "Examples:"
Function = TypeVar("Function", bound=Callable[..., None])


def make_group(summary: str) -> typer.Typer:
    """Return a group for commands of two words; it prints its help unless a command is given."""
    return typer.Typer(cls=Group, help=summary, no_args_is_help=True)


def add_command(cli: typer.Typer, name: str, function: Function, *examples: str) -> None:
    """Add `function` as the command `name`; its help is the docstring and ends with the examples."""
    text = help_of(function)
    cli.command(name, help=text, short_help=first_sentence(text), epilog=show_examples(*examples))(function)


def help_of(function: Callable[..., None]) -> str:
    """Return the docstring with each paragraph in one line, for terminals of any width."""
    paragraphs = (inspect.getdoc(function) or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def first_sentence(text: str) -> str:
    """Return what a list of commands says of one; typer itself would cut it off after so many characters."""
    return text.partition("\n\n")[0].partition(". ")[0].rstrip(".") + "."


def show_examples(*examples: str) -> str:
    r"""Return the examples one a line; `\b` tells the help's formatter not to wrap them."""
    return "\n".join(["\b", EXAMPLES, *(f"  {example}" for example in examples)])
