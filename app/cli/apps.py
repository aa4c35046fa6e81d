"""Apps, their deployments, and going back to an earlier one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.options import JsonOption, LimitOption, ProjectOption, add_command
from app.cli.targets import AppName, all_apps, find_app

if TYPE_CHECKING:
    from app.cli.answers import App, Deployment, Member
    from app.cli.client import Api

AppArgument = Annotated[str, typer.Argument(metavar="APP", help="NAME or PROJECT/NAME.")]


def add_to(cli: typer.Typer) -> None:
    add_command(cli, "apps", list_apps, "jobyard apps", "jobyard apps --json")
    add_command(cli, "app", show_app, "jobyard app shop")
    add_command(cli, "deployments", list_deployments, "jobyard deployments shop")
    add_command(cli, "deployment", show_deployment, "jobyard deployment 12")
    add_command(cli, "rollback", rollback, "jobyard rollback 12", "jobyard rollback 12 --with-hooks")
    add_command(cli, "release-hold", release_hold, "jobyard release-hold shop")


def list_apps(project: ProjectOption = None, json: JsonOption = False) -> None:
    """List the apps of a project, or of all."""
    from app.cli import output
    from app.cli.client import open_api

    with open_api() as api:
        found = all_apps(api, project or api.settings.project)
    if json:
        output.print_json({"items": found, "next": None})
        return
    output.print_table(
        ("APP", "JOBS", "DEPLOYMENT", "CD"),
        [
            (
                f"{app['project']}/{app['name']}",
                ", ".join(app["jobs"]),
                app["deployment"],
                _hold(app) or "as set",
            )
            for app in found
        ],
        "There are no apps yet: make one with POST /projects/PROJECT/apps.",
    )


def show_app(app: AppArgument, project: ProjectOption = None, json: JsonOption = False) -> None:
    """Show an app: its jobs, when each of them runs in a deployment, and what it has."""
    from app.cli import output
    from app.cli.client import open_api

    with open_api() as api:
        found = api.get(find_app(api, app, project).path())
    if json:
        output.print_json(found)
        return
    output.print_table(
        ("JOB", "IN A DEPLOYMENT", "HAS", "SINCE"),
        [_member(member) for member in found["members"]],
        "The app has no jobs.",
    )
    if _hold(found):
        output.say(
            f"{found['name']} is {_hold(found)}: `jobyard release-hold {found['name']}` lets pushes deploy."
        )


def _member(member: Member) -> tuple[Any, ...]:
    from app.cli import output
    from app.cli.times import now, when

    has = member["deployed"]
    image = has and (output.short_sha(has["sha"]) or has["image"])
    return (
        member["job"],
        member["deploy_trigger"] or "gets the image",
        image or "-",
        when(has and has["at"], now()),
    )


def _hold(app: App) -> str | None:
    return f"held at rollback {app['held_by']}" if app["held_by"] else None


def list_deployments(
    app: AppArgument, limit: LimitOption = 20, project: ProjectOption = None, json: JsonOption = False
) -> None:
    """List an app's deployments, newest first."""
    from app.cli import output
    from app.cli.client import open_api
    from app.cli.times import now, when

    with open_api() as api:
        found = api.items(find_app(api, app, project).path("deployments"), limit)
    if json:
        output.print_json(found)
        return
    at = now()
    output.print_table(
        ("DEPLOYMENT", "STATUS", "CAUSE", "COMMIT", "MADE", ""),
        [
            (
                each["id"],
                output.status(each["status"]),
                each["cause"],
                output.short_sha(each["sha"]),
                when(each["created_at"], at),
                each["warning"] or each["sentence"],
            )
            for each in found["items"]
        ],
        "It was never deployed yet: `jobyard deploy APP` does it.",
    )


def show_deployment(
    deployment: Annotated[int, typer.Argument(metavar="ID", help="A deployment's id.")],
    json: JsonOption = False,
) -> None:
    """Show a deployment and its steps."""
    from app.cli import output
    from app.cli.client import open_api, path

    with open_api() as api:
        found = api.get(path("deployments", deployment))
    if json:
        output.print_json(found)
        return
    output.say(f"{found['sentence']} {found['warning']}".strip())
    output.print_table(
        ("STEP", "STATUS", "OF", "RUN", ""),
        [
            (
                each["kind"].replace("_", "-"),
                output.status(each["status"]),
                each["job"] or (each["build"] and f"build {each['build']}"),
                each["run"],
                each["sentence"],
            )
            for each in found["steps"]
        ],
        "It has no steps.",
    )


def deploy_app(
    api: Api, name: AppName, *, sha: str | None, build: str | None, confirm_paused: bool, json: bool
) -> None:
    """Deploy a commit, a build, or the latest builds to all jobs of an app."""
    body: dict[str, object] = {"confirm_paused": True} if confirm_paused else {}
    if sha is not None:
        body["sha"] = sha
    elif build not in (None, "latest"):
        body["builds"] = [int(str(build))]
    _report(api.post(name.path("deployments"), body), json)


def rollback(
    deployment: Annotated[int, typer.Argument(metavar="ID", help="The deployment to go back to.")],
    with_hooks: Annotated[
        bool, typer.Option("--with-hooks", help="Run pre- and post-deploy jobs too.")
    ] = False,
    confirm_paused: Annotated[
        bool, typer.Option("--confirm-paused", help="Also where a job of it is paused.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Go back to what a deployment left live. Pushes deploy nothing until `jobyard release-hold`."""
    from app.cli.client import open_api, path

    with open_api() as api:
        agreed = {"confirm_paused": True} if confirm_paused else {}
        body = {"with_hooks": with_hooks, **agreed}
        _report(api.post(path("deployments", deployment, "rollback"), body), json)


def _report(made: Deployment, json: bool) -> None:
    from app.cli import output

    if json:
        output.print_json(made)
        return
    number = made["id"]
    print(f"Deployment {number} of {made['app']} is {made['status']}; see `jobyard deployment {number}`.")


def release_hold(app: AppArgument, project: ProjectOption = None, json: JsonOption = False) -> None:
    """Let pushes deploy an app again after a rollback."""
    from app.cli import output
    from app.cli.client import open_api

    with open_api() as api:
        name = find_app(api, app, project)
        answer = api.post(name.path("release-hold"))
    if json:
        output.print_json(answer)
    else:
        print(f"{name} is not held any more.")
