"""What happened and why: decisions and deliveries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.dry_run import DryRunOption, print_forecast
from app.cli.filters import EventOption, SinceOption, UntilOption, VerdictOption, in_time
from app.cli.lazy import Group
from app.cli.options import (
    JobArgument,
    JsonOption,
    LimitOption,
    ProjectOption,
    add_command,
    help_of,
    show_examples,
)
from app.cli.targets import complete_jobs, find_job, open_job
from app.cli.times import instant

if TYPE_CHECKING:
    from app.cli.answers import Listing

DeliveryArgument = Annotated[
    str, typer.Argument(metavar="ID", help="The delivery's id, as the forge shows it.")
]


def add_to(cli: typer.Typer) -> None:
    add_command(
        cli,
        "why",
        why,
        "jobyard why report",
        "jobyard why report --at '2026-01-31 03:00'",
        "jobyard why report --at 2026-01-31T03:00:00Z --json",
    )
    add_command(
        cli,
        "decisions",
        list_decisions,
        "jobyard decisions",
        "jobyard decisions --job report --since 2026-01-31",
        "jobyard decisions --verdict skipped --event push",
        "jobyard decisions --run report-x7k2mq",
    )
    deliveries = typer.Typer(
        cls=Group, help="What forges sent: list, show, replay, approve.", invoke_without_command=True
    )
    deliveries.callback(
        help=help_of(list_deliveries),
        epilog=show_examples("jobyard deliveries", "jobyard deliveries replay ID"),
    )(list_deliveries)
    add_command(
        deliveries, "show", show_delivery, "jobyard deliveries show 72d3162e-cc78-11e3-81ab-4c9367dc0958"
    )
    add_command(
        deliveries, "replay", replay, "jobyard deliveries replay 72d3162e-cc78-11e3-81ab-4c9367dc0958"
    )
    add_command(
        deliveries, "approve", approve, "jobyard deliveries approve 72d3162e-cc78-11e3-81ab-4c9367dc0958"
    )
    cli.add_typer(deliveries, name="deliveries")


def why(
    job: JobArgument,
    at: Annotated[str | None, typer.Option(metavar="TIME", help="As it was then; now if left out.")] = None,
    project: ProjectOption = None,
    json: JsonOption = False,
) -> None:
    """Show why a job did or did not run: the latest decisions about it."""
    until = instant(at, "--at")
    with open_job(job, project) as (api, name):
        found = api.get(name.path("why"), at=until)
    _print_decisions(found, json, f"Nothing was decided about it {'yet' if until is None else 'until then'}.")


def list_decisions(
    job: Annotated[str | None, typer.Option(metavar="JOB", autocompletion=complete_jobs)] = None,
    delivery: Annotated[str | None, typer.Option(metavar="ID", help="About what a forge sent.")] = None,
    run: Annotated[str | None, typer.Option(metavar="RUN", help="That led to this run.")] = None,
    build: Annotated[int | None, typer.Option(metavar="ID", help="That led to this build.")] = None,
    verdict: VerdictOption = None,
    event: EventOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    limit: LimitOption = 20,
    project: ProjectOption = None,
    json: JsonOption = False,
) -> None:
    """List decisions: every verdict about every event, with its reason."""
    from app.cli.client import open_api

    query: dict[str, object] = {
        "delivery": delivery,
        "run": run,
        "build": build,
        "verdict": verdict,
        "event": event,
        **in_time(since, until),
    }
    with open_api() as api:
        query["project"] = project or api.settings.project
        if job is not None:
            name = find_job(api, job, project)
            query |= {"project": name.project, "job": name.name}
        found = api.items("/decisions", limit, **query)
    _print_decisions(found, json, "No decision is of this kind.")


def _told(status: Any) -> str:
    """What came of telling the commit's forge, where the answer has that."""
    if not status:
        return ""
    posted = {"posted": "is posted", "waiting": "is to be posted", "given_up": "is not posted"}
    return f" Status {status['context']} {posted[status['posting']]}.{status['said'] and ' '}{status['said']}"


def _print_decisions(found: Listing, json: bool, none: str) -> None:
    from app.cli import output
    from app.cli.times import now, when

    if json:
        output.print_json(found)
        return
    at = now()
    output.print_table(
        ("WHEN", "JOB", "EVENT", "VERDICT", "WHY"),
        [
            (
                when(each["at"], at),
                f"{each['project']}/{each['job']}" if each["job"] else each["project"],
                each["event"]["type"],
                output.status(each["verdict"]),
                f"{each['sentence']} ({each['rule']}){_told(each.get('commit_status'))}",
            )
            for each in found["items"]
        ],
        none,
    )


def list_deliveries(context: typer.Context, limit: LimitOption = 20, json: JsonOption = False) -> None:
    """List what forges sent, and pushes that were found without, newest first; or show or replay one."""
    if context.invoked_subcommand is not None:
        return
    from app.cli import output
    from app.cli.client import open_api
    from app.cli.times import now, when

    with open_api() as api:
        found = api.items("/deliveries", limit)
    if json:
        output.print_json(found)
        return
    at = now()
    output.print_table(
        (
            "DELIVERY",
            "RECEIVED",
            "STATUS",
            "FORGE",
            "EVENT",
            "REPOSITORY",
            "REF",
            "COMMIT",
            "WHAT CAME OF IT",
        ),
        [
            (
                each["id"],
                when(each["received_at"], at),
                output.status(each["status"]),
                each["forge"],
                each["event"],
                each["repository"],
                each["ref"],
                output.short_sha(each["sha"]),
                each["sentence"],
            )
            for each in found["items"]
        ],
        "No delivery has come yet: `jobyard job JOB` shows where the repository's webhook has to point.",
    )


def show_delivery(delivery: DeliveryArgument, json: JsonOption = False) -> None:
    """Show a delivery and what was decided because of it."""
    from app.cli import output
    from app.cli.client import open_api, path
    from app.cli.times import now, when

    with open_api() as api:
        found = api.get(path("deliveries", delivery))
    if json:
        output.print_json(found)
        return
    at = now()
    names = ("id", "forge", "event", "repository", "ref", "sha", "sentence", "tries", "replays")
    output.print_fields(
        {
            **{name: found[name] for name in names},
            "status": output.status(found["status"]),
            "received": when(found["received_at"], at),
            "processed": when(found["processed_at"], at),
        }
    )
    print()
    is_open = found["status"] == "received"
    none = "Nothing is decided about it yet." if is_open else "Nothing was decided about it."
    _print_decisions({"items": found["decisions"], "next": None}, False, none)


def replay(delivery: DeliveryArgument, dry_run: DryRunOption = False, json: JsonOption = False) -> None:
    """Process a delivery once more; it is decided anew, by the settings of now."""
    from app.cli import output
    from app.cli.client import open_api, path

    with open_api() as api:
        if dry_run:
            print_forecast(api, {"delivery": delivery}, json)
            return
        answer = api.post(path("deliveries", delivery, "replay"))
    if json:
        output.print_json(answer)
    else:
        print(
            f"{delivery} will be processed once more; `jobyard deliveries show {delivery}` tells what comes of it."
        )


def approve(delivery: DeliveryArgument, json: JsonOption = False) -> None:
    """Let the commit of a fork be built that a pull request has in this delivery, for its status alone."""
    from app.cli import output
    from app.cli.client import open_api, path

    with open_api() as api:
        answer = api.post(path("deliveries", delivery, "approve"))
    if json:
        output.print_json(answer)
    else:
        print(f"{delivery} is approved; `jobyard deliveries show {delivery}` tells what comes of it.")
