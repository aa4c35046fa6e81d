"""From other platforms: a file of theirs in, a file for `apply` out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.options import ProjectOption, add_command, make_group
from app.domain.errors import UserError

if TYPE_CHECKING:
    from app.cli.imports.drafts import Draft

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="YAML or JSON; - is standard input.")]


def add_to(cli: typer.Typer) -> None:
    group = make_group("From other platforms: App Platform specs, Northflank jobs.")
    add_command(group, "do", import_do, "jobyard import do .do/app.yaml > jobs.yaml; jobyard apply jobs.yaml")
    add_command(group, "northflank", import_northflank, "jobyard import northflank job.json > jobs.yaml")
    cli.add_typer(group, name="import")


def import_do(file: FileArgument, project: ProjectOption = None) -> None:
    """Print the jobs of a DigitalOcean App Platform specification as YAML that `apply` takes.

    A comment names everything that has no counterpart, or that is to be done by hand.
    """
    from app.cli.imports.app_platform import import_spec
    from app.cli.imports.drafts import Draft

    draft = Draft()
    name = import_spec(_only(file), draft)
    _print(draft, file, project, name)


def import_northflank(file: FileArgument, project: ProjectOption = None) -> None:
    """Print Northflank jobs, as their API or a template has them, as YAML that `apply` takes.

    A comment names everything that has no counterpart, or that is to be done by hand.
    """
    from app.cli.imports.drafts import Draft
    from app.cli.imports.northflank import import_jobs

    draft = Draft()
    import_jobs(_only(file), draft)
    _print(draft, file, project, "imported")


def _print(draft: Draft, file: Path, project: str | None, name: str) -> None:
    """Print what was found. Raises UserError where that is no job, after the reasons."""
    from app.cli.files import name_of

    typer.echo(draft.written(project or name, makes_it=project is None), nl=False)
    if "jobs" not in draft.sections:
        raise UserError(f"There is no job in {name_of(file)}: the comments say what became of the rest.")


def _only(file: Path) -> Any:
    from app.cli.files import name_of, read_file
    from app.web.declared.texts import read_text

    documents = read_text(read_file(file), name_of(file)).documents
    if len(documents) != 1 or not isinstance(documents[0], dict | list):
        raise UserError(f"{name_of(file)} must hold one object.")
    return documents[0]
