"""Runs: start, follow, list, repeat, cancel."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.dry_run import print_run_forecast
from app.cli.filters import (
    BranchOption,
    RunStatusOption,
    RunTriggerOption,
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
    RunArgument,
    add_command,
)
from app.cli.targets import complete_runs, find_job, open_job

if TYPE_CHECKING:
    from app.cli.answers import Attempt, Cancelled, Run, Trigger
    from app.cli.client import Api

CANCELLED, INTERRUPTED = 130, 130
FollowOption = Annotated[
    bool, typer.Option("--follow", "-f", help="Show the log as it comes, and exit as the run does.")
]


def add_to(cli: typer.Typer) -> None:
    add_command(
        cli,
        "run",
        run,
        "jobyard run report --follow",
        "jobyard run report --env DAY=2026-01-31 --unset DEBUG",
        "jobyard run report --command 'python backfill.py --all' --time-limit 600",
        "jobyard run report --sha 4f2a9c1 --dry-run",
    )
    add_command(
        cli,
        "rerun",
        rerun,
        "jobyard rerun report-x7k2mq --follow",
        "jobyard rerun report-x7k2mq --current",
    )
    add_command(
        cli,
        "runs",
        list_runs,
        "jobyard runs",
        "jobyard runs report -n 50",
        "jobyard runs --status failed --since 2026-01-31",
        "jobyard runs report --trigger schedule --branch main",
        "jobyard runs --json",
    )
    add_command(
        cli,
        "attempts",
        attempts,
        "jobyard attempts report-x7k2mq",
        "jobyard attempts 17 --json",
    )
    add_command(
        cli,
        "cancel",
        cancel,
        "jobyard cancel report-x7k2mq",
        "jobyard cancel --build 12",
    )


def run(
    job: JobArgument,
    env: Annotated[
        list[str] | None, typer.Option("--env", "-e", metavar="KEY=VALUE", help="Add or replace a variable.")
    ] = None,
    unset: Annotated[list[str] | None, typer.Option(metavar="KEY", help="Leave a variable out.")] = None,
    command: Annotated[str | None, typer.Option(help="Instead of the job's, split as a shell would.")] = None,
    entrypoint: Annotated[str | None, typer.Option(help="Instead of the image's.")] = None,
    shell: Annotated[bool, typer.Option("--shell", help="Hand the command to /bin/sh -c.")] = False,
    process: Annotated[str | None, typer.Option(help="A process of the repository, such as worker.")] = None,
    image: Annotated[str | None, typer.Option(metavar="REF", help="Run this image.")] = None,
    build: Annotated[int | None, typer.Option(metavar="ID", help="Run the image of this build.")] = None,
    sha: Annotated[str | None, typer.Option(help="Run the image built from this commit.")] = None,
    plan: Annotated[str | None, typer.Option(help="The size of the container.")] = None,
    retry_limit: Annotated[int | None, typer.Option(min=0, help="Retries after the first attempt.")] = None,
    time_limit: Annotated[
        int | None, typer.Option(min=1, metavar="SECONDS", help="For the whole run, retries included.")
    ] = None,
    confirm_paused: Annotated[
        bool, typer.Option("--confirm-paused", help="Run although the job is paused.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Start nothing; show what would run, and from where.")
    ] = False,
    follow: FollowOption = False,
    project: ProjectOption = None,
    json: JsonOption = False,
) -> None:
    """Run a job now, with what is different for this run only.

    With --follow the exit status is that of the job's command, 0 if the run succeeded, 130 if it was cancelled,
    and 1 if it failed in another way; with --json too, the log goes to standard error.
    """
    from app.cli import output

    given: dict[str, object] = {
        "env": _variables(env or [], unset or []),
        "command": command,
        "entrypoint": entrypoint,
        "shell": shell or None,
        "process": process,
        "image": image,
        "build": build,
        "sha": sha,
        "plan": plan,
        "retry_limit": retry_limit,
        "time_limit_seconds": time_limit,
        "confirm_paused": confirm_paused or None,
    }
    overrides = {name: value for name, value in given.items() if value is not None}
    with open_job(job, project) as (api, name):
        if dry_run:
            rehearsal = api.post(name.path("runs"), overrides, dry_run=True)
            if json:
                output.print_json(rehearsal)
            else:
                print_run_forecast(rehearsal)
            return
        _started(api, api.post(name.path("runs"), overrides), follow, json)


def rerun(
    run: RunArgument,
    current: Annotated[
        bool, typer.Option("--current", help="With what the job has now, not what the run had.")
    ] = False,
    confirm_paused: Annotated[
        bool, typer.Option("--confirm-paused", help="Run although the job is paused.")
    ] = False,
    follow: FollowOption = False,
    json: JsonOption = False,
) -> None:
    """Run again: with the same image and configuration, or with what the job has now."""
    from app.cli.client import open_api, path

    body = {"config": "current" if current else "same", "confirm_paused": confirm_paused}
    with open_api() as api:
        _started(api, api.post(path("runs", run, "rerun"), body), follow, json)


def _variables(env: list[str], unset: list[str]) -> dict[str, str | None] | None:
    for item in env:
        if not item.partition("=")[1] or item.startswith("="):
            raise typer.BadParameter(f"{item!r} is not KEY=VALUE", param_hint="--env")
    given: dict[str, str | None] = {name: value for name, _, value in (item.partition("=") for item in env)}
    return given | dict.fromkeys(unset) or None


def _started(api: Api, run: Run, follow: bool, json: bool) -> None:
    """Say that the run has been queued; with `follow` stay until it is over, and exit as it did."""
    from app.cli import output
    from app.cli.client import path, persist
    from app.cli.logs import follow_log
    from app.cli.waiting import saying_why_it_waits

    name = run["name"]
    if not follow:
        if json:
            output.print_json(run)
        else:
            print(f"{name} is {run['status']}; follow it with `jobyard logs -f {name}`.")
        return
    output.say(f"{name} is {run['status']} · {api.settings.url}/runs/{run['id']}")
    try:
        with saying_why_it_waits(api, path("runs", run["id"])):
            follow_log(api, path("runs", run["id"], "logs"), sys.stderr if json else sys.stdout)
    except KeyboardInterrupt:
        output.say(f"{name} goes on; stop it with `jobyard cancel {name}`.")
        raise typer.Exit(INTERRUPTED) from None
    over = persist(lambda: api.get(path("runs", run["id"])))
    if json:
        output.print_json(over)
    _say_how_it_ended(over)
    raise typer.Exit(exit_code_of(over))


def exit_code_of(run: Run) -> int:
    """Return the exit code for how the run ended: a failed run's own if it has one that a process can exit with."""
    match run["status"]:
        case "succeeded":
            return 0
        case "cancelled":
            return CANCELLED
        case _:
            code = run["exit_code"] or 1
            return code if 1 <= code <= 255 else 1


def _say_how_it_ended(run: Run) -> None:
    from rich.text import Text

    from app.cli import output
    from app.cli.times import span

    seconds = run["duration_seconds"]
    took = f" in {span(seconds)}" if seconds is not None else ""
    sentence = f". {run['sentence']}" if run["sentence"] else ""
    output.say(
        Text.assemble(f"{run['name']} ", output.status(run["status"]), output.plain(f"{took}{sentence}"))
    )


def list_runs(
    job: OptionalJobArgument = None,
    status: RunStatusOption = None,
    trigger: RunTriggerOption = None,
    branch: BranchOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    limit: LimitOption = 20,
    project: ProjectOption = None,
    json: JsonOption = False,
) -> None:
    """List runs, newest first: of one job, or of all. Those of deleted jobs stay: PROJECT/NAME finds them."""
    from app.cli import output
    from app.cli.client import open_api
    from app.cli.times import now, span, when

    wanted = {"status": status, "trigger": trigger, "branch": branch, **in_time(since, until)}
    with open_api() as api:
        if job is None:
            found = api.items("/runs", limit, project=project or api.settings.project, **wanted)
        else:
            found = api.items(find_job(api, job, project).path("runs"), limit, **wanted)
    if json:
        output.print_json(found)
        return
    at = now()
    output.print_table(
        ("RUN", "JOB", "STATUS", "STARTED", "TRIGGER", "ATTEMPTS", "TOOK"),
        [
            (
                run["name"],
                f"{run['project']}/{run['job']}",
                _status(run),
                "" if run["started_at"] is None else when(run["started_at"], at),
                _trigger(run["trigger"]),
                _attempts(run),
                "" if run["duration_seconds"] is None else span(run["duration_seconds"]),
            )
            for run in found["items"]
        ],
        "No run is of this kind."
        if any(wanted.values())
        else "There are no runs yet: start one with `jobyard run JOB`.",
    )


def _attempts(run: Run) -> str:
    counts = [f"{run[what]} {what}" for what in ("succeeded", "failed", "active") if run[what]]
    return f"{run['attempts']} of {run['retry_limit'] + 1}{': ' if counts else ''}{', '.join(counts)}"


def _status(run: Attempt) -> Any:
    from app.cli import output

    text = output.status(run["status"])
    return text.append(f" ({run['reason']})") if run["reason"] else text


def _trigger(trigger: Trigger) -> str:
    return f"{trigger['type']} by {trigger['by']}" if trigger["by"] else str(trigger["type"])


def attempts(run: RunArgument, json: JsonOption = False) -> None:
    """Show a run's attempts: how each began and ended."""
    from app.cli import output
    from app.cli.client import open_api, path
    from app.cli.times import now, when
    from app.cli.waiting import why_it_waits

    with open_api() as api:
        found = api.get(path("runs", run, "attempts"))
        if json:
            output.print_json(found)
            return
        of = api.get(path("runs", run))
    waits = why_it_waits(of)
    at = now()
    output.print_table(
        ("ATTEMPT", "STATUS", "STARTED", "FINISHED", "EXIT", "WHY"),
        [
            (
                each["number"],
                _status(each),
                when(each["started_at"], at),
                when(each["finished_at"], at),
                each["exit_code"],
                each["sentence"],
            )
            for each in found["items"]
        ],
        waits
        or (f"There was none. {of['sentence']}".strip() if of["finished_at"] else "It has not begun yet."),
    )
    if waits and found["items"]:
        output.say(waits)


def cancel(
    run: Annotated[
        str | None, typer.Argument(metavar="RUN", help="A run's name or id.", autocompletion=complete_runs)
    ] = None,
    build: Annotated[int | None, typer.Option(metavar="ID", help="A build instead.")] = None,
    json: JsonOption = False,
) -> None:
    """Cancel a run: it is told to stop and has its grace period; cancelling again ends it at once."""
    from app.cli import output
    from app.cli.client import open_api, path

    if (run is None) == (build is None):
        raise typer.BadParameter("give a run, or --build with a build's id", param_hint="RUN")
    kind, what = ("runs", run) if run is not None else ("builds", build)
    with open_api() as api:
        answer = api.post(path(kind, str(what), "cancel"))
    if json:
        output.print_json(answer)
    else:
        print(f"{answer.get('name', f'Build {what}')} is {_of_cancel(answer)}.")


def _of_cancel(answer: Cancelled) -> str:
    if answer["status"] == "cancelled":
        return "cancelled"
    return "being cancelled" + (", forced: it is killed at once" if answer.get("cancel_forced_at") else "")
