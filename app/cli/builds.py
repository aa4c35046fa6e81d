"""Builds and deploys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.options import JobArgument, JsonOption, LimitOption, ProjectOption, add_command
from app.cli.targets import open_job

if TYPE_CHECKING:
    from app.cli.client import Api

PANEL = "Builds and deploys"
EXIT_CODES = {"succeeded": 0, "cancelled": 130}


def add_to(cli: typer.Typer) -> None:
    add_command(cli, "builds", list_builds, "jobyard builds", "jobyard builds report --json", panel=PANEL)
    add_command(
        cli,
        "build",
        build,
        "jobyard build report --follow",
        "jobyard build report --ref release",
        "jobyard build report --sha 4f2a9c1d5e6b7a8091a2b3c4d5e6f70812345678",
        panel=PANEL,
    )
    add_command(
        cli,
        "deploy",
        deploy,
        "jobyard deploy report --build latest",
        "jobyard deploy report --build 12",
        "jobyard deploy report --image registry.example.com/team/report:1.4",
        panel=PANEL,
    )


def list_builds(
    job: Annotated[str | None, typer.Argument(metavar="[JOB]", help="All jobs if left out.")] = None,
    limit: LimitOption = 20,
    project: ProjectOption = None,
    json: JsonOption = False,
) -> None:
    """List builds, newest first: of one job, or of all."""
    from app.cli import output
    from app.cli.client import open_api
    from app.cli.runs import newest
    from app.cli.times import now, when

    with open_api() as api:
        found = newest(api, "builds", job, project, limit)
    if json:
        output.print_json(found)
        return
    at = now()
    output.print_table(
        ("BUILD", "FOR", "STATUS", "MADE", "COMMIT", "REF", "MESSAGE"),
        [
            (
                each["id"],
                ", ".join(each["jobs"]) or each["build_service"],
                output.status(each["status"]),
                when(each["created_at"], at),
                output.short_sha(each["sha"]),
                each["ref"],
                each["sentence"] if each["status"] == "failed" else each["message"],
            )
            for each in found["items"]
        ],
        "There are no builds yet: push, or start one with `jobyard build JOB`.",
    )


def build(
    job: JobArgument,
    sha: Annotated[str | None, typer.Option(help="A whole commit id.")] = None,
    ref: Annotated[str | None, typer.Option(help="A branch; the tracked one if left out.")] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Show the steps, and exit 0 only if it succeeds.")
    ] = False,
    project: ProjectOption = None,
    json: JsonOption = False,
) -> None:
    """Build by hand, whatever the rules for pushes say: a commit, or the head of a branch."""
    from app.cli import output

    body = {name: value for name, value in {"sha": sha, "ref": ref}.items() if value is not None}
    with open_job(job, project) as (api, name):
        made = api.post(name.path("builds"), body)
        if follow:
            made = _follow(api, made, quietly=json)
    if json:
        output.print_json(made)
    elif not follow:
        print(
            f"Build {made['id']} is {made['status']}; follow it with `jobyard logs --build {made['id']} -f`."
        )
    if follow:
        raise typer.Exit(EXIT_CODES.get(made["status"], 1))


def _follow(api: Api, made: dict[str, Any], *, quietly: bool) -> Any:
    """The build when it is over; meanwhile its steps."""
    from rich.text import Text

    from app.cli import output
    from app.cli.client import path, persist
    from app.cli.steps import StepPrinter

    where = path("builds", made["id"])
    output.say(f"Build {made['id']} is {made['status']} · {api.settings.url}/builds/{made['id']}")
    lost = "The connection was lost; trying again."
    try:
        with StepPrinter(output.console(on_error=quietly)) as printer:
            for piece in api.follow(f"{where}/logs", lambda: output.say(lost)):
                printer.feed(piece.text)
    except KeyboardInterrupt:
        output.say(f"The build goes on; stop it with `jobyard cancel --build {made['id']}`.")
        raise typer.Exit(130) from None
    over = persist(lambda: api.get(where))
    if over["status"] == "failed":
        printer.print_output()
    output.say(
        Text.assemble(
            f"Build {made['id']} ", output.status(over["status"]), f" {output.plain(over['sentence'])}"
        )
    )
    return over


def deploy(
    job: JobArgument,
    build: Annotated[
        str | None, typer.Option(metavar="ID|latest", help="A build; latest keeps CD on.")
    ] = None,
    image: Annotated[str | None, typer.Option(metavar="REF", help="An image of a registry.")] = None,
    project: ProjectOption = None,
    json: JsonOption = False,
) -> None:
    """Point a job at an image. Anything but --build latest switches CD off, so that no push undoes it."""
    from app.cli import output

    if (build is None) == (image is None):
        raise typer.BadParameter("give one of --build and --image", param_hint="--build")
    if build is not None and build != "latest" and not (build.isascii() and build.isdecimal()):
        raise typer.BadParameter("it must be a build's id, or latest", param_hint="--build")
    what = {"image": image} if build is None else {"build": build if build == "latest" else int(build)}
    with open_job(job, project) as (api, name):
        answer = api.post(name.path("deploy"), what)
    if json:
        output.print_json(answer)
    else:
        print(f"{name} has {image or ('the latest build' if build == 'latest' else f'build {build}')} now.")
