"""`jobyard mcp`: what an assistant is offered, by the official library's client over a process of its own."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from mcp import Client, StdioServerParameters, stdio_client

from app.domain.runs import Outcome, Reason
from app.web.server_context import ServerContext
from tests.support.api import Caller, attempt_ends, build_succeeds
from tests.support.cli import serving
from tests.support.project import ROOT

REPORT = {"name": "report", "source": {"type": "image", "image": "busybox"}}
CRON = {"kind": "cron", "schedule": {"cron": "0 6 * * *"}}
GIT = {"type": "git", "git": {"url": "https://github.com/acme/shop"}}
READING = {
    *("list_jobs", "show_job", "list_runs", "show_run", "run_log", "why", "list_decisions", "list_builds"),
    *("show_build", "build_log", "list_deliveries", "show_delivery", "list_pipelines", "schedule"),
}


class Assistant:
    """Calls tools; `said` is what a tool answered, read as JSON where it is some."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def tools(self) -> dict[str, Any]:
        return {tool.name: tool for tool in (await self._client.list_tools()).tools}

    async def said(self, tool: str, **arguments: Any) -> Any:
        answer = await self._client.call_tool(tool, arguments)
        assert not answer.is_error, answer.content
        assert answer.structured_content is not None
        return answer.structured_content.get("result", answer.structured_content)

    async def refused(self, tool: str, **arguments: Any) -> str:
        answer = await self._client.call_tool(tool, arguments)
        assert answer.is_error
        return str(answer.content[0].text)  # type: ignore[union-attr]


def ask(
    context: ServerContext,
    token: str,
    talk: Callable[[Assistant], Coroutine[Any, Any, None]],
    *allowed: str,
) -> None:
    """Have an assistant talk with the server, who has this token and is allowed that."""
    options = [option for each in allowed for option in ("--allow", each)]

    async def connect(port: int) -> None:
        settings = {"JOBYARD_URL": f"http://127.0.0.1:{port}", "JOBYARD_TOKEN": token}
        command = StdioServerParameters(
            command=sys.executable, args=["-m", "app", "mcp", *options], env=settings, cwd=ROOT
        )
        async with Client(stdio_client(command)) as client:
            await talk(Assistant(client))

    with serving(context) as port:
        asyncio.run(connect(port))


def token_of(admin: Caller, role: str) -> str:
    made = admin.made("/tokens", {"name": f"assistant-{role}", "role": role})
    return str(made["token"])


@pytest.fixture
def installation(admin: Caller) -> Caller:
    """A job whose run failed, one of a repository that was built, and a pipeline."""
    admin.made("/projects/acme/jobs", REPORT | CRON)
    admin.made("/projects/acme/jobs/report/runs")
    log = b"".join(b"line %d\n" % number for number in range(9000)) + b"no such table\n"
    attempt_ends(admin.context, Outcome(Reason.EXIT_NONZERO, 1), log)
    admin.made("/projects/acme/jobs", {"name": "shop", "source": GIT})
    admin.made("/projects/acme/jobs", {"name": "shop-live", "source": {"type": "none"}})
    admin.made("/projects/acme/jobs/shop/builds")
    build_succeeds(admin.context)
    admin.made("/projects/acme/jobs/shop/deploy", {"build": "latest"})
    stages = [{"name": "staging", "components": ["shop"]}, {"name": "live", "components": ["shop-live"]}]
    admin.made("/projects/acme/pipelines", {"name": "main", "stages": stages})
    return admin


def test_it_reads_what_there_is_and_offers_nothing_else(installation: Caller) -> None:
    async def talk(assistant: Assistant) -> None:
        tools = await assistant.tools()
        assert set(tools) == READING
        assert all(tool.annotations.read_only_hint and tool.description for tool in tools.values())
        jobs = await assistant.said("list_jobs")
        assert {each["name"] for each in jobs} == {"report", "shop", "shop-live"}
        assert (await assistant.said("show_job", job="acme/report"))["name"] == "report"
        (run,) = await assistant.said("list_runs", job="report", status="failed")
        shown = await assistant.said("show_run", run=run["name"])
        assert shown["exit_code"] == 1
        assert len(shown["attempt_list"]) == 1
        assert await assistant.said("run_log", run=run["name"], lines=2) == "line 8999\nno such table"
        whole = (await assistant.said("run_log", run=run["name"], lines=2000)).splitlines()
        assert len(whole) == 2000
        assert whole[0] == "line 7001"
        why = await assistant.said("why", job="report")
        assert why == installation.got("/projects/acme/jobs/report/why")["items"]
        decided = await assistant.said("list_decisions", job="report")
        assert [each["id"] for each in decided] == [each["id"] for each in why]
        (build,) = await assistant.said("list_builds")
        assert (await assistant.said("show_build", build=build["id"]))["status"] == "succeeded"
        assert await assistant.said("build_log", build=build["id"]) == ""
        assert await assistant.said("list_deliveries") == []
        assert "is no delivery" in await assistant.refused("show_delivery", delivery="x")
        (pipeline,) = await assistant.said("list_pipelines")
        assert [stage["name"] for stage in pipeline["stages"]] == ["staging", "live"]
        fires = await assistant.said("schedule", job="report", count=2)
        assert len(fires["fires"]) == 2

    ask(installation.context, token_of(installation, "viewer"), talk)


def test_it_runs_cancels_and_promotes_where_that_is_allowed(installation: Caller) -> None:
    async def talk(assistant: Assistant) -> None:
        tools = await assistant.tools()
        assert set(tools) - READING == {"run_job", "cancel_run", "cancel_build", "promote"}
        assert tools["cancel_run"].annotations.destructive_hint
        run = await assistant.said("run_job", job="report", env={"DAY": "2026-01-31"}, command=["true"])
        assert installation.got(f"/runs/{run['name']}")["status"] == "queued"
        assert run["effective"]["env"]["DAY"] == "2026-01-31"
        cancelled = await assistant.said("cancel_run", run=run["name"])
        assert cancelled["status"] == "cancelled"
        promoted = await assistant.said("promote", component="shop")
        assert promoted["sentence"]
        assert installation.got("/projects/acme/jobs/shop-live")["deployed"] is not None

    ask(installation.context, token_of(installation, "operator"), talk, "run", "cancel", "promote")
    entries = installation.got("/audit")["items"]
    assert "assistant-operator" in {each["who"]["name"] for each in entries}


def test_what_the_token_may_not_is_refused_in_the_servers_words(installation: Caller) -> None:
    async def talk(assistant: Assistant) -> None:
        assert set(await assistant.tools()) - READING == {"run_job"}
        said = await assistant.refused("run_job", job="report")
        assert said.endswith("This needs the role operator; assistant-viewer has viewer.")
        assert "There is no job reprot; did you mean report?" in await assistant.refused("why", job="reprot")

    ask(installation.context, token_of(installation, "viewer"), talk, "run")
    assert len(installation.got("/projects/acme/jobs/report/runs")["items"]) == 1


def test_without_the_extra_one_sentence_says_so() -> None:
    without = "import sys; sys.modules['mcp'] = None; from app.cli import main; main(['mcp'])"
    done = subprocess.run([sys.executable, "-c", without], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1
    assert done.stderr == "jobyard: This needs the extra mcp: install it with `pip install 'jobyard[mcp]'`.\n"
