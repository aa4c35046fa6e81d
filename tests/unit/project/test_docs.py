"""Documentation can't drift: what exists is in the README."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pytest

from app.cli.main import command_names, setting_names
from app.domain.builds import BuildReason, BuildStatus
from app.domain.decisions import Verdict
from app.domain.deployments import DeploymentStatus, StepStatus
from app.domain.flows import FlowStatus, NodeStatus
from app.domain.health import CheckStatus
from app.domain.runs import Reason, RunStatus
from app.web.api import api_routes
from app.web.shell import shell_routes
from tests.support.project import ROOT

README = (ROOT / "README.md").read_text()
API = README.partition("## The HTTP API")[2].partition("\n## ")[0]


def test_every_command_is_in_the_readme() -> None:
    assert [name for name in command_names() if f"jobyard {name}" not in README] == []


def test_every_setting_is_in_the_readme() -> None:
    assert [name for name in setting_names() if name not in README] == []


def test_the_paths_of_the_api_are_in_the_readme_and_no_others() -> None:
    said = {path for path in re.findall(r"`(/[^`\s]+)`", API) if path != "/api/v1"}
    assert said == {route.path.removeprefix("/api/v1") for route in (*api_routes(), *shell_routes())}


@pytest.mark.parametrize(
    ("of", "statuses"),
    [
        ("build, run", BuildStatus),
        ("build, run", RunStatus),
        ("deployment of an app", DeploymentStatus),
        ("a deployment's step, a flow's node", StepStatus),
        ("a deployment's step, a flow's node", NodeStatus),
        ("run of a flow", FlowStatus),
        ("delivery", ("received", "processed", "ignored", "failed")),
        ("health check", CheckStatus),
        ("decision", Verdict),
    ],
)
def test_the_statuses_of_each_thing_are_in_the_readme(of: str, statuses: Iterable[str]) -> None:
    (row,) = [line for line in API.splitlines() if line.startswith(f"| {of} |")]
    assert re.findall(r"`(\w+)`", row) == [str(each) for each in statuses]


@pytest.mark.parametrize("reason", [*BuildReason, *Reason])
def test_the_reasons_of_builds_and_runs_are_in_the_readme(reason: str) -> None:
    assert f"`{reason}`" in README
