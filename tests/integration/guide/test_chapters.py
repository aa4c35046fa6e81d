"""The guide's chapters: whole, linked rightly, and true in what can be tried."""

from __future__ import annotations

import json
import re
import shlex
from functools import cache

import pytest
import typer
import typer.main
import yaml

from app.cli.lazy import Unloaded
from app.cli.main import cli, command_names, setting_names
from app.domain.audit import Action
from app.domain.builds import BuildReason, BuildStatus
from app.domain.decisions import Verdict
from app.domain.deployments import DeploymentStatus, StepStatus
from app.domain.flows import FlowStatus, NodeStatus
from app.domain.health import CheckStatus
from app.domain.runs import Reason, RunStatus
from app.web.api import OPERATIONS, api_routes
from app.web.guide import CHAPTERS
from app.web.guide.chapters import HELP
from app.web.pages import page_routes
from app.web.schemas.credential import CredentialForm
from app.web.schemas.job import JobForm
from builders.runtimes import FOREIGN, RUNTIMES
from tests.support.guide import anchors, chapter, whole_guide

NAMES = [each.name for each in CHAPTERS]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
PAGES = {route.path for route in page_routes()}


@cache
def whole(name: str) -> str:
    """A chapter with what is made from the code: that takes a while, and tests ask for it word by word."""
    (found,) = [each for each in CHAPTERS if each.name == name]
    return whole_guide().markdown(found)


def test_every_file_is_a_chapter() -> None:
    assert sorted(path.stem for path in HELP.glob("*.md")) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_chapter_is_whole_and_may_stand_on_a_page(name: str) -> None:
    page = whole_guide().page(name)
    html = str(page.html)
    assert html.startswith(f'<h1 id="{name}">' if name == "keyboard" else "<h1 id=")
    assert html.count("<h1") == 1
    assert "made from the code" not in html
    assert "style=" not in html, "the policy of the pages refuses styles beside elements"
    ids = re.findall(r'<h\d id="([^"]*)"', html)
    assert "" not in ids
    assert len(ids) == len(set(ids)), "two headings with one name"
    assert [each.anchor for each in page.contents] == re.findall(r'<h2 id="([^"]*)"', html)


@pytest.mark.parametrize("name", NAMES)
def test_a_link_leads_somewhere(name: str) -> None:
    links = re.findall(r'href="([^"]+)"', str(whole_guide().page(name).html))
    assert [link for link in links if not link.startswith(("/help/", "#"))] == []
    for link in links:
        path, _, anchor = link.partition("#")
        target = path.removeprefix("/help/") or name
        assert target in NAMES, link
        assert not anchor or anchor in anchors()[target], link


def test_a_link_works_in_the_repository_too() -> None:
    """Where the heading is written there; what is made from the code is on the server alone."""
    for name in NAMES:
        for target in re.findall(r"\]\(([\w-]+)\.md", chapter(name)):
            assert (HELP / f"{target}.md").exists()


def test_chapters_follow_one_another() -> None:
    pages = [whole_guide().page(name) for name in NAMES]
    assert [page.previous and page.previous.name for page in pages] == [None, *NAMES[:-1]]
    assert [page.following and page.following.name for page in pages] == [*NAMES[1:], None]


# what can be tried


def parse(words: list[str]) -> None:
    """Have the command line's parser read a command, and do nothing. It raises what it would print."""
    command = typer.main.get_command(cli)
    context = typer.Context(command, info_name="jobyard")
    args = words
    while hasattr(command, "resolve_command"):
        _, command, args = command.resolve_command(context, args)
        assert command is not None
        command = command.load() if isinstance(command, Unloaded) else command
        if not args or not hasattr(command, "commands"):
            break
    command.make_context("jobyard", list(args), parent=context)


def commands_in(text: str) -> list[str]:
    lines = [
        line.strip() for _, block in BLOCK.findall(text) for line in block.replace("\\\n", " ").splitlines()
    ]
    shown = [
        line for line in lines if "jobyard " in line and line.startswith(("jobyard ", ".venv/bin/jobyard"))
    ]
    return [line.partition(" < ")[0].removeprefix(".venv/bin/") for line in shown]


EXAMPLES = [(name, line) for name in NAMES for line in commands_in(chapter(name))]


@pytest.mark.parametrize(("name", "line"), EXAMPLES)
def test_a_command_is_understood(name: str, line: str) -> None:
    parse(shlex.split(line)[1:])


def test_examples_are_found() -> None:
    assert len(EXAMPLES) > 12


def test_commands_named_in_the_text_are_there() -> None:
    known = sorted(command_names(), key=len, reverse=True)
    groups = {name.partition(" ")[0] for name in known}
    for name in NAMES:
        for said in re.findall(r"`jobyard ([a-z][a-z -]*[a-z])", chapter(name)):
            assert said.split()[0] in groups, f"{name}: jobyard {said}"


def test_files_of_examples_are_accepted() -> None:
    job = yaml.safe_load(next(text for kind, text in BLOCK.findall(chapter("first-steps")) if kind == "yaml"))
    job.pop("project")
    assert JobForm.model_validate(job).name == "report"
    credential = yaml.safe_load(
        next(text for kind, text in BLOCK.findall(chapter("github")) if kind == "yaml")
    )
    assert CredentialForm.model_validate(credential).host == "github.com"


@pytest.mark.parametrize("name", NAMES)
def test_json_of_a_job_is_accepted(name: str) -> None:
    for kind, text in BLOCK.findall(chapter(name)):
        if kind == "json" and "mcpServers" not in (given := json.loads(text)):  # which is for an assistant
            JobForm.model_validate({"name": "report", "source": {"type": "none"}, **given})


@pytest.mark.parametrize("name", NAMES)
def test_paths_of_pages_are_there(name: str) -> None:
    for path in re.findall(r"`https://YOUR-SERVER(/[^`]*)`", chapter(name)):
        assert path.startswith("/webhooks/") or path in PAGES, path


# what is made from the code


def test_every_setting_is_in_the_guide() -> None:
    assert [
        name for name in setting_names() if f"`{name}`" not in whole("settings") + whole("commands")
    ] == []


def test_every_command_is_in_the_guide() -> None:
    headings = re.findall(r"^### (.*)$", whole("commands"), re.MULTILINE)
    assert [name for name in command_names() if f"jobyard {name}" not in headings] == []


def test_every_operation_is_in_the_guide_and_no_other() -> None:
    said = re.findall(r"^### ([A-Z]+ /\S+)$", whole("api"), re.MULTILINE)
    operations = {f"{each.method} {each.path}" for each in OPERATIONS}
    badges = {f"GET {route.path.removeprefix('/api/v1')}" for route in api_routes() if "badges" in route.path}
    assert sorted(said) == sorted(operations | badges)


def test_fields_of_a_body_are_told_to_the_third_level_once() -> None:
    job = whole("api").partition("### POST /projects/{p}/jobs\n")[2].partition("\n### ")[0]
    assert "| `source.type` | body | `git` or `build_service` or `image` or `none` |" in job
    assert job.count("| `source.git.url` |") == 1
    assert "| `health_checks[].type` |" in job


def test_every_status_and_reason_is_in_the_guide() -> None:
    statuses = [
        *BuildStatus,
        *RunStatus,
        *DeploymentStatus,
        *StepStatus,
        *NodeStatus,
        *FlowStatus,
        *CheckStatus,
    ]
    shown = whole("api").partition("## What a status says")[2].partition("\n## ")[0]
    assert [each for each in (*statuses, *Verdict) if f"`{each}`" not in shown] == []
    said = re.findall(
        r"^\| `(\w+)` \|", whole("sentences").partition("## A run that failed")[2], re.MULTILINE
    )
    assert sorted(said) == sorted([*Reason, *BuildReason])


def test_every_language_is_in_the_guide() -> None:
    text = whole("builds")
    assert [each.name for each in RUNTIMES if f"| `{each.name}` | {each.title} |" not in text] == []
    assert [language for language in FOREIGN.values() if language not in text] == []
    assert all(each.signs for each in RUNTIMES)


def test_every_action_of_the_audit_log_is_in_the_guide() -> None:
    assert [each for each in Action if f"`{each}`" not in whole("people")] == []
