"""Configuration from a file, all of it or nothing, and as a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.options import JsonOption, ProjectOption, add_command
from app.cli.targets import find_project
from app.domain.errors import UserError

if TYPE_CHECKING:
    from app.cli.answers import Json
    from app.cli.client import Api, ApiError

WHATS = {"created": "+", "changed": "~", "deleted": "-"}


def add_to(cli: typer.Typer) -> None:
    add_command(
        cli,
        "apply",
        apply,
        "jobyard apply jobs.yaml",
        "jobyard apply --project acme report.json --dry-run",
        "jobyard export --project acme > acme.yaml; jobyard apply acme.yaml --prune",
        "jobyard job report --json | jq '{name, retry_limit: 2}' | jobyard apply -",
    )
    add_command(cli, "export", export, "jobyard export > everything.yaml", "jobyard export --project acme")


def apply(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="YAML or JSON; - is standard input.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the file and show what would change; save nothing.")
    ] = False,
    prune: Annotated[
        bool,
        typer.Option(
            "--prune", help="Delete what a section that the file has leaves out; shown and asked for before."
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Delete without being asked.")] = False,
    project: ProjectOption = None,
    json: JsonOption = False,
) -> None:
    """Make or change what a file declares: jobs, or sections of a project such as `jobs` and `apps`.

    Things have the fields of the API; `project` says where, else --project, JOBYARD_PROJECT or the only project.
    Fields that the file leaves out stay as they are; in `env`, null deletes a variable. Everything is checked
    first: if anything is wrong, every mistake is listed with its line and nothing is applied.
    """
    from app.cli import output
    from app.cli.client import open_api
    from app.cli.files import read_with_lines

    documents, lines = read_with_lines(file, "job")
    with open_api() as api:
        wanted: Json = {"documents": documents, "project": _project(api, documents, project), "prune": prune}
        confirmed: list[str] = []
        if prune and not dry_run:
            plan = _sent(api, {**wanted, "dry_run": True}, lines)
            confirmed = [each["label"] for each in plan["items"] if each["what"] == "deleted"]
            if confirmed and not yes:
                _show(plan)
                typer.confirm(f"Delete {len(confirmed)} and apply the rest?", abort=True, err=True)
        done = _sent(api, {**wanted, "dry_run": dry_run, "confirm": confirmed}, lines)
    if json:
        output.print_json(done)
    elif dry_run:
        _show(done)
    else:
        for each in done["items"]:
            print(f"{each['label']} {each['what']}")
            for warning in each["warnings"]:
                output.say(f"Warning: {warning}")


def export(project: ProjectOption = None) -> None:
    """Print everything that is configured as YAML that `apply` takes; secrets are left out and named."""
    from app.cli.client import open_api

    with open_api() as api:
        typer.echo(api.text("/export", {"project": project or api.settings.project}), nl=False)


def _project(api: Api, documents: Sequence[Json], project: str | None) -> str | None:
    """Whose things are that name none; not asked for where all of them name one."""
    if all("project" in each for each in documents):
        return project or api.settings.project
    return find_project(api, project)


def _sent(api: Api, wanted: Json, lines: Mapping[str, int]) -> Any:
    """The server's answer. Raises UserError with everything that is wrong, and where."""
    from app.cli.client import ApiError

    try:
        return api.post("/apply", wanted)
    except ApiError as error:
        if not error.errors:
            raise
        wrong = list(_sentences(error, lines))
    if len(wrong) > 1:
        raise UserError("\n  ".join([f"nothing was applied, as {len(wrong)} things are wrong:", *wrong]))
    raise UserError(wrong[0])


def _sentences(error: ApiError, lines: Mapping[str, int]) -> Iterator[str]:
    from app.web.declared.texts import line_of

    for each in error.errors:
        line = line_of(lines, each["field"].removeprefix("documents."))
        yield each["message"] if line is None else f"line {line}: {each['message']}"


def _show(plan: Any) -> None:
    """Print what would become of each thing that would not stay as it is."""
    for each in plan["items"]:
        if each["what"] == "unchanged":
            continue
        print(f"{WHATS[each['what']]} {each['label']} would be {each['what']}")
        for field in each["fields"] if each["what"] == "changed" else ():
            print(f"    {field['field']}: {_text(field['before'])} → {_text(field['after'])}")
        for warning in each["warnings"]:
            print(f"    Warning: {warning}")
    print(plan["sentence"])


def _text(value: Any) -> str:
    import json

    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
