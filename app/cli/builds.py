"""Builds and deploys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.dry_run import DryRunOption, print_forecast
from app.cli.filters import (
    BranchOption,
    BuildStatusOption,
    BuildTriggerOption,
    SinceOption,
    UntilOption,
    in_time,
)
from app.cli.options import (
    JobArgument,
    JsonOption,
    LimitOption,
    OptionalJobArgument,
    ProjectOption,
    add_command,
)
from app.cli.targets import AppName, JobName, complete_jobs, find_app, find_job, open_job
from app.domain.errors import NotFound

if TYPE_CHECKING:
    from app.cli.answers import Build
    from app.cli.client import Api

EXIT_CODES = {"succeeded": 0, "cancelled": 130}


def add_to(cli: typer.Typer) -> None:
    add_command(
        cli,
        "builds",
        list_builds,
        "jobyard builds",
        "jobyard builds report --json",
        "jobyard builds --status failed --branch main --since 2026-01-31",
    )
    add_command(
        cli,
        "build",
        build,
        "jobyard build report --follow",
        "jobyard build report --ref release",
        "jobyard build report --sha 4f2a9c1d5e6b7a8091a2b3c4d5e6f70812345678",
    )
    add_command(
        cli,
        "deploy",
        deploy,
        "jobyard deploy report --build latest",
        "jobyard deploy report --build 12 --dry-run",
        "jobyard deploy shop --sha 4f2a9c1d5e6b7a8091a2b3c4d5e6f70812345678",
        "jobyard deploy report --image registry.example.com/team/report:1.4",
    )


def list_builds(
    job: OptionalJobArgument = None,
    status: BuildStatusOption = None,
    trigger: BuildTriggerOption = None,
    branch: BranchOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    limit: LimitOption = 20,
    project: ProjectOption = None,
    json: JsonOption = False,
) -> None:
    """List builds, newest first: of one job, or of all."""
    from app.cli import output
    from app.cli.client import open_api
    from app.cli.times import now, when

    wanted = {"status": status, "trigger": trigger, "branch": branch, **in_time(since, until)}
    with open_api() as api:
        if job is None:
            found = api.items("/builds", limit, project=project or api.settings.project, **wanted)
        else:
            found = api.items(find_job(api, job, project).path("builds"), limit, **wanted)
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
        "No build is of this kind."
        if any(wanted.values())
        else "There are no builds yet: start one with `jobyard build JOB`.",
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
    """Start a manual build, whatever the rules for pushes say: a commit, or the head of a branch."""
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


def _follow(api: Api, made: Build, *, quietly: bool) -> Any:
    """Print the build's steps until it is over, and return it."""
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
    job: Annotated[
        str, typer.Argument(metavar="JOB|APP", help="NAME or PROJECT/NAME.", autocompletion=complete_jobs)
    ],
    build: Annotated[
        str | None, typer.Option(metavar="ID|latest", help="A build; latest keeps CD on.")
    ] = None,
    image: Annotated[
        str | None, typer.Option(metavar="REF", help="An image of a registry; for a job.")
    ] = None,
    sha: Annotated[str | None, typer.Option(help="A whole commit id; for an app.")] = None,
    confirm_paused: Annotated[bool, typer.Option("--confirm-paused", help="Also to a paused job.")] = False,
    dry_run: DryRunOption = False,
    project: ProjectOption = None,
    json: JsonOption = False,
) -> None:
    """Point a job at an image, or all jobs of an app. Anything but the latest builds switches CD off, so that no
    push undoes it."""
    from app.cli.apps import deploy_app
    from app.cli.client import ApiError, open_api

    if build is not None and build != "latest" and not (build.isascii() and build.isdecimal()):
        raise typer.BadParameter("it must be a build's id, or latest", param_hint="--build")
    if sum(each is not None for each in (build, image, sha)) > 1:
        raise typer.BadParameter("give one of --build, --image and --sha", param_hint="--build")
    if dry_run and build is None and image is None:
        raise typer.BadParameter(
            "only a job's deploy can be rehearsed: give --build or --image", param_hint="--dry-run"
        )
    with open_api() as api:
        if dry_run:
            found = find_job(api, job, project)
            what = {"project": found.project, "job": found.name, **_what(build, image, confirm_paused)}
            print_forecast(api, {"deploy": what}, json)
            return
        if build is None and image is None:
            name = _app(api, job, project)
            deploy_app(api, name, sha=sha, build=None, confirm_paused=confirm_paused, json=json)
            return
        try:
            what = _what(build, image, confirm_paused)
            _deploy_job(api, find_job(api, job, project), what, json=json)
        except (ApiError, NotFound) as error:
            if image is not None or (isinstance(error, ApiError) and error.status != 404):
                raise
            try:
                name = find_app(api, job, project)
            except (ApiError, NotFound):
                raise error from None
            deploy_app(api, name, sha=None, build=build, confirm_paused=confirm_paused, json=json)


def _app(api: Api, text: str, project: str | None) -> AppName:
    try:
        return find_app(api, text, project)
    except NotFound:
        message = f"give one of --build and --image, unless JOB is an app, which {text} is not"
        raise typer.BadParameter(message, param_hint="--build") from None


def _deploy_job(api: Api, name: JobName, what: dict[str, object], *, json: bool) -> None:
    from app.cli import output

    answer = api.post(name.path("deploy"), what)
    if json:
        output.print_json(answer)
    else:
        build = what.get("build")
        now_has = "the latest build" if build == "latest" else f"build {build}"
        print(f"{name} has {what.get('image') or now_has} now.")


def _what(build: str | None, image: str | None, confirm_paused: bool) -> dict[str, object]:
    agreed = {"confirm_paused": True} if confirm_paused else {}
    if build is None:
        return {"image": image, **agreed}
    return {"build": build if build == "latest" else int(build), **agreed}
