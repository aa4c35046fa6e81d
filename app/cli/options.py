"""Arguments and options that several commands have in common, and how their help shows examples."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, TypeVar

import typer

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


def add_command(
    cli: typer.Typer, name: str, function: Function, *examples: str, panel: str | None = None
) -> None:
    """`function` as the command `name`; its help is the docstring and ends with the examples."""
    cli.command(name, help=help_of(function), rich_help_panel=panel, epilog=show_examples(*examples))(
        function
    )


def help_of(function: Callable[..., None]) -> str:
    """The docstring with each paragraph in one line, for terminals of any width."""
    paragraphs = (inspect.getdoc(function) or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs).replace("[", "\\[")


def show_examples(*examples: str) -> str:
    lines = (f"  {example}".replace("[", "\\[") for example in examples)
    return "\n".join([f"[bold]{EXAMPLES}[/bold]", *lines])
