"""Release flows: start, follow, look, answer, cancel."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.options import JsonOption, LimitOption, ProjectOption, add_command, make_group
from app.domain.errors import NotFound, UserError

if TYPE_CHECKING:
    from app.cli.answers import Flow, FlowRun, FlowStep
    from app.cli.client import Api

EXIT_CODES = {"succeeded": 0, "cancelled": 130}
LOOKS_EVERY_SECONDS = 0.5
FlowArgument = Annotated[str, typer.Argument(metavar="FLOW", help="NAME or PROJECT/NAME.")]
FlowRunArgument = Annotated[int, typer.Argument(metavar="RUN", help="The id of a flow's run.")]
NodeArgument = Annotated[
    str | None, typer.Argument(metavar="[NODE]", help="The approval; the only one that waits if left out.")
]


def add_to(cli: typer.Typer) -> None:
    add_command(cli, "flows", list_flows, "jobyard flows", "jobyard flows --json")
    flow = make_group("Release flows: run, list runs, show, approve, decline, cancel.")
    add_command(
        flow,
        "run",
        run_flow,
        "jobyard flow run release --follow",
        "jobyard flow run acme/release --sha 4f2a9c1d5e6b7a8091a2b3c4d5e6f70812345678",
    )
    add_command(flow, "runs", list_flow_runs, "jobyard flow runs release")
    add_command(flow, "show", show_flow_run, "jobyard flow show 12", "jobyard flow show 12 --json")
    add_command(flow, "approve", approve, "jobyard flow approve 12", "jobyard flow approve 12 ready")
    add_command(flow, "decline", decline, "jobyard flow decline 12 ready")
    add_command(flow, "cancel", cancel_flow_run, "jobyard flow cancel 12")
    cli.add_typer(flow, name="flow")


def list_flows(project: ProjectOption = None, json: JsonOption = False) -> None:
    """List the release flows of a project, or of all."""
    from app.cli import output
    from app.cli.client import open_api

    with open_api() as api:
        found = _all_flows(api, project or api.settings.project)
    if json:
        output.print_json({"items": found, "next": None})
        return
    output.print_table(
        ("FLOW", "NODES", "MEANWHILE", "STARTED BY", "WARNINGS"),
        [
            (
                f"{flow['project']}/{flow['name']}",
                " → ".join(_names_of(step) for step in flow["nodes"]),
                flow["concurrency"],
                _starters(flow),
                " ".join(flow["warnings"]),
            )
            for flow in found
        ],
        "There are no flows yet: make one with POST /projects/PROJECT/flows.",
    )


def _names_of(step: FlowStep) -> str:
    return " + ".join(node["name"] for node in step["parallel"]) if "parallel" in step else str(step["name"])


def _starters(flow: Flow) -> str:
    push = f"push to {flow['on_push']}" if flow["on_push"] else None
    webhook = "webhook" if flow["has_webhook"] else None
    return ", ".join(each for each in ("hand", push, webhook) if each)


def run_flow(
    flow: FlowArgument,
    sha: Annotated[str | None, typer.Option(help="The commit that build nodes make.")] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Say what its nodes say, and exit 0 only if it succeeds.")
    ] = False,
    project: ProjectOption = None,
    json: JsonOption = False,
) -> None:
    """Start a release flow. With --follow, exit 0 if it succeeded, 130 if it was cancelled, else 1."""
    from app.cli import output
    from app.cli.client import open_api

    with open_api() as api:
        where = _find_flow(api, flow, project)
        run = api.post(f"{where}/runs", {} if sha is None else {"sha": sha})
        if follow:
            run = _follow(api, run)
    if json:
        output.print_json(run)
    elif not follow:
        print(f"Run {run['id']} of {run['flow']} is {run['status']}; see `jobyard flow show {run['id']}`.")
    if follow:
        raise typer.Exit(EXIT_CODES.get(run["status"], 1))


def _follow(api: Api, run: FlowRun) -> FlowRun:
    """Print what the run's nodes say until it is over, and return it."""
    from rich.text import Text

    from app.cli import output
    from app.cli.client import path, persist

    where = path("flows", "runs", run["id"])
    said: dict[str, int] = {}
    try:
        while True:
            run = persist(lambda: api.get(where))
            for node in run["nodes"]:
                for line in node["log"][said.get(node["name"], 0) :]:
                    output.say(f"{node['name']}: {line.partition(' ')[2]}")
                said[node["name"]] = len(node["log"])
            if run["finished_at"] is not None:
                break
            time.sleep(LOOKS_EVERY_SECONDS)
    except KeyboardInterrupt:
        output.say(f"The flow goes on; stop it with `jobyard flow cancel {run['id']}`.")
        raise typer.Exit(130) from None
    output.say(Text.assemble(f"Run {run['id']} of {run['flow']} ", output.status(run["status"])))
    return run


def list_flow_runs(
    flow: FlowArgument, limit: LimitOption = 20, project: ProjectOption = None, json: JsonOption = False
) -> None:
    """List a flow's runs, newest first."""
    from app.cli import output
    from app.cli.client import open_api
    from app.cli.times import now, when

    with open_api() as api:
        found = api.items(f"{_find_flow(api, flow, project)}/runs", limit)
    if json:
        output.print_json(found)
        return
    at = now()
    output.print_table(
        ("RUN", "STATUS", "STARTED BY", "COMMIT", "MADE"),
        [
            (
                run["id"],
                output.status(run["status"]),
                run["trigger"]["by"] or run["trigger"]["type"],
                output.short_sha(run["trigger"]["sha"]),
                when(run["created_at"], at),
            )
            for run in found["items"]
        ],
        "It was never started yet: `jobyard flow run FLOW`.",
    )


def show_flow_run(run: FlowRunArgument, json: JsonOption = False) -> None:
    """Show a flow's run: its nodes, how they are, and what they said last."""
    from app.cli import output
    from app.cli.client import open_api, path

    with open_api() as api:
        found = api.get(path("flows", "runs", run))
    if json:
        output.print_json(found)
        return
    output.print_table(
        ("NODE", "TYPE", "STATUS", "TRIES", "LAST"),
        [
            (
                node["name"],
                node["type"],
                output.status(node["status"]),
                f"{node['tries']} of {node['retries'] + 1}",
                node["log"][-1].partition(" ")[2] if node["log"] else "",
            )
            for node in found["nodes"]
        ],
        "It has no nodes.",
    )


def approve(run: FlowRunArgument, node: NodeArgument = None, json: JsonOption = False) -> None:
    """Say yes to an approval that waits, so that the flow goes on."""
    _answer(run, node, "approve", json)


def decline(run: FlowRunArgument, node: NodeArgument = None, json: JsonOption = False) -> None:
    """Say no to an approval that waits, which fails the flow."""
    _answer(run, node, "decline", json)


def _answer(run: int, node: str | None, verb: str, json: bool) -> None:
    from app.cli import output
    from app.cli.client import open_api, path

    with open_api() as api:
        name = node or _only_waiting(api.get(path("flows", "runs", run)))
        answered = api.post(path("flows", "runs", run, "nodes", name, verb))
    if json:
        output.print_json(answered)
    else:
        print(f"{name} of run {run} is {verb}d.")


def _only_waiting(run: FlowRun) -> str:
    asks = [n["name"] for n in run["nodes"] if n["type"] == "approval" and n["status"] == "running"]
    if not asks:
        raise NotFound(f"Run {run['id']} has no approval that waits.")
    if len(asks) > 1:
        raise UserError(f"Run {run['id']} has several approvals that wait: say which of {', '.join(asks)}.")
    return str(asks[0])


def cancel_flow_run(run: FlowRunArgument, json: JsonOption = False) -> None:
    """Cancel a flow's run, and what its nodes wait for."""
    from app.cli import output
    from app.cli.client import open_api, path

    with open_api() as api:
        answer = api.post(path("flows", "runs", run, "cancel"))
    if json:
        output.print_json(answer)
    else:
        print(f"Run {run} of {answer['flow']} is being cancelled.")


def _find_flow(api: Api, text: str, project: str | None) -> str:
    """Return the path of the flow that is meant. Raises NotFound, or UserError if several projects have it."""
    from app.cli.client import path

    if "/" in text:
        project, _, text = text.partition("/")
    found = [flow for flow in _all_flows(api, project or api.settings.project) if flow["name"] == text]
    if not found:
        raise NotFound(f"There is no flow {text}: `jobyard flows` lists what there is.")
    if len(found) > 1:
        candidates = ", ".join(sorted(f"{flow['project']}/{flow['name']}" for flow in found))
        raise UserError(f"There are several flows named {text}: say which of {candidates}.")
    return path("projects", found[0]["project"], "flows", text)


def _all_flows(api: Api, project: str | None) -> list[Any]:
    from app.cli.client import path

    names = [project] if project else [each["name"] for each in api.each("/projects")]
    return [flow for name in names for flow in api.each(path("projects", name, "flows"))]
