"""Pipelines: what is where, and promotions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.dry_run import DryRunOption, print_forecast
from app.cli.options import JsonOption, ProjectOption, add_command
from app.domain.errors import NotFound, UserError

if TYPE_CHECKING:
    from app.cli.answers import Pipeline
    from app.cli.client import Api


def add_to(cli: typer.Typer) -> None:
    add_command(cli, "pipelines", list_pipelines, "jobyard pipelines", "jobyard pipelines --json")
    add_command(
        cli,
        "promote",
        promote,
        "jobyard promote shop",
        "jobyard promote shop --to shop-live",
        "jobyard promote shop --to-stage production --skip-stages",
    )


def list_pipelines(project: ProjectOption = None, json: JsonOption = False) -> None:
    """Show which commit is where: the pipelines of a project, or of all."""
    from app.cli import output
    from app.cli.client import open_api

    with open_api() as api:
        found = pipelines_of(api, project)
    if json:
        output.print_json({"items": found, "next": None})
        return
    output.print_table(
        ("PIPELINE", "STAGE", "COMPONENT", "JOB", "HAS", "SINCE"),
        [row for pipeline in found for row in _rows(pipeline)],
        "There are no pipelines yet: make one with POST /projects/PROJECT/pipelines.",
    )


def _rows(pipeline: Pipeline) -> list[tuple[Any, ...]]:
    from app.cli import output
    from app.cli.times import now, when

    name, at = f"{pipeline['project']}/{pipeline['name']}", now()
    rows: list[tuple[Any, ...]] = []
    for stage in pipeline["stages"]:
        places = [(each["name"], job) for each in stage["components"] for job in each["jobs"]]
        if not places:
            rows.append((name, stage["name"], "-", "-", "-", "-"))
        for component, job in places:
            has = job["deployed"]
            image = has and (output.short_sha(has["sha"]) or has["image"])
            rows.append(
                (name, stage["name"], component, job["job"], image or "-", when(has and has["at"], at))
            )
    return rows


def promote(
    component: Annotated[str, typer.Argument(metavar="COMPONENT", help="A job or an app of a pipeline.")],
    to: Annotated[str | None, typer.Option(help="The component that gets what it has.")] = None,
    to_stage: Annotated[str | None, typer.Option(help="The stage; the next one if left out.")] = None,
    confirm_paused: Annotated[bool, typer.Option("--confirm-paused", help="Also to a paused job.")] = False,
    skip_stages: Annotated[
        bool, typer.Option("--skip-stages", help="Past a stage; for administrators.")
    ] = False,
    dry_run: DryRunOption = False,
    project: ProjectOption = None,
    json: JsonOption = False,
) -> None:
    """Promote what is deployed at a component to its peer in the next stage, by digest and without a build."""
    from app.cli import output
    from app.cli.client import open_api, path

    body: dict[str, object] = {"component": component, "to": to, "to_stage": to_stage}
    body = {name: value for name, value in body.items() if value is not None}
    body |= {"confirm_paused": confirm_paused, "skip_stages": skip_stages}
    with open_api() as api:
        if "/" in component:
            project, _, component = component.partition("/")
            body["component"] = component
        pipeline = pipeline_of(api, component, project)
        if dry_run:
            where = {"project": pipeline["project"], "pipeline": pipeline["name"]}
            print_forecast(api, {"promotion": body | where}, json)
            return
        made = api.post(
            path("projects", pipeline["project"], "pipelines", pipeline["name"], "promotions"), body
        )
    if json:
        output.print_json(made)
        return
    print(made["sentence"])
    if made["deployment"]:
        print(f"Deployment {made['deployment']} does it; see `jobyard deployment {made['deployment']}`.")


def pipelines_of(api: Api, project: str | None) -> list[Pipeline]:
    from app.cli.client import path

    wanted = project or api.settings.project
    names = [wanted] if wanted else [each["name"] for each in api.each("/projects")]
    return [found for name in names for found in api.each(path("projects", name, "pipelines"))]


def pipeline_of(api: Api, component: str, project: str | None) -> Pipeline:
    """Return the one pipeline with a component of that name. Raises NotFound, UserError."""
    found = [
        pipeline
        for pipeline in pipelines_of(api, project)
        if any(each["name"] == component for stage in pipeline["stages"] for each in stage["components"])
    ]
    if not found:
        raise NotFound(f"{component} is in no pipeline: `jobyard pipelines` lists what there is.")
    if len(found) > 1:
        where = ", ".join(f"{each['project']}/{each['name']}" for each in found)
        raise UserError(f"{component} is in several pipelines ({where}): say which project with --project.")
    return found[0]
