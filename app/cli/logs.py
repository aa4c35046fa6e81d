"""Logs: printed as they are, or followed until they end."""

from __future__ import annotations

import json as jsonlib
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from app.cli.options import JsonOption, add_command
from app.cli.targets import complete_runs

if TYPE_CHECKING:
    from app.cli.client import Api


class OutputStream(StrEnum):
    STDOUT = "stdout"
    STDERR = "stderr"


def add_to(cli: typer.Typer) -> None:
    add_command(
        cli,
        "logs",
        logs,
        "jobyard logs report-x7k2mq",
        "jobyard logs -f report-x7k2mq",
        "jobyard logs report-x7k2mq --attempt 2 > attempt.log",
        "jobyard logs report-x7k2mq --instance 2 --stream stderr",
        "jobyard logs --build 12 -f",
        "jobyard logs report-x7k2mq --search 'out of memory'",
        "jobyard logs report-x7k2mq --errors",
    )


def logs(
    run: Annotated[
        str | None, typer.Argument(metavar="RUN", help="A run's name or id.", autocompletion=complete_runs)
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Stay until it is over.")] = False,
    attempt: Annotated[int | None, typer.Option(min=1, help="Only this attempt.")] = None,
    instance: Annotated[int | None, typer.Option(min=0, max=99, help="Only this instance.")] = None,
    stream: Annotated[
        OutputStream | None, typer.Option(help="Only what came by this one.", show_choices=True)
    ] = None,
    build: Annotated[int | None, typer.Option(metavar="ID", help="The log of a build instead.")] = None,
    search: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Only lines with this text, each after attempt and number."),
    ] = None,
    errors: Annotated[bool, typer.Option("--errors", help="Only lines that look like an error.")] = False,
    json: JsonOption = False,
) -> None:
    """Print the log of a run, or of a build: to a file or pipe byte for byte, to a terminal made harmless."""
    from app.cli.client import open_api, path
    from app.cli.log_search import print_matches
    from app.cli.waiting import saying_why_it_waits

    if (run is None) == (build is None):
        raise typer.BadParameter("give a run, or --build with a build's id", param_hint="RUN")
    for option, given in (("attempt", attempt), ("instance", instance), ("stream", stream)):
        if build is not None and given is not None:
            raise typer.BadParameter(f"a build has no {option}s", param_hint=f"--{option}")
    if (search is not None) + errors + follow > 1:
        raise typer.BadParameter("give one of --search, --errors and --follow", param_hint="--search")
    where = path("builds", str(build), "logs") if run is None else path("runs", run, "logs")
    wanted = {"attempt": attempt, "instance": instance, "stream": stream and stream.value}
    with open_api() as api:
        if follow:
            is_whole = run is not None and attempt is None
            with saying_why_it_waits(api, path("runs", str(run))) if is_whole else nullcontext():
                follow_log(api, where, sys.stdout, as_json=json, **wanted)
        elif search is not None or errors:
            lines = {"q": search, "errors": "true" if errors else None}
            print_matches(api, where, {**lines, **wanted}, as_json=json)
        else:
            _print_log(api, where, wanted, as_json=json)


def _print_log(api: Api, where: str, wanted: Mapping[str, object], *, as_json: bool) -> None:
    from app.cli.output import TerminalText

    pieces = api.read_bytes(where, **wanted)
    if as_json:
        whole = b"".join(pieces)
        print(jsonlib.dumps({"text": whole.decode("utf-8", "replace"), "offset": str(len(whole))}))
    elif sys.stdout.isatty():
        text = TerminalText()
        for piece in pieces:
            sys.stdout.write(text.feed(piece.decode("utf-8", "replace")))
    else:
        sys.stdout.flush()
        for piece in pieces:
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()


def follow_log(api: Api, where: str, to: TextIO, *, as_json: bool = False, **wanted: Any) -> None:
    """Write a log to `to` as it comes, until it is over. With `as_json`, a line for each piece."""
    from app.cli.output import TerminalText, say

    harmless = TerminalText() if to.isatty() else None
    for piece in api.follow(where, lambda: say("The connection was lost; trying again."), **wanted):
        if as_json:
            text = jsonlib.dumps({"text": piece.text, "offset": piece.offset}) + "\n"
        else:
            text = harmless.feed(piece.text) if harmless else piece.text
        to.write(text)
        to.flush()
