"""Settings of the server, and files of configuration without one: checked, and described for editors."""

from __future__ import annotations

import json as jsonlib
from pathlib import Path
from typing import Annotated

import typer

from app.cli.lazy import Group
from app.cli.options import JsonOption, add_command, help_of, show_examples
from app.domain.errors import UserError

ApplyOption = Annotated[
    bool, typer.Option("--apply", help="A file for `jobyard apply` instead of a repository's jobyard.yaml.")
]


def add_to(cli: typer.Typer) -> None:
    group = typer.Typer(cls=Group, invoke_without_command=True)
    group.callback(help=help_of(config), epilog=show_examples("jobyard config", "jobyard config --json"))(
        config
    )
    add_command(
        group,
        "validate",
        validate,
        "jobyard config validate",
        "jobyard config validate --apply acme.yaml",
    )
    add_command(group, "schema", schema, "jobyard config schema > jobyard.schema.json")
    cli.add_typer(group, name="config")


def config(json: JsonOption = False) -> None:
    """List every setting, its value and what it is for. Secret ones are not shown."""
    from app.cli import output
    from app.config import read_client_settings, read_settings

    items = [
        {
            "name": f"JOBYARD_{name.upper()}",
            "value": _shown(getattr(each, name)),
            "description": field.description,
        }
        for each in (read_settings(), read_client_settings())
        for name, field in type(each).model_fields.items()
    ]
    if json:
        output.print_json({"items": items})
        return
    output.print_table(
        ("SETTING", "VALUE", "WHAT FOR"),
        [(item["name"], item["value"] or "(not set)", item["description"]) for item in items],
        "",
    )


def _shown(value: object) -> str | None:
    return None if value is None else str(value)


def validate(
    file: Annotated[Path, typer.Argument(metavar="[FILE]", help="- is standard input.")] = Path(
        "jobyard.yaml"
    ),
    apply: ApplyOption = False,
    json: JsonOption = False,
) -> None:
    """Check a repository's jobyard.yaml, or a file for `apply`, without a server.

    Every fault is printed with its line; exit status 1 if there is one. What a file names of a project, such as
    its plans and secret groups, only the server knows: a push, or `jobyard apply --dry-run`, looks at that.
    """
    from app.cli.files import read_file

    name = "standard input" if str(file) == "-" else str(file)
    if apply:
        faults = _faults_of_apply(file)
    else:
        from app.web.declared.repository_file import check

        faults = check(read_file(file), name)
    faults = sorted(faults, key=lambda fault: fault[0] or 0)
    if json:
        items = [{"line": line, "message": message} for line, message in faults]
        print(jsonlib.dumps({"items": items}, indent=2, ensure_ascii=False))
    elif not faults:
        print(f"{name}: nothing is wrong.")
    for line, message in [] if json else faults:
        print(f"{name}:{line}: {message}" if line is not None else f"{name}: {message}")
    if faults:
        raise typer.Exit(1)


def _faults_of_apply(file: Path) -> list[tuple[int | None, str]]:
    from app.cli.files import read_with_lines
    from app.web.declared.checking import faults_of
    from app.web.declared.texts import line_of

    try:
        documents, lines = read_with_lines(file, "job")
    except UserError as error:
        return [(None, str(error))]
    found = faults_of(documents, "")
    return [(line_of(lines, place.removeprefix(".")), said) for place, said in found]


def schema(apply: ApplyOption = False) -> None:
    """Print the JSON Schema of jobyard.yaml, for editors; a server has it at /schemas/jobyard.json."""
    from app.web.declared.schemas import apply_schema, repository_file_schema

    found = apply_schema() if apply else repository_file_schema()
    print(jsonlib.dumps(found, indent=2, ensure_ascii=False))
