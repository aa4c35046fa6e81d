"""Jobs from a file: every one is checked before the first is made or changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.dry_run import print_edit
from app.cli.options import JsonOption, ProjectOption, add_command
from app.cli.targets import JobName, find_project
from app.domain.errors import UserError

if TYPE_CHECKING:
    from app.cli.answers import Json
    from app.cli.client import Api, ApiError

OF_THE_FILE = frozenset({400, 403, 404, 409, 422})  # other refusals would be the same for every job


@dataclass(frozen=True)
class Checked:
    """A job as the file has it, and what the server says it would change."""

    name: JobName
    fields: Json
    edit: Any


def add_to(cli: typer.Typer) -> None:
    add_command(
        cli,
        "apply",
        apply,
        "jobyard apply jobs.yaml",
        "jobyard apply --project acme report.json --dry-run",
        "jobyard job report --json | jq '{name, retry_limit: 2}' | jobyard apply -",
    )


def apply(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="YAML or JSON; - is standard input.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the file and show what would change; save nothing.")
    ] = False,
    project: ProjectOption = None,
    json: JsonOption = False,
) -> None:
    """Make or change jobs as a file says: one job, a list of jobs, or several YAML documents.

    A job has the fields of the API; `project` says where, else --project, JOBYARD_PROJECT or the only project.
    Fields that the file leaves out stay as they are; in `env`, null deletes a variable. All jobs are checked
    first: if one is wrong, every mistake is listed and nothing is applied.
    """
    from app.cli import output
    from app.cli.client import open_api
    from app.cli.files import read_objects

    answers: list[Any] = []
    wanted = read_objects(file, "job")
    with open_api() as api:
        for job in _checked(api, wanted, project):
            if dry_run:
                answers.append(job.edit)
                if not json:
                    print_edit(job.edit, str(job.name))
                continue
            answer, what = _apply(api, job.name, job.fields)
            answers.append(answer)
            if not json:
                print(f"{job.name} {what}")
                for warning in answer["warnings"]:
                    output.say(f"Warning: {warning}")
    if json:
        output.print_json({"items": answers, "next": None})


def _checked(api: Api, wanted: Sequence[Json], project: str | None) -> list[Checked]:
    """Return all jobs, each compared with what there is. Raises UserError with everything that is wrong in any of
    them.
    """
    from app.cli.client import ApiError

    found: list[Checked] = []
    wrong: list[str] = []
    for number, job in enumerate(wanted, 1):
        where = job.get("project", project)
        if not isinstance(job.get("name"), str) or not isinstance(where, str | None):
            rule = "needs its name as text, and so is its project if it is given."
            wrong.append(f"job number {number} in the file {rule}")
            continue
        name = JobName(find_project(api, where), job["name"])
        fields = {key: job[key] for key in job if key != "project"}
        try:
            edit = api.post("/plan", {"settings": {"project": name.project, "fields": fields}})
            found.append(Checked(name, fields, edit))
        except ApiError as error:
            if error.status not in OF_THE_FILE:
                raise
            wrong += (f"job {name}: {sentence}" for sentence in _sentences(error))
    if len(wrong) > 1:
        raise UserError("\n  ".join([f"nothing was applied, as {len(wrong)} things are wrong:", *wrong]))
    if wrong:
        raise UserError(wrong[0])
    return found


def _sentences(error: ApiError) -> Iterator[str]:
    """Return one sentence for each wrong field, which it names; or else the whole of what the server said."""
    if not error.errors:
        yield str(error)
    for each in error.errors:
        field, message = each["field"], each["message"]
        yield message if field in message else f"{field}: {message}"


def _apply(api: Api, name: JobName, job: Json) -> tuple[Any, str]:
    """Apply one job; return it as it is now, and the word for what was done."""
    from app.cli.client import ApiError, path

    try:
        before = api.get(name.path())
    except ApiError as error:
        if error.status != 404:
            raise
        return api.post(path("projects", name.project, "jobs"), job), "created"
    after = api.patch(name.path(), job)
    return after, "unchanged" if after == before else "changed"
