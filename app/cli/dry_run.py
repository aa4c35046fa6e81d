"""Rehearsals: what would be built, deployed and run, by the rules that decide it, with nothing done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.options import JsonOption, add_command

if TYPE_CHECKING:
    from app.cli.answers import Edit, Effect, RunForecast
    from app.cli.client import Api

DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Do nothing; show what would be built, deployed and run, and why.")
]


def add_to(cli: typer.Typer) -> None:
    add_command(
        cli,
        "rehearse",
        rehearse,
        "jobyard rehearse acme/report",
        "jobyard rehearse acme/report --ref release --deleted",
        "jobyard rehearse acme/report --after 4f2a9c1d5e6b7a8091a2b3c4d5e6f70812345678 --file docs/index.md",
    )


def rehearse(
    repository: Annotated[str, typer.Argument(metavar="REPOSITORY", help="OWNER/NAME, or its URL.")],
    ref: Annotated[str, typer.Option(help="A branch, or a whole ref such as refs/tags/v1.")] = "main",
    after: Annotated[
        str | None, typer.Option(metavar="SHA", help="The pushed commit; none: what the branch is at now.")
    ] = None,
    before: Annotated[
        str | None, typer.Option(metavar="SHA", help="What the branch had; none: it is new.")
    ] = None,
    deleted: Annotated[
        bool, typer.Option("--deleted", help="The branch is deleted: nothing is pushed.")
    ] = False,
    message: Annotated[str, typer.Option(help="Of the pushed commit.")] = "",
    file: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH", help="A file that it changes; Git is asked if not given."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Say what a push would build, deploy and run, and why not the rest; nothing is done.

    `deploy`, `promote`, `apply` and `deliveries replay` rehearse themselves with --dry-run.
    """
    from app.cli.client import open_api

    given: dict[str, object] = {"repository": repository, "ref": ref, "after": after, "before": before}
    given |= {"message": message, "deleted": deleted, "files": file or None}
    with open_api() as api:
        print_forecast(api, {"push": given}, json)


def print_forecast(api: Api, what: dict[str, object], json: bool) -> None:
    """Ask the server what one thing would do, and print that."""
    from app.cli import output

    found = api.post("/plan", what)
    if json:
        output.print_json(found)
        return
    output.print_table(
        ("JOB", "BUILDS", "DEPLOYS", "RUNS", "WHY"),
        [
            (
                f"{each['project']}/{each['job'] or each['build_service']}",
                _word(each["would_build"]),
                _word(each["would_deploy"]),
                _word(each["would_run"]),
                _why(each),
            )
            for each in found["items"]
        ],
        "It concerns no job.",
    )
    print(found["sentence"])


def print_edit(edit: Edit, name: str) -> None:
    """Print what an edit of settings would change."""
    from app.cli import output

    print(f"{name}: {edit['sentence']}")
    if not edit["is_new"] and edit["changes"]:
        output.print_table(
            ("FIELD", "BEFORE", "AFTER"),
            [(each["field"], _text(each["before"]), _text(each["after"])) for each in edit["changes"]],
            "Nothing would change.",
        )
    if edit["deploy"]:
        print(edit["deploy"]["sentence"])


def print_run_forecast(rehearsal: RunForecast) -> None:
    """Print what a run would be made with, a variable a line, and the address of the form that is filled in like
    it.
    """
    from app.cli import output

    effective, origins = rehearsal["effective"], rehearsal["origins"]
    env = effective["env"]
    of_image = {name: origins["image"] for name in ("build", "sha") if effective[name] is not None}
    rows = [
        (name, _text(value), of_image.get(name) or origins.get(name))
        for name, value in effective.items()
        if name != "env"
    ]
    rows += [
        (name, _variable(env.get(name.removeprefix("env."))), origin)
        for name, origin in origins.items()
        if name.startswith("env.")
    ]
    output.print_table(("FIELD", "VALUE", "FROM"), rows, "Nothing would run.")
    print(rehearsal["url"])


def _variable(value: Any) -> str:
    if value is None:
        return "(removed)"
    if isinstance(value, dict):
        return "***" if value["secret"] else str(value["value"])
    return str(value)


def _text(value: Any) -> str:
    import json as jsonlib

    return value if isinstance(value, str) else jsonlib.dumps(value, ensure_ascii=False)


def _word(would: bool) -> str:
    return "yes" if would else "no"


def _why(each: Effect) -> str:
    last, by_file = each["deploy"] or each["build"], each["file"]
    before = f"{by_file['sentence']} " if by_file else ""
    return f"{before}{last['sentence']} ({last['rule']})"
