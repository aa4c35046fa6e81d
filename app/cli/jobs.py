"""Jobs: what there is, one in full, pause, resume, apply from a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.options import JobArgument, JsonOption, ProjectOption, add_command
from app.cli.targets import jobs_of, open_job

if TYPE_CHECKING:
    from rich.text import Text

    from app.cli.answers import Job, Source


def add_to(cli: typer.Typer) -> None:
    add_command(
        cli,
        "jobs",
        list_jobs,
        "jobyard jobs",
        "jobyard jobs --project acme",
        "jobyard jobs --json | jq '.items[] | select(.paused) | .name'",
    )
    add_command(cli, "job", show_job, "jobyard job report", "jobyard job acme/report --json")
    add_command(cli, "delete", delete, "jobyard delete report", "jobyard delete report --confirm report")
    add_command(cli, "pause", pause, "jobyard pause report")
    add_command(cli, "resume", resume, "jobyard resume report", "jobyard resume report --no-cd")


def list_jobs(project: ProjectOption = None, json: JsonOption = False) -> None:
    """List the jobs of a project, or of all, with their last and next run."""
    from app.cli import output
    from app.cli.client import open_api
    from app.cli.times import now, when

    with open_api() as api:
        found = jobs_of(api, project or api.settings.project)
    if json:
        output.print_json({"items": found, "next": None})
        return
    at = now()
    output.print_table(
        ("JOB", "STATE", "LAST RUN", "STARTED", "NEXT RUN", "IMAGE"),
        [
            (
                f"{job['project']}/{job['name']}",
                output.status(_state(job)),
                output.status(job["last_run"]["status"]) if job["last_run"] else "-",
                when(job["last_run"] and job["last_run"]["started_at"], at),
                when(job["next_fire_at"], at),
                _image(job),
            )
            for job in found
        ],
        "There are no jobs yet: make one with `jobyard apply FILE`.",
    )


def show_job(job: JobArgument, project: ProjectOption = None, json: JsonOption = False) -> None:
    """Show a job: its source, switches, schedule, deployed image and last run."""
    from app.cli import output
    from app.cli.times import now

    with open_job(job, project) as (api, name):
        found = api.get(name.path())
    if json:
        output.print_json(found)
        return
    output.print_fields(_fields(found, now()))
    for warning in found["warnings"]:
        output.say(f"Warning: {warning}")


def _fields(job: Job, at: Any) -> dict[str, str | Text | None]:
    from app.cli import output
    from app.cli.times import when

    schedule, deployed, last = job["schedule"], job["deployed"], job["last_run"]
    limit = job["time_limit_seconds"]
    return {
        "job": f"{job['project']}/{job['name']}",
        "state": output.status(_state(job)),
        "source": _source(job["source"]),
        "CI": _switch(job["ci_enabled"]),
        "CD": _switch(job["cd_enabled"]),
        "runs on a new image": job["run_on_image_change"],
        "schedule": schedule and f"{schedule['cron']} ({schedule['time_zone']})",
        "if one still runs": schedule and schedule["concurrency_policy"],
        "next run": when(job["next_fire_at"], at),
        "deployed": deployed and f"{_image(job)}, {deployed['cause']}, {when(deployed['at'], at)}",
        "last run": last and f"{last['name']} {last['status']}, {when(last['created_at'], at)}",
        "command": _command(job["command"] or job["process"]),
        "variables": ", ".join(job["env"]),
        "plan": job["plan"] if job["instances"] == 1 else f"{job['instances']} x {job['plan']}",
        "retries": f"{job['retry_limit']} after the first attempt",
        "time limit": f"{limit} s" if limit else "none",
        "webhook": job["webhook_url"] if job["source"]["type"] == "git" else None,
    }


def _state(job: Job) -> str:
    if job["paused"]:
        return "paused"
    if job["failing"]:
        return "failing"
    return "inactive" if job["schedule"] and not job["schedule"]["active"] else "active"


def _source(source: Source) -> str:
    match source["type"]:
        case "git":
            return f"{source['git']['url']}, branch {source['git']['branch']}"
        case "build_service":
            return f"build service {source['build_service']}"
        case "image":
            return f"image {source['image']}"
        case _:
            return "none yet"


def _image(job: Job) -> str:
    from app.cli import output

    deployed = job["deployed"]
    if deployed is None:
        return "-"
    return output.short_sha(deployed["sha"]) or str(deployed["image"])


def _switch(on: bool) -> str:
    return "on" if on else "off"


def _command(command: str | list[str] | None) -> str | None:
    import shlex

    return shlex.join(command) if isinstance(command, list) else command


def pause(job: JobArgument, project: ProjectOption = None, json: JsonOption = False) -> None:
    """Pause a job: its CI, CD and schedule rest until it is resumed; what runs goes on. A build service builds on."""
    with open_job(job, project) as (api, name):
        paused = api.post(name.path("pause"))
    _report(paused, f"{name} is paused.", json)


def resume(
    job: JobArgument,
    ci: Annotated[bool | None, typer.Option("--ci/--no-ci", help="Switch CI on or off with it.")] = None,
    cd: Annotated[bool | None, typer.Option("--cd/--no-cd", help="Switch CD on or off with it.")] = None,
    schedule: Annotated[
        bool | None, typer.Option("--schedule/--no-schedule", help="Make the schedule active or not with it.")
    ] = None,
    project: ProjectOption = None,
    json: JsonOption = False,
) -> None:
    """Resume a paused job, as it was or with changes. Missed schedules are not caught up."""
    given = {"ci_enabled": ci, "cd_enabled": cd, "schedule_active": schedule}
    with open_job(job, project) as (api, name):
        body = {field: value for field, value in given.items() if value is not None}
        resumed = api.post(name.path("resume"), body)
    _report(resumed, f"{name} is resumed.", json)


def delete(
    job: JobArgument,
    confirm: Annotated[
        str | None, typer.Option(metavar="NAME", help="The job's name once more; asked for if not given.")
    ] = None,
    project: ProjectOption = None,
    json: JsonOption = False,
) -> None:
    """Delete a job. Its runs, logs and decisions stay; its settings and secrets can't be had any more."""
    with open_job(job, project) as (api, name):
        if confirm is None:
            confirm = typer.prompt(f"Type {name.name} to delete it", err=True)
        api.delete(name.path(), confirm=confirm)
    _report({"project": name.project, "job": name.name, "deleted": True}, f"{name} is deleted.", json)


def _report(answer: Any, sentence: str, json: bool) -> None:
    from app.cli import output

    if json:
        output.print_json(answer)
    else:
        print(sentence)
